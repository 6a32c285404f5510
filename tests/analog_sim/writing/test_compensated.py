"""Write schemes on tiles whose drift is compensated by a digital gain: what is in the gain must not be written into the cells twice."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, DriftModel, PulseModel, constant_table
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.deterministic_pulse import DeterministicPulse
from analog_sim.writing.ideal import Ideal
from analog_sim.writing.mixed_precision import MixedPrecision
from analog_sim.writing.proposal import Dense, OuterProduct
from analog_sim.writing.pulsed import RefreshSpec
from analog_sim.writing.stochastic_pulse import StochasticPulse
from analog_sim.writing.tiki_taka_v2 import TikiTakaV2
from analog_sim.writing.write_verify import WriteVerify

G_MAX, NU, T_REF = 20e-6, 0.05, 1.0
STEPS = PulseModel(constant_table(1e-9), constant_table(0.0), constant_table(-1e-9), constant_table(0.0))
CELL = CellModel("drifts", 0.0, G_MAX, pulse=STEPS, drift=DriftModel(constant_table(NU), constant_table(0.0), T_REF))
STILL = CellModel("still", 0.0, G_MAX, pulse=STEPS)
GAIN = np.linspace(0.8, 2.0, 6, dtype=np.float32)
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
@pytest.mark.filterwarnings("ignore::analog_sim.tiles.tile.HalfUpdateWarning")
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


@COMPENSATION
def test_weights_written_anew_are_the_reference_of_the_next_compensation(compensation):
    """Half the weights are half the outputs: against the reference of the old ones they would count as drift, to be doubled."""
    tile = compensated(Ideal(), "two", compensation)
    tile.write_weights(0.5 * W)
    np.testing.assert_array_equal(tile.gain, 1.0)
    tile.compensate()
    np.testing.assert_allclose(tile.gain, 1.0, atol=1e-3)
    tile.wait(86400.0)
    tile.compensate()
    np.testing.assert_allclose(tile.read_weights(exact=True), 0.5 * W, rtol=3e-3, atol=1e-5)


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


def with_gain(writing, gain):
    """A tile of cells that do not drift, with digital gains (n_out,) as a compensation would have left them."""
    tile = Tile(TileSpec(mapping=MappingSpec(weight_max=2.0, sides="two"), writing=writing), STILL, W.shape, Streams(3))
    tile.program(W)
    tile.restore(tile.state() | {"gain": gain})
    return tile


def uniform(name, shape):
    return 0.5 + 0.5 * Streams(7).stream(name).uniforms(shape).astype(np.float32)


OUTER = OuterProduct(uniform("x", (64, 40)), uniform("d", (64, 6)) * np.float32(1 / 64))


@pytest.mark.parametrize("proposal", [OUTER, Dense(OUTER.dense())], ids=["outer product", "dense"])
@pytest.mark.parametrize(
    "writing",
    [
        Ideal(),
        StochasticPulse(length=63),
        DeterministicPulse(length=63),
        MixedPrecision(max_pulses=1000),
        WriteVerify(),
    ],
    ids=lambda writing: writing.kind,
)
def test_a_wanted_step_is_the_step_of_the_weight_gain_included(writing, proposal):
    """Some 300 pulses a cell, 40 cells a column: the mean of a column is known to 1 %, and gains are 0.8 to 2."""
    tile = with_gain(writing, GAIN)
    before = tile.read_weights(exact=True)
    np.testing.assert_allclose(before.mean(axis=1), GAIN * W.mean(axis=1), atol=1e-5)
    tile.update(proposal, 0.1)
    change = before - tile.read_weights(exact=True)
    np.testing.assert_allclose(change.mean(axis=1), 0.1 * proposal.dense().mean(axis=1), rtol=0.04)


def test_an_accumulator_holds_what_the_weights_lack_while_the_gain_changes():
    """Half a step gathered at gain 2 is a whole one of a cell that counts half: it is sent when the gain has fallen."""
    step = 2e-9 / 1e-5  # of a pair, in weights: the scale is 1e-5 S
    tile = with_gain(MixedPrecision(), np.full(6, 2.0, np.float32))
    before = tile.read_weights(exact=True)
    tile.update(Dense(np.full_like(W, -1.6 * step)), 1.0)
    np.testing.assert_array_equal(tile.read_weights(exact=True), before)  # a pulse would change the weight by 2 steps
    tile.restore(tile.state() | {"gain": np.ones(6, np.float32)})
    tile.update(NO_CHANGE, 1.0)
    np.testing.assert_allclose(tile.read_weights(exact=True) - before / 2, step, rtol=0.01)


def test_what_was_sent_leaves_the_accumulator_gain_included():
    """Five steps, then one, at a gain of 2: two pulses and a third, six steps in all."""
    step = 2e-9 / 1e-5
    tile = with_gain(MixedPrecision(), np.full(6, 2.0, np.float32))
    before = tile.read_weights(exact=True)
    for wanted in (5.2, 1.0):
        tile.update(Dense(np.full_like(W, -wanted * step)), 1.0)
    np.testing.assert_allclose(tile.read_weights(exact=True) - before, 6 * step, rtol=0.02)


@pytest.mark.jit
def test_tiki_taka_moves_the_weights_alike_whatever_the_gain():
    """The fast array sees the same gradients; the transfers differ by at most what waits in the filter, one step of a cell."""
    writing = TikiTakaV2(
        auto_scale=False, fast_rate=50.0, granularity="gradient", transfer=2.0, every=64, max_pulses=63
    )
    ends = []
    for gain in (np.ones(6, np.float32), GAIN):
        tile = with_gain(writing, gain)
        before = tile.read_weights(exact=True)
        for _ in range(80):
            tile.update(OUTER, 2e-4)
        ends.append(tile.read_weights(exact=True) - before)
    assert np.abs(ends[0]).min() > 20 * 2e-4
    assert np.abs(ends[1] - ends[0]).max() < 2 * 2e-4 * (1 + GAIN.max())
