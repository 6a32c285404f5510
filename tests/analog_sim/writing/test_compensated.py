"""Write schemes on tiles whose drift is compensated by a digital gain: what is in the gain must not be written into the cells twice."""

import numpy as np
import pytest

from analog_sim.cell import CellModel, DriftModel, PulseModel, constant_table
from analog_sim.mapping import MappingSpec
from analog_sim.rng import Streams
from analog_sim.tile import Tile, TileSpec
from analog_sim.writing.mixed_precision import MixedPrecision
from analog_sim.writing.proposal import Dense
from analog_sim.writing.pulsed import RefreshSpec
from analog_sim.writing.write_verify import WriteVerify

G_MAX, NU, T_REF = 20e-6, 0.05, 1.0
STEPS = PulseModel(constant_table(1e-9), constant_table(0.0), constant_table(-1e-9), constant_table(0.0))
CELL = CellModel("drifts", 0.0, G_MAX, pulse=STEPS, drift=DriftModel(constant_table(NU), constant_table(0.0), T_REF))
W = 0.3 * Streams(1).stream("w").normals((6, 40))
NO_CHANGE = Dense(np.zeros_like(W))
SIDES = pytest.mark.parametrize("sides", ["one", "two"])
COMPENSATION = pytest.mark.parametrize("compensation", ["global", "per_column"])


def compensated(writing, sides, compensation):
    """A tile a day after programming, its gain measured: the cells have lost 1 - 86400**-0.05 = 43 %."""
    mapping = MappingSpec(weight_max=2.0, sides=sides)
    tile = Tile(TileSpec(mapping=mapping, compensation=compensation, writing=writing), CELL, W.shape, Streams(3))
    tile.program(W)
    tile.wait(86400.0)
    tile.compensate()
    np.testing.assert_allclose(tile.gain, 86400.0**NU, rtol=1e-3)
    return tile


@SIDES
@COMPENSATION
@pytest.mark.parametrize("pair", ["both", "one_sided"])
def test_a_refresh_writes_the_weight_once_and_references_the_compensation_anew(sides, compensation, pair):
    tile = compensated(MixedPrecision(pair=pair, refresh=RefreshSpec(every=1)), sides, compensation)
    tile.update(NO_CHANGE, 1.0)
    np.testing.assert_array_equal(tile.gain, 1.0)
    np.testing.assert_allclose(tile.read_weights(exact=True), W, rtol=2e-3, atol=1e-5)
    # Measured against the cells as refreshed: nothing to undo now, and tomorrow again what a day costs.
    tile.compensate()
    np.testing.assert_allclose(tile.gain, 1.0, atol=1e-3)
    tile.wait(86400.0)
    tile.compensate()
    np.testing.assert_allclose(tile.gain, 86400.0**NU, rtol=1e-3)
    np.testing.assert_allclose(tile.read_weights(exact=True), W, rtol=3e-3, atol=1e-5)


@SIDES
def test_write_verify_divides_the_gain_out_of_what_it_programs(sides):
    tile = compensated(WriteVerify(tolerance=0.001), sides, "global")
    change = np.zeros_like(W)
    change[:, ::2] = 0.2
    tile.update(Dense(change), 1.0)
    assert tile.writing_statistics()["programmed"] == change.size / 2
    np.testing.assert_allclose(tile.read_weights(exact=True), W - change, atol=4e-3)


def test_a_checkpoint_after_a_refresh_keeps_the_new_reference():
    writing = MixedPrecision(refresh=RefreshSpec(every=1))
    tile = compensated(writing, "two", "per_column")
    tile.update(NO_CHANGE, 1.0)
    other = Tile(tile.spec, CELL, W.shape, Streams(3))
    other.restore(tile.state())
    for each in (tile, other):
        each.wait(1e6)
        each.compensate()
    np.testing.assert_array_equal(other.gain, tile.gain)
