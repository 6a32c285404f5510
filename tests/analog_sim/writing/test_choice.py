"""What a tile does with what was left to its cells: never the exact write, never drift without compensation."""

import dataclasses

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, DriftModel, PulseModel, RelaxationModel, constant_table
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.choice import scheme_for
from analog_sim.writing.proposal import Dense, OuterProduct
from devices.card import load_card

G_MAX = 20e-6


def pulsed(down: float) -> CellModel:
    """Cells with steps of 1 % of the window up and `down` of it down."""
    step, back = constant_table(0.01 * G_MAX), constant_table(-down * G_MAX)
    return CellModel("cell", 0.0, G_MAX, pulse=PulseModel(step, 0 * step, back, 0 * step))


def test_cells_with_a_pulse_response_are_written_by_pulses() -> None:
    scheme = scheme_for(pulsed(0.01))
    assert (scheme.kind, scheme.pair, scheme.refresh) == ("stochastic_pulse", "both", None)


def test_abrupt_depression_is_never_used() -> None:
    for cell in (pulsed(0.5), load_card("pcm_accumulate").compile()):
        scheme = scheme_for(cell)
        assert (scheme.kind, scheme.pair) == ("stochastic_pulse", "one_sided")
        assert scheme.refresh is not None


def test_cells_without_pulses_are_programmed_with_their_error() -> None:
    cell = CellModel("cell", 0.0, G_MAX, program_std=constant_table(0.02 * G_MAX))
    assert scheme_for(cell).kind == "write_verify"
    w = Streams(1).stream("w").normals((8, 6))
    tile = Tile(TileSpec(), cell, w.shape, Streams(0))
    tile.program(w)
    tile.update(Dense(w), 0.5)
    error = tile.read_weights(exact=True) - 0.5 * w
    assert 0.01 < error.std() / tile.full_weight < 0.06, (
        "the errors of two rounds of programming: neither exact nor lost"
    )


@pytest.mark.parametrize("name", ["reram_soft_bounds", "ecram", "enode"])
@pytest.mark.parametrize("dense", [False, True])
def test_a_default_tile_sends_pulses(name: str, dense: bool) -> None:
    w = 0.3 * Streams(1).stream("w").normals((8, 6))
    x, d = Streams(1).stream("x").normals((4, 6)), Streams(1).stream("d").normals((4, 8))
    tile = Tile(TileSpec(), load_card(name).compile(), w.shape, Streams(0))
    tile.program(w)
    tile.update(Dense(d.T @ x) if dense else OuterProduct(x, d), 0.001)
    assert tile.costs().pulses > 0
    assert tile.spec.writing is not None
    assert tile.spec.writing.kind == "stochastic_pulse"


def test_drift_is_compensated_unless_none_is_asked_for() -> None:
    drifting = CellModel("cell", 0.0, G_MAX, drift=DriftModel(constant_table(0.05), constant_table(0.0), 1.0))
    w = Streams(1).stream("w").normals((8, 6))
    lost = {}
    for compensation in ("auto", "global", "none"):
        tile = Tile(TileSpec(compensation=compensation), drifting, w.shape, Streams(0))
        tile.program(w)
        tile.wait(1e6)
        tile.compensate()
        lost[compensation] = np.abs(tile.read_weights(exact=True) - w).max() / np.abs(w).max()
    assert lost["auto"] == lost["global"] < 1e-3
    assert lost["none"] > 0.4


def test_what_a_gain_cannot_undo_is_not_compensated() -> None:
    """Relaxation without a mean only scatters, and a measured gain would add its own noise."""
    scatters = RelaxationModel(constant_table(0.0), constant_table(1e-7), 1.0)
    still = CellModel("cell", 0.0, G_MAX)
    assert TileSpec().settled(dataclasses.replace(still, relaxation=scatters)).compensation == "none"
    sinks = dataclasses.replace(scatters, mean=constant_table(-1e-7))
    assert TileSpec().settled(dataclasses.replace(still, relaxation=sinks)).compensation == "global"
    assert TileSpec().settled(still).compensation == "none"
