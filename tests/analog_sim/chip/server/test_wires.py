"""A served chip has its own wires: the bits of a sealed chip that has the same, and no client's wish for others is passed over."""

from __future__ import annotations

import numpy as np
import pytest

from analog_sim.chip.backends.sealed import Sealed
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabrication
from analog_sim.chip.server.serve import running
from analog_sim.config import UserError, validate
from analog_sim.random.streams import Streams
from analog_sim.wires import WiresSpec
from learning.experiments.configs.serve import ServeConfig, served_chip

from .test_clients import fabric

WIRES = {"word_line": "50 ohm", "bit_line": "20 ohm", "driver": "100 ohm"}


@pytest.mark.jit
def test_reads_over_the_socket_see_the_wires_of_the_served_file() -> None:
    served, _ = served_chip(validate({"schema": "serve/1", "device": "ecram", "wires": WIRES}, ServeConfig))
    cell = served.fabric.cell
    wishes = Fabrication(wires=validate(WIRES, WiresSpec))
    name, v = ("a",), np.random.default_rng(0).uniform(-0.05, 0.05, (3, 12)).astype(np.float32)
    found = {}
    with running(served) as port:
        there = fabric(cell, port)
        with pytest.raises(UserError, match=r"tile\.wires: a served chip has its own wires"):
            there.crossbar(name, 12, 9, pair=True, wishes=wishes)
        local = Sealed().fabric(cell, Streams(0).child("chip"), Clock(), None)
        for place, array in {
            "socket": there.crossbar(name, 12, 9, pair=True),
            "here": local.crossbar(name, 12, 9, pair=True, wishes=wishes),
            "ideal": local.crossbar(("b",), 12, 9, pair=True),
        }.items():
            array.program(np.full((2, 12, 9), [[[0.9 * cell.g_max]], [[cell.g_min]]], np.float32))
            found[place] = array.mvm(v)
        there.link.close()
    np.testing.assert_array_equal(found["socket"], found["here"])
    assert np.abs(found["here"] - found["ideal"]).max() > 0.01 * np.abs(found["ideal"]).max(), "wires that matter"


@pytest.mark.parametrize("remedy", [{"column_gain": True}, {"programming": "effective"}])
def test_remedies_are_the_clients(remedy: dict[str, object]) -> None:
    with pytest.raises(UserError, match=rf"wires: {next(iter(remedy))}: .* not by a served chip"):
        validate({"schema": "serve/1", "device": "ecram", "wires": {**WIRES, **remedy}}, ServeConfig)


def test_arrays_that_exist_refuse_wires() -> None:
    fixed = {"kind": "fixed_arrays", "arrays": 1, "rows": 8, "cols": 8}
    with pytest.raises(UserError, match=r"wires: arrays that exist .* have their own wires"):
        validate({"schema": "serve/1", "device": "ecram", "wires": WIRES, "chip": fixed}, ServeConfig)
