"""Programming a tile anew starts its write scheme anew: other weights, other siemens per weight, nothing left to send."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, PulseModel, constant_table
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.deterministic_pulse import DeterministicPulse
from analog_sim.writing.mixed_precision import MixedPrecision
from analog_sim.writing.proposal import Dense

STEP = 1e-9
STEADY = CellModel(
    "steady",
    0.0,
    20e-6,
    pulse=PulseModel(constant_table(STEP), constant_table(0.0), constant_table(-STEP), constant_table(0.0)),
)


@pytest.mark.parametrize("writing", [DeterministicPulse(), MixedPrecision()], ids=["deterministic", "mixed precision"])
def test_an_update_after_programming_uses_the_new_scale(writing):
    """A change of 20 steps at the scale in force, after the weights have grown tenfold: rounded to a step and no more."""
    tile = Tile(TileSpec(mapping=MappingSpec(sides="two"), writing=writing), STEADY, (3, 4), Streams(1))
    w = np.full((3, 4), 0.1, np.float32)
    for factor in (1.0, 10.0):
        tile.program(factor * w)
        wanted = 20 * 2 * STEP / tile.scale
        before = tile.read_weights(exact=True)
        tile.update(Dense(np.full((3, 4), wanted, np.float32)), 1.0)
        moved = before - tile.read_weights(exact=True)
        np.testing.assert_allclose(moved, wanted, atol=1.01 * wanted / 20)


def test_an_accumulator_does_not_outlive_its_weights():
    tile = Tile(TileSpec(mapping=MappingSpec(sides="two"), writing=MixedPrecision()), STEADY, (1, 1), Streams(1))
    tile.program(np.ones((1, 1), np.float32))
    half_step = np.full((1, 1), 0.6 * 2 * STEP / tile.scale, np.float32)
    tile.update(Dense(half_step), 1.0)
    tile.program(np.ones((1, 1), np.float32))
    before = tile.read_weights(exact=True)
    tile.update(Dense(half_step), 1.0)
    np.testing.assert_array_equal(tile.read_weights(exact=True), before)
