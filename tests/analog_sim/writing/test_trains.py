"""Write schemes by pulse trains: the mean update is the gradient step, clipping is said once, a restored writer goes on.

False alarms: fixed seeds, alpha = 1e-5 for each of six assertions over means.
"""

import warnings

import numpy as np
import pytest
import statistics_helpers as stats

from analog_sim.cells.cell_model import CellModel, PulseModel, VariationModel, constant_table
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.agad import Agad
from analog_sim.writing.clipping import MOST_PULSES, PulseClippingWarning, whole_pulses
from analog_sim.writing.deterministic_pulse import DeterministicPulse
from analog_sim.writing.proposal import Dense, OuterProduct
from analog_sim.writing.stochastic_pulse import StochasticPulse
from analog_sim.writing.tiki_taka_chopped import TikiTakaChopped
from analog_sim.writing.tiki_taka_v1 import TikiTakaV1
from analog_sim.writing.tiki_taka_v2 import TikiTakaV2
from analog_sim.writing.trains import probabilities, strengths
from analog_sim.writing.transfer import symmetric_conductance

G_MAX, STEP = 20e-6, 1e-9
STEADY = CellModel(
    "steady",
    0.0,
    G_MAX,
    pulse=PulseModel(constant_table(STEP), constant_table(0.3 * STEP), constant_table(-STEP), constant_table(0.0)),
)
S = Streams(1)
X, D = S.stream("x").normals((6, 8)), 0.3 * S.stream("d").normals((6, 5))
MAPPING = MappingSpec(weight_max=2.0, sides="two")


def tile_of(writing, cell=STEADY, shape=(5, 8), mapping=MAPPING, w=None, **spec):
    tile = Tile(TileSpec(mapping=mapping, writing=writing, **spec), cell, shape, Streams(3))
    tile.program(np.zeros(shape, np.float32) if w is None else w)
    return tile


@pytest.mark.jit
@pytest.mark.parametrize(
    "mapping",
    [MAPPING, MappingSpec(weight_max=2.0, kind="reference"), MappingSpec(weight_max=2.0, sides="two", max_rows=3)],
    ids=str,
)
@pytest.mark.parametrize(
    "writing", [StochasticPulse(), StochasticPulse(adapt_length=False, length=63), DeterministicPulse()], ids=str
)
def test_mean_update_is_the_gradient_step(writing, mapping):
    tile = tile_of(writing, mapping=mapping)
    rate, repeats = 2e-4, 300
    before, errors = tile.read_weights(), []
    wanted = -rate * D.T @ X
    for _ in range(repeats):
        tile.update(OuterProduct(X, D), rate)
        after = tile.read_weights()
        errors.append((after - before - wanted) / np.abs(wanted).mean())
        before = after
    stats.assert_mean(np.mean(errors, axis=(1, 2)), 0.0, 1e-5, slack=2e-3)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.35


def test_a_negative_rate_goes_up_the_gradient():
    for writing in (StochasticPulse(), DeterministicPulse()):
        tile = tile_of(writing)
        for _ in range(20):
            tile.update(OuterProduct(X, D), -2e-4)
        moved = tile.read_weights().ravel()
        assert np.corrcoef(moved, (D.T @ X).ravel())[0, 1] > 0.95


def test_a_dense_gradient_is_rounded_without_bias():
    for writing in (StochasticPulse(), DeterministicPulse()):
        tile = tile_of(writing)
        for _ in range(50):
            tile.update(Dense(D.T @ X), 2e-4)
        np.testing.assert_allclose(tile.read_weights(), -50 * 2e-4 * D.T @ X, atol=0.01)


def test_strengths_ask_for_the_product_and_use_short_trains():
    chosen = strengths(OuterProduct(X, D), 3.0, 31, balance=True, adapt=True)
    row, col = probabilities(X, chosen.row), probabilities(D, chosen.col)
    expected = chosen.length[:, None, None] * row[:, :, None] * col[:, None, :]
    np.testing.assert_allclose(expected, 3.0 * np.abs(X[:, :, None] * D[:, None, :]), rtol=1e-4)
    assert chosen.clipped == 0.0
    assert chosen.length.max() <= np.ceil(3.0 * np.abs(X).max() * np.abs(D).max())
    np.testing.assert_allclose(row.max(axis=1), col.max(axis=1), rtol=1e-4)
    silent = strengths(OuterProduct(np.zeros_like(X), D), 3.0, 31, balance=True, adapt=True)
    assert (silent.length == 1).all()
    assert silent.clipped == 0.0


def test_clipping_is_said_once_with_its_share():
    tile = tile_of(StochasticPulse(length=3))
    with pytest.warns(PulseClippingWarning, match=r"100 % of the samples.*3 slots"):
        tile.update(OuterProduct(X, D), 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tile.update(OuterProduct(X, D), 1.0)
    assert tile.writing_statistics()["clipped"] == 1.0


@pytest.mark.jit
@pytest.mark.parametrize("writing", [StochasticPulse(), DeterministicPulse()], ids=lambda w: w.kind)
def test_a_dense_gradient_beyond_a_pulse_counter_is_clipped_with_its_sign(writing):
    """70,000 pulses would be 4,464 in 16 bits, and 40,000 would go the other way."""
    tile = tile_of(writing, shape=(4, 1))
    wanted = np.array([[70_000], [-70_000], [40_000], [0]], np.float32)
    with pytest.warns(PulseClippingWarning, match=rf"{writing.kind}: 75 % of the cells.*{MOST_PULSES} pulses"):
        tile.update(Dense(-wanted * 2 * STEP / np.float32(tile.scale)), 1.0)
    moved = tile.read_weights(exact=True) * tile.scale / (2 * STEP)
    # All end at the bounds of the window, 10,000 steps from its middle.
    np.testing.assert_allclose(moved, np.sign(wanted) * G_MAX / 2 / STEP, atol=1.5)
    assert tile.writing_statistics()["clipped"] == pytest.approx(0.75)


def test_whole_pulses_keep_the_mean_and_the_counter():
    counts, clipped = whole_pulses(np.array([1e9, -1e9, 32_767.0, -2.5, 0.25], np.float32), 0.75)
    assert counts.tolist() == [MOST_PULSES, -MOST_PULSES, MOST_PULSES, -2, 1]
    assert clipped == 0.4
    drawn, _ = whole_pulses(np.full(10_000, 0.3, np.float32), Streams(0).stream("rounding"))
    stats.assert_mean(drawn, 0.3, 1e-4)


def test_deterministic_trains_say_when_they_are_clipped():
    tile = tile_of(DeterministicPulse(length=3))
    with pytest.warns(PulseClippingWarning, match=r"100 % of the samples.*3 slots"):
        tile.update(OuterProduct(X, D), 1.0)


def soft_bounds(step, spread=0.0):
    up, down = np.array([[step, 0.0]], np.float32), np.array([[0.0, -step]], np.float32)
    pulse = PulseModel(up, 0.3 * up, down, -0.3 * down)
    return CellModel("soft bounds", 0.0, G_MAX, pulse=pulse, variation=VariationModel(gain_up=spread, gain_down=spread))


def test_symmetric_conductance():
    assert symmetric_conductance(soft_bounds(1e-8)) == pytest.approx(G_MAX / 2)
    lopsided = PulseModel(
        np.array([[3e-8, 0]], np.float32), constant_table(0), np.array([[0, -1e-8]], np.float32), constant_table(0)
    )
    assert symmetric_conductance(CellModel("lopsided", 0.0, G_MAX, pulse=lopsided)) == pytest.approx(
        0.75 * G_MAX, rel=0.01
    )


def test_the_array_of_tiki_taka_costs_and_wears_as_the_weights_do():
    tile = tile_of(TikiTakaV2(every=1, zero_shift=2, zero_reads=4), soft_bounds(0.02e-6), count_pulses=True)
    assert tile.helpers() == {}
    before = tile.costs()
    for _ in range(3):
        tile.update(OuterProduct(X, D), 1e-2)
    fast = tile.helpers()["fast"]
    own = sum(int(block.crossbar.cells.count.sum()) for block in tile.blocks)
    on_fast = sum(int(block.crossbar.cells.count.sum()) for block in fast.blocks)
    assert on_fast > 0
    assert tile.costs().pulses == own + on_fast
    assert tile.costs().reads == before.reads + 4 * tile.shape[1] + 3 * len(X)  # four at the start, to know the zero
    assert tile.costs().programmed == before.programmed + 2 * tile.shape[0] * tile.shape[1]


@pytest.mark.parametrize(
    "writing",
    [
        StochasticPulse(),
        DeterministicPulse(),
        TikiTakaV1(every=1, zero_shift=2),
        TikiTakaV2(every=1, zero_shift=2),
        TikiTakaChopped(every=1, chopper=0.4),
        Agad(every=1, chopper=0.5),
    ],
    ids=lambda s: s.kind,
)
def test_a_restored_writer_goes_on_with_the_same_bits(writing):
    cell = soft_bounds(0.02e-6, spread=0.2)
    tile = tile_of(writing, cell)
    for _ in range(5):
        tile.update(OuterProduct(X, D), 1e-2)
    saved = tile.state()
    other = Tile(TileSpec(mapping=MAPPING, writing=writing), cell, (5, 8), Streams(3))
    other.restore(saved)
    for t in (tile, other):
        for _ in range(5):
            t.update(OuterProduct(X, D), 1e-2)
    np.testing.assert_array_equal(tile.read_weights(), other.read_weights())
    assert tile.time == other.time
