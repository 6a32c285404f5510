"""A pair of two plain arrays does what an array of pairs does."""

from __future__ import annotations

import numpy as np
import pytest
from conformance.resistors import Resistors

from analog_sim.chip.clock import Clock
from analog_sim.chip.pairs import PairOfArrays
from analog_sim.pulses.plans import PulseTrain
from devices.card import load_card

CELL = load_card("ecram").compile()


@pytest.mark.parametrize("mode", ["both", "one_sided"])
def test_a_train_moves_every_cell_as_on_an_array_of_pairs(mode: str) -> None:
    rng = np.random.default_rng(4)
    samples, rows, cols, length = 5, 4, 3, 31
    bits = [rng.integers(0, 2**length, (samples, n), dtype=np.uint64) for n in (rows, cols)]
    signs = [rng.choice(np.array([-1, 1], np.int8), (samples, n)) for n in (rows, cols)]
    plan = PulseTrain(bits[0], bits[1], signs[0], signs[1], length, mode)
    whole = Resistors(CELL, rows, cols, True, Clock())
    pair = PairOfArrays(*(Resistors(CELL, rows, cols, False, Clock()) for _ in range(2)))
    middle = np.full((2, rows, cols), (CELL.g_min + CELL.g_max) / 2, np.float32)
    for array in (whole, pair):
        array.program(middle)
        array.pulse(plan)
    changed = whole.read_conductance()
    assert (changed != middle).mean() > 0.4
    np.testing.assert_array_equal(pair.read_conductance(), changed)
    assert pair.log.units("pulse") == whole.log.units("pulse")
