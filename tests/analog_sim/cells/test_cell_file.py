"""A compiled cell survives the way to arrays and back, whatever its card."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from analog_sim.cells.cell_file import NUMBERS, cell_arrays, cell_of
from analog_sim.config import UserError
from devices.card import CARDS, load_card


@pytest.mark.parametrize("name", sorted(path.stem for path in CARDS.glob("*.yaml")))
def test_a_cell_comes_back(name: str) -> None:
    cell = load_card(name).compile()
    np.testing.assert_equal(asdict(cell_of(cell_arrays(cell), "here")), asdict(cell))


def test_a_damaged_file_is_one_line() -> None:
    arrays = cell_arrays(load_card("pcm").compile())
    for broken in (
        {},
        {**arrays, NUMBERS: arrays[NUMBERS][:-3]},
        {k: v for k, v in arrays.items() if "white" not in k},
    ):
        with pytest.raises(UserError, match=r"^twin.npz: holds no cell of this version"):
            cell_of(broken, "twin.npz")
