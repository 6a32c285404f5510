"""No stream of a tile is shared, restarted or forgotten: by programming anew, by a writer made anew, by a checkpoint; for every scheme."""

import numpy as np
import pytest
from catalogue import WRITING
from stream_helpers import names, positions, streams_in

from analog_sim.cells.cell_model import CellModel, DriftModel, PulseModel, constant_table
from analog_sim.config import discover
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.reads.converters import AdcSpec
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.proposal import Dense, OuterProduct
from analog_sim.writing.scheme import WriteScheme
from analog_sim.writing.stochastic_pulse import StochasticPulse

G_MAX, STEP = 20e-6, 0.2e-6
CELL = CellModel(
    "noisy and drifting",
    0.0,
    G_MAX,
    pulse=PulseModel(
        constant_table(STEP), constant_table(0.3 * STEP), constant_table(-STEP), constant_table(0.3 * STEP)
    ),
    program_std=constant_table(0.01 * G_MAX),
    drift=DriftModel(constant_table(0.05), constant_table(0.0), 1.0),
)
S = Streams(1)
X, D = S.stream("x").normals((12, 8)), 0.3 * S.stream("d").normals((12, 5))
W = 0.3 * S.stream("w").normals((5, 8))
SCHEMES = [
    discover("analog_sim.writing", WriteScheme)[kind].model_validate({"kind": kind, **fields})
    for kind, rows in WRITING.items()
    for fields in rows
]
EVERY_SCHEME = pytest.mark.parametrize("writing", SCHEMES, ids=str)


def tile_of(writing):
    spec = TileSpec(mapping=MappingSpec(weight_max=2.0), writing=writing, adc=AdcSpec(bits=9, noise=0.01))
    return Tile(spec, CELL, W.shape, Streams(3))


def use(tile):
    """Everything that draws: updates of both kinds, both reads, weights read back, time."""
    tile.update(OuterProduct(X, D), 0.05)
    tile.update(Dense(D.T @ X), 0.05)
    tile.forward(X)
    tile.backward(D)
    tile.read_weights()
    tile.wait(10.0)
    tile.compensate()


@pytest.mark.jit
@EVERY_SCHEME
@pytest.mark.filterwarnings("ignore::analog_sim.writing.clipping.PulseClippingWarning")
def test_programming_anew_restarts_no_stream(writing):
    tile = tile_of(writing)
    most: dict[str, int] = {}
    for _ in range(3):
        tile.program(W)
        use(tile)
        for key, position in positions(tile).items():
            assert position >= most.get(key, 0), names(tile)[key]
            most[key] = position


@pytest.mark.jit
@EVERY_SCHEME
@pytest.mark.filterwarnings("ignore::analog_sim.writing.clipping.PulseClippingWarning")
def test_a_checkpoint_keeps_the_position_of_every_stream(writing):
    """After a second programming too, when the writer is no longer the first."""
    tile = tile_of(writing)
    for _ in range(2):
        tile.program(W)
        use(tile)
    other = tile_of(writing)
    other.restore(tile.state())
    kept, drawn = positions(other), positions(tile)
    assert {key: kept.get(key) for key in drawn} == drawn, names(tile)
    for each in (tile, other):
        each.update(OuterProduct(X, D), 0.05)
    np.testing.assert_array_equal(other.read_weights(), tile.read_weights())
    assert other.costs() == tile.costs()
    assert other.writing_statistics() == tile.writing_statistics()


def test_five_rounds_of_programming_and_updating_give_five_pulse_trains():
    tile = tile_of(StochasticPulse())
    trains = []
    for _ in range(5):
        tile.program(W)
        crossbar = tile.blocks[0].crossbar
        crossbar.log.recording = True
        tile.update(OuterProduct(X, D), 0.05)
        sent = [entry.data["plan"] for entry in crossbar.log.operations if entry.kind == "pulse"]
        trains.append(sent[-1].row_bits.tobytes())
    assert len(set(trains)) == 5


def test_the_second_array_outlives_the_weights_with_what_it_has_cost():
    """A writer made anew finds the same cells, as they were left, and what they cost is not lost."""
    tile = tile_of(
        discover("analog_sim.writing", WriteScheme)["tiki_taka_v2"].model_validate(
            {"kind": "tiki_taka_v2", "zero_shift": 1}
        )
    )
    tile.program(W)
    use(tile)
    fast, before = tile.helpers()["fast"], tile.costs()
    tile.program(W)
    assert tile.costs().pulses == before.pulses
    use(tile)
    assert tile.helpers()["fast"] is fast
    assert tile.costs().pulses > before.pulses


def test_streams_are_found_wherever_they_are():
    tile = tile_of(StochasticPulse())
    tile.program(W)
    tile.update(OuterProduct(X, D), 0.05)
    found = {stream.name.split("/", 1)[1] for stream in streams_in(tile)}
    assert {"writing/row_bits", "block/0/slice/0/programming", "block/0/adc.noise"} <= found
