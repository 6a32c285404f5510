"""Archives that users name: a damaged or wrong one is one line that names the file."""

from pathlib import Path

import numpy as np
import pytest

from analog_sim.config import UserError
from analog_sim.tiles.tile import _load_fault_map

GOOD = np.zeros((2, 3, 4), np.uint8)


def test_a_fault_map_comes_as_it_was_written(tmp_path: Path) -> None:
    np.savez(tmp_path / "map.npz", fault=GOOD + 1)
    np.testing.assert_array_equal(_load_fault_map(tmp_path / "map.npz"), GOOD + 1)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (GOOD + 9, r"'fault' must hold codes 0 to \d \(got 9 to 9\)"),
        (GOOD.astype(np.int64) - 1, r"codes 0 to \d \(got -1 to -1\)"),
        (GOOD[:, :0], r"\(got no cells\)"),
        (GOOD.astype(str), "must be integers"),
        (GOOD.astype(float), "must be integers"),
        (GOOD[0], "must be integers"),
        (np.array([[[{}]]], dtype=object), "not a readable .npz file"),
    ],
)
def test_a_fault_map_of_something_else_is_one_line(tmp_path: Path, fault: np.ndarray, message: str) -> None:
    path = tmp_path / "map.npz"
    np.savez(path, fault=fault)
    with pytest.raises(UserError, match=rf"map.npz: .*{message}"):
        _load_fault_map(path)


def test_a_fault_map_damaged_in_the_middle_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    np.savez_compressed(path, fault=np.random.default_rng(0).integers(0, 4, (2, 30, 30)).astype(np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"map.npz: not a readable .npz file"):
        _load_fault_map(path)
