"""Converters for inputs that are never negative: all codes are used, a calibration decides, and nothing is clipped in silence."""

import warnings

import naive
import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, DriftModel, constant_table
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import AdcSpec, DacSpec
from analog_sim.reads.polarity import NegativeInputWarning
from analog_sim.tiles.tile import Tile, TileSpec

CELL = CellModel("exact", 0.0, 20e-6, drift=DriftModel(constant_table(0.05), constant_table(0.0), 1.0))
S = Streams(5)
W = np.eye(12, dtype=np.float32)
X = S.stream("x").uniforms((40, 12))
SIGNED = X - np.float32(0.5)


def tile_of(dac, w=W, **spec):
    tile = Tile(TileSpec(dac=dac, **spec), CELL, w.shape, Streams(2))
    tile.program(w)
    return tile


def seen(tile, x):
    """What the word lines carried, in full scales of each vector: the weights are those of the identity."""
    return tile.forward(x) / np.abs(x).max(axis=1, keepdims=True)


@pytest.mark.parametrize("bit_serial", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_inputs_that_are_never_negative_get_all_codes(bits, bit_serial):
    tile = tile_of(DacSpec(bits=bits, bit_serial=bit_serial))
    signed = seen(tile, X)  # nothing is known before a calibration
    tile.calibrate(X)
    unsigned = seen(tile, X)
    for found, without in ((signed, False), (unsigned, True)):
        slow = [[naive.dac_volts(float(v), float(max(row)), bits, 1.0, unsigned=without) for v in row] for row in X]
        np.testing.assert_allclose(found, slow, atol=1e-5)
    error = [np.abs(found - X / X.max(axis=1, keepdims=True)).max() for found in (signed, unsigned)]
    assert error[0] == pytest.approx(0.5 / (2 ** (bits - 1) - 1), rel=0.1)
    assert error[1] == pytest.approx(0.5 / (2**bits - 1), rel=0.1)


def test_four_bits_of_a_rectified_input_use_sixteen_codes():
    tile = tile_of(DacSpec(bits=4, scaling=1.0))
    ramp = np.tile(np.linspace(0.0, 1.0, 400, dtype=np.float32)[:, None], (1, 12))
    assert len(np.unique(tile.forward(ramp)[:, 0].round(4))) == 8
    tile.calibrate(ramp)
    assert len(np.unique(tile.forward(ramp)[:, 0].round(4))) == 16


@pytest.mark.parametrize("signed", [True, "auto"])
def test_inputs_of_both_signs_keep_codes_for_both(signed):
    tile = tile_of(DacSpec(bits=4, signed=signed))
    tile.calibrate(SIGNED)
    before = tile.forward(SIGNED)
    if signed is True:
        tile.calibrate(X)
    np.testing.assert_array_equal(tile.forward(SIGNED), before)
    assert (before < 0).any()


def test_later_negatives_bring_both_signs_back_and_are_said_once():
    tile, other = (tile_of(DacSpec(bits=4)) for _ in range(2))
    tile.calibrate(X)
    with pytest.warns(NegativeInputWarning, match="both signs again"):
        found = tile.forward(SIGNED)
    np.testing.assert_array_equal(found, other.forward(SIGNED))
    tile.calibrate(X)  # they were negative once: a sample without a negative one proves nothing
    np.testing.assert_array_equal(tile.forward(X), other.forward(X))


def test_a_converter_without_negative_codes_counts_and_says_what_it_sets_to_zero():
    tile = tile_of(DacSpec(bits=4, signed=False))
    with pytest.warns(NegativeInputWarning, match=rf"{(SIGNED < 0).sum()} of {SIGNED.size} inputs are set to 0"):
        found = tile.forward(SIGNED)
    assert found.min() >= 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tile.forward(SIGNED)  # said once
    assert tile.state()["polarity"][1] == 2 * (SIGNED < 0).sum()


def test_transposed_reads_have_both_signs():
    tile, plain = tile_of(DacSpec(bits=4)), tile_of(DacSpec(bits=4, signed=True))
    tile.calibrate(X)
    np.testing.assert_array_equal(tile.backward(SIGNED), plain.backward(SIGNED))


@pytest.mark.parametrize("signed", ["auto", True, False])
def test_the_drift_compensation_is_not_misled(signed):
    tile = tile_of(DacSpec(bits=6, signed=signed), np.abs(S.stream("w").normals((12, 12))), compensation="global")
    tile.calibrate(X)
    before = tile.forward(X)
    tile.wait(86400.0)
    tile.compensate()
    np.testing.assert_allclose(tile.gain, 86400.0**0.05, rtol=2e-3)
    np.testing.assert_allclose(tile.forward(X), before, rtol=2e-2)


def test_a_checkpoint_keeps_the_polarity():
    tile = tile_of(DacSpec(bits=4), adc=AdcSpec(bits=8))
    tile.calibrate(X)
    other = tile_of(DacSpec(bits=4), adc=AdcSpec(bits=8))
    other.restore(tile.state())
    np.testing.assert_array_equal(other.forward(X), tile.forward(X))


def test_an_ideal_converter_has_no_codes_to_decide_about():
    tile = tile_of(DacSpec())
    tile.calibrate(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(tile.forward(SIGNED), SIGNED, atol=1e-5)
