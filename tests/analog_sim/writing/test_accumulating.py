"""Write schemes that add gradients up digitally before they touch a cell: mixed precision, sign, write-verify."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, PulseModel, constant_table
from analog_sim.config import UserError
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.mixed_precision import MixedPrecision
from analog_sim.writing.proposal import Dense, OuterProduct
from analog_sim.writing.pulsed import RefreshSpec
from analog_sim.writing.sign import Sign
from analog_sim.writing.write_verify import WriteVerify

G_MAX, STEP = 20e-6, 0.02e-6
STEADY = PulseModel(constant_table(STEP), constant_table(0.0), constant_table(-STEP), constant_table(0.0))
PULSED = CellModel("steady steps", 0.0, G_MAX, pulse=STEADY)
W = 0.3 * Streams(1).stream("w").normals((6, 8))
X, D = Streams(1).stream("x").normals((4, 8)), Streams(1).stream("d").normals((4, 6))
MAPPINGS = [
    MappingSpec(weight_max=2.0),
    MappingSpec(weight_max=2.0, sides="two"),
    MappingSpec(weight_max=2.0, kind="reference"),
    MappingSpec(weight_max=2.0, sides="two", max_rows=3, max_cols=4),
]


def tile_of(writing, mapping=MAPPINGS[1], cell=PULSED):
    tile = Tile(TileSpec(mapping=mapping, writing=writing), cell, W.shape, Streams(3))
    tile.program(W)
    return tile


def weight_step(mapping, pair="both"):
    """What one pulse per cell does to a weight of this tile."""
    cells = {"differential": 2 if pair == "both" else 1, "reference": 1}[mapping.kind]
    window = G_MAX if mapping.pair else G_MAX / 2
    return cells * STEP / window * 2.0


@pytest.mark.parametrize("mapping", MAPPINGS[1:], ids=lambda m: f"{m.kind}-{m.max_rows}")
def test_mixed_precision_writes_the_sum_of_gradients_to_within_a_step(mapping):
    tile = tile_of(MixedPrecision(), mapping)
    for _ in range(20):
        tile.update(OuterProduct(X, D), 0.003)
    wanted = W - 20 * 0.003 * D.T @ X
    assert np.abs(tile.read_weights() - wanted).max() < 1.01 * weight_step(mapping)
    assert tile.writing_statistics()["pulses"] > 0


def test_mixed_precision_sends_nothing_before_a_step_is_due():
    tile = tile_of(MixedPrecision())
    small = np.full(W.shape, 0.3 * weight_step(MAPPINGS[1]), np.float32)
    for k in range(3):
        tile.update(Dense(small), 1.0)
        assert tile.writing_statistics()["pulses"] == 0, k
    tile.update(Dense(small), 1.0)
    np.testing.assert_allclose(tile.read_weights(), W - weight_step(MAPPINGS[1]), atol=1e-5)


def test_one_sided_pulses_only_potentiate_and_a_refresh_recovers_the_window():
    mapping = MAPPINGS[0]
    kept, refreshed = (
        tile_of(MixedPrecision(pair="one_sided", refresh=refresh), mapping) for refresh in (None, RefreshSpec(every=10))
    )
    before = kept.blocks[0].crossbar.conductance_now().copy()
    swing = Dense(np.full(W.shape, 10 * weight_step(mapping, "one_sided"), np.float32))
    for tile in (kept, refreshed):
        for k in range(20):
            tile.update(swing, 1.0 if k % 2 else -1.0)
        np.testing.assert_allclose(tile.read_weights(), W, atol=1e-4)
    after = kept.blocks[0].crossbar.conductance_now()
    assert (after >= before).all()
    assert after.sum() > refreshed.blocks[0].crossbar.conductance_now().sum() * 1.05
    assert refreshed.writing_statistics()["refreshes"] == 2


def test_sign_moves_every_weight_by_one_pulse_against_the_gradient():
    tile = tile_of(Sign())
    gradient = D.T @ X
    tile.update(OuterProduct(X, D), 1e-9)
    np.testing.assert_allclose(tile.read_weights(), W - np.sign(gradient) * weight_step(MAPPINGS[1]), atol=1e-5)


def test_sign_threshold_leaves_small_gradients_alone():
    tile = tile_of(Sign(threshold=0.5))
    gradient = D.T @ X
    tile.update(OuterProduct(X, D), 1.0)
    moved = np.abs(tile.read_weights() - W) > 1e-5
    np.testing.assert_array_equal(moved, np.abs(gradient) > 0.5 * np.abs(gradient).max())


@pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda m: f"{m.kind}-{m.sides}-{m.max_rows}")
def test_write_verify_stays_within_its_tolerance(mapping):
    cell = CellModel("programmed", 0.0, G_MAX, program_std=constant_table(0.002 * G_MAX))
    tile = tile_of(WriteVerify(tolerance=0.02, rounds=20), mapping, cell)
    start = tile.read_weights()
    for _ in range(5):
        tile.update(OuterProduct(X, D), 0.01)
    assert np.abs(tile.read_weights() - (start - 5 * 0.01 * D.T @ X)).max() <= 0.02 * 2.0 * 1.001
    assert tile.writing_statistics()["programmed"] < 5 * 20 * W.size


@pytest.mark.parametrize("writing", [MixedPrecision(), Sign(every=3), WriteVerify(every=2)], ids=lambda s: s.kind)
def test_a_restored_writer_goes_on_with_the_same_bits(writing):
    tile = tile_of(writing)
    for _ in range(4):
        tile.update(OuterProduct(X, D), 0.002)
    saved = tile.state()
    other = Tile(TileSpec(mapping=MAPPINGS[1], writing=writing), PULSED, W.shape, Streams(3))
    other.restore(saved)
    for t in (tile, other):
        for _ in range(4):
            t.update(OuterProduct(X, D), 0.002)
    np.testing.assert_array_equal(tile.read_weights(), other.read_weights())
    assert tile.writing_statistics() == other.writing_statistics()


def test_cells_without_pulses_are_refused():
    with pytest.raises(UserError, match="pulsed"):
        tile_of(MixedPrecision(), cell=CellModel("programmed only", 0.0, G_MAX)).update(OuterProduct(X, D), 0.1)
    against = PulseModel(constant_table(-STEP), constant_table(0.0), constant_table(STEP), constant_table(0.0))
    with pytest.raises(UserError, match="more than 0"):
        tile_of(MixedPrecision(), cell=CellModel("wrong way", 0.0, G_MAX, pulse=against)).update(
            OuterProduct(X, D), 0.1
        )


@pytest.mark.parametrize("writing", [MixedPrecision(), WriteVerify()], ids=lambda s: s.kind)
def test_a_writer_restored_on_a_new_tile_has_the_scale_of_the_checkpoint(writing):
    """With `weight_max: absmax` the scale is known only from the checkpoint."""
    spec = TileSpec(mapping=MappingSpec(sides="two"), writing=writing)
    tile, other = (Tile(spec, PULSED, W.shape, Streams(3)) for _ in range(2))
    tile.program(5.0 * W)
    tile.update(OuterProduct(X, D), 0.02)
    other.restore(tile.state())
    for t in (tile, other):
        t.update(OuterProduct(X, D), 0.02)
    np.testing.assert_array_equal(tile.read_weights(), other.read_weights())
