"""Kernels of an emulated chip loaded, or compiled, before anybody waits for them: a client's timeout is shorter than a compiler."""

from __future__ import annotations

import numpy as np

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Streams


def warm_up(cell: CellModel) -> None:
    """Do each kind of operation once on a scratch array of these cells."""
    array = EmulatedCrossbar(cell, 2, 2, pair=True, streams=Streams(0), clock=Clock())
    array.program(array.read_conductance())
    for transpose in (False, True):
        array.mvm(np.zeros((1, 2), np.float32), transpose=transpose)
    if cell.pulse is not None:
        array.pulse(PulseCounts(np.ones((2, 2, 2), np.int16)))
        ones, signs = np.ones((1, 2), np.uint64), np.ones((1, 2), np.int8)
        array.pulse(PulseTrain(ones, ones, signs, signs, 1))
    array.wait(1.0)
    array.mvm(np.zeros((1, 2), np.float32))
