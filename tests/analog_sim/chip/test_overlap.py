"""Pulses that are under way while their caller goes on: whoever looks at an array finds them done, with the same numbers as without."""

import numba
import numpy as np
import pytest

from analog_sim.chip.clock import Clock
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.chip.overlap import Overlapping, overlapping
from analog_sim.pulses.plans import PulseTrain
from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.random.streams import Streams
from devices.card import load_card

ROWS, COLS, SAMPLES = 600, 200, 32
SEVERAL = not JIT_OFF and numba.config.NUMBA_NUM_THREADS > 1
pytestmark = pytest.mark.jit


def train(seed=0):
    """Trains that pulse most cells of an array, long enough to be left to other threads."""
    stream = Streams(seed).stream("train")
    bits = [stream.integers(0, 8, (SAMPLES, n)).astype(np.uint64) for n in (ROWS, COLS)]
    signs = [(2 * stream.integers(0, 2, (SAMPLES, n)) - 1).astype(np.int8) for n in (ROWS, COLS)]
    return PulseTrain(*bits, *signs, length=3)


def crossbar(card="reram_soft_bounds"):
    return EmulatedCrossbar(load_card(card).compile(), ROWS, COLS, pair=True, streams=Streams(3), clock=Clock())


V = 0.2 * Streams(8).stream("v").normals((5, ROWS))
LOOKS = {
    "cells": lambda array: array.cells.g.copy(),
    "log": lambda array: array.log.state()["pulse"],
    "mvm": lambda array: array.mvm(V),
    "currents": lambda array: array.currents_now(V),
    "net": lambda array: array.net_now().copy(),
    "conductance": lambda array: array.read_conductance(slice(0, 3)),
    "glance": lambda array: array.glance(7, 5),
    "state": lambda array: array.state(cells=False)["last_write"],
    "wait": lambda array: array.wait(1.0),
    "flush": lambda array: array.flush(),
    "pulse": lambda array: array.pulse(train(1)),
    "program": lambda array: array.program(np.zeros((2, ROWS, COLS), np.float32)),
    "add": lambda array: array.add_ideal(np.full((ROWS, COLS), 1e-7, np.float32)),
    "restore": lambda array: array.restore(crossbar().state()),
}


def same(one, other):
    """Whether two states are the same to the bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return np.array_equal(one, other, equal_nan=True) if isinstance(one, np.ndarray) else one == other


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("read_before", [False, True])
def test_whoever_looks_finds_the_pulses_done(look, read_before):
    known, array = crossbar(), crossbar()
    if read_before:  # what is held for reads is mended
        known.mvm(V)
        array.mvm(V)
    known.pulse(train())
    expected = LOOKS[look](known)
    with overlapping:
        array.pulse(train())
        assert (array._under_way is not None) == SEVERAL
        found = LOOKS[look](array)
        assert array._under_way is None or look == "pulse"
    np.testing.assert_array_equal(found, expected)
    assert array._under_way is None
    assert same(array.state(), known.state())
    np.testing.assert_array_equal(array.mvm(V), known.mvm(V))


@pytest.mark.parametrize("card", ["reram_soft_bounds", "pcm_accumulate"])
def test_arrays_that_are_pulsed_at_the_same_time_are_as_if_one_after_the_other(card):
    arrays = [crossbar(card) for _ in range(4)]
    mode = {"mode": "one_sided"} if card == "pcm_accumulate" else {}
    plans = [PulseTrain(**{**vars(train(k)), **mode}) for k in range(2)]
    for array, plan in zip(arrays[:2], plans, strict=True):
        array.pulse(plan)
    with overlapping:
        for array, plan in zip(arrays[2:], plans, strict=True):
            array.pulse(plan)
        with overlapping:
            assert arrays[3].time == arrays[1].time
        assert (arrays[3]._under_way is not None) == SEVERAL  # an inner block is a part of the outer
    for one, other in zip(arrays[:2], arrays[2:], strict=True):
        assert other._under_way is None
        assert same(one.state(), other.state())


def test_outside_of_a_block_and_while_operations_are_recorded_pulses_are_waited_for():
    array = crossbar()
    array.pulse(train())
    assert array._under_way is None
    array.log.recording = True
    with overlapping:
        array.pulse(train())
        assert array._under_way is None
    assert array.log.operations[-1].kind == "pulse"


def test_a_block_that_fails_ends_what_is_under_way():
    array, block = crossbar(), []

    def fail():
        with overlapping:
            array.pulse(train())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert array._under_way is None
    assert array.log.units("pulse") > 0
    own = Overlapping()
    with own:
        own.end(lambda: block.append(1))
        assert not block
    assert block == [1]
    assert not own.open
