"""What a pair of cells really does with the pulses of a scheme: by default the weight moves by what was asked."""

import warnings

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, PulseModel, constant_table
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import HalfUpdateWarning, Tile, TileSpec
from analog_sim.writing.deterministic_pulse import DeterministicPulse
from analog_sim.writing.ideal import Ideal
from analog_sim.writing.mixed_precision import MixedPrecision
from analog_sim.writing.proposal import Dense
from analog_sim.writing.stochastic_pulse import StochasticPulse

G_MAX, STEP = 20e-6, 2e-9
STEADY = CellModel(
    "steady",
    0.0,
    G_MAX,
    pulse=PulseModel(constant_table(STEP), constant_table(0.0), constant_table(-STEP), constant_table(0.0)),
)
W = np.zeros((20, 30), np.float32)
ASKED = 0.02 * Streams(1).stream("asked").normals(W.shape)


def moved(writing, **mapping):
    """Share of the wanted change that reaches the weights, of pairs that begin at weight 0."""
    tile = Tile(TileSpec(mapping=MappingSpec(weight_max=1.0, **mapping), writing=writing), STEADY, W.shape, Streams(3))
    tile.program(W)
    tile.update(Dense(-ASKED), 1.0)
    change = tile.read_weights(exact=True)
    return float((change * ASKED).sum() / (ASKED * ASKED).sum())


@pytest.mark.parametrize("pair", ["both", "one_sided"])
@pytest.mark.parametrize("scheme", [MixedPrecision, StochasticPulse, DeterministicPulse])
def test_the_default_pair_moves_by_what_was_asked(scheme, pair):
    fields = {"max_pulses": 1000} if scheme is MixedPrecision else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert moved(scheme(pair=pair, **fields)) == pytest.approx(1.0, abs=0.01)


def test_a_pair_at_the_end_of_its_window_moves_half_and_it_is_said():
    with pytest.warns(HalfUpdateWarning, match=r"'mixed_precision' pulses both cells .*sides: one.*half"):
        assert moved(MixedPrecision(max_pulses=1000), sides="one") == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("writing", "sides"),
    [(Ideal(), "one"), (MixedPrecision(), "two"), (MixedPrecision(pair="one_sided"), "one")],
    ids=str,
)
def test_the_write_scheme_decides_what_the_mapping_leaves_open(writing, sides):
    tile = Tile(TileSpec(writing=writing), STEADY, (2, 3), Streams(1))
    assert tile.mapping.sides == sides
