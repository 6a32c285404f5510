"""What a tile does against the drop on its wires, from the configuration: gains for every output, and targets that make up for it."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, DriftModel, constant_table
from analog_sim.config import validate
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec

pytestmark = pytest.mark.jit
CELL = CellModel("ohmic", 1e-6, 100e-6)
WIRES = {"word_line": "5 ohm", "bit_line": "5 ohm", "driver": "100 ohm"}


def tile_of(wires: dict | None, cell: CellModel = CELL, **more: object) -> Tile:
    return Tile(validate({"wires": wires, **more}, TileSpec), cell, (20, 48), Streams(3))


def error(tile: Tile, w: np.ndarray) -> float:
    x = np.random.default_rng(5).uniform(-1.0, 1.0, (50, 48)).astype(np.float32)
    exact = x @ w.T
    return float(np.sqrt(((tile.forward(x) - exact) ** 2).mean() / (exact**2).mean()))


def test_each_remedy_helps_and_both_help_most() -> None:
    w = np.random.default_rng(4).standard_normal((20, 48)).astype(np.float32)
    found = {}
    for gain in (False, True):
        for programming in ("nominal", "effective"):
            tile = tile_of({**WIRES, "column_gain": gain, "programming": programming, "rounds": 4})
            tile.program(w)
            found[gain, programming] = error(tile, w)
            assert bool((tile.gain != 1.0).any()) == gain
    worst, best = found[False, "nominal"], found[True, "effective"]
    assert worst > 0.05
    assert found[True, "nominal"] < 0.8 * worst
    assert found[False, "effective"] < 0.5 * worst
    assert best < min(0.03, found[True, "nominal"], found[False, "effective"])


def test_smaller_arrays_and_both_sides_help() -> None:
    w = np.random.default_rng(4).standard_normal((20, 48)).astype(np.float32)
    found = []
    for wires, mapping in (
        (WIRES, {}),
        ({**WIRES, "drive": "both", "sense_at": "both"}, {}),
        (WIRES, {"max_rows": 16, "max_cols": 10}),
    ):
        tile = tile_of(wires, mapping=mapping)
        tile.program(w)
        found.append(error(tile, w))
    assert found[1] < 0.8 * found[0]
    assert found[2] < 0.8 * found[0]


def test_gains_follow_drift_and_checkpoints() -> None:
    cell = CellModel("drifting", 1e-6, 100e-6, drift=DriftModel(constant_table(0.05), constant_table(0.0), 1.0))
    w = np.random.default_rng(4).standard_normal((20, 48)).astype(np.float32)
    tile, other = (tile_of({**WIRES, "column_gain": True}, cell) for _ in range(2))
    tile.program(w)
    fresh = tile.gain.copy()
    tile.wait(1e6)
    tile.compensate()
    assert (tile.gain > 1.5 * fresh).all()
    other.restore(tile.state())
    np.testing.assert_array_equal(other.gain, tile.gain)
    np.testing.assert_array_equal(
        other.forward(np.ones((1, 48), np.float32)), tile.forward(np.ones((1, 48), np.float32))
    )


def test_ideal_wires_need_no_remedy() -> None:
    w = np.random.default_rng(4).standard_normal((20, 48)).astype(np.float32)
    zero = {"word_line": 0.0, "bit_line": 0.0, "column_gain": True, "programming": "effective"}
    tiles = [tile_of(wires) for wires in (None, zero)]
    for tile in tiles:
        tile.program(w)
    x = np.ones((1, 48), np.float32)
    np.testing.assert_array_equal(tiles[0].forward(x), tiles[1].forward(x))
