"""A tile with a scale per column is the same matrix; what changes is how much of the window small columns use."""

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel, constant_table
from analog_sim.random.streams import Streams
from analog_sim.tiles.column_scaled import ColumnScaledTile
from analog_sim.tiles.tile import Tile, TileSpec
from analog_sim.writing.proposal import Dense, OuterProduct

IDEAL = CellModel("ideal", 0.0, 25e-6)
NOISY = CellModel("noisy", 0.0, 25e-6, program_std=constant_table(0.5e-6))
W = np.array([[1.0, -0.5, 0.2], [0.01, 0.02, -0.01], [0.0, 0.0, 0.0]], np.float32)
X = np.array([[1.0, 2.0, -1.0], [0.3, 0.0, 0.5]], np.float32)
D = np.array([[1.0, -30.0, 2.0]], np.float32)


def made(cell: CellModel = IDEAL) -> ColumnScaledTile:
    tile = ColumnScaledTile(Tile(TileSpec(), cell, W.shape, Streams(0)))
    tile.program(W)
    return tile


def test_the_matrix_is_the_same_in_both_directions() -> None:
    tile = made()
    np.testing.assert_allclose(tile.column_scale, [1.0, 0.02, 1.0])
    np.testing.assert_allclose(tile.forward(X), X @ W.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tile.backward(D), D @ W, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tile.read_weights(), W, rtol=1e-5, atol=1e-7)
    assert (tile.shape, tile.capabilities.rows, len(tile.arrays)) == ((3, 3), 3, 1)


@pytest.mark.parametrize(
    "proposal", [OuterProduct(X, np.array([[0.1, 0.001, 0.0], [0.2, 0.002, 0.0]], np.float32)), Dense(0.1 * W)]
)
def test_updates_are_in_units_of_the_weights(proposal) -> None:
    tile = made()
    tile.update(proposal, 0.5)
    np.testing.assert_allclose(tile.read_weights(exact=True), W - 0.5 * proposal.dense(), rtol=1e-4, atol=1e-6)


def test_small_columns_get_the_whole_window() -> None:
    """The programming error of a column is a share of its own largest weight: 0.02, not 1."""
    error = np.abs(made(NOISY).read_weights(exact=True) - W)
    plain = Tile(TileSpec(), NOISY, W.shape, Streams(0))
    plain.program(W)
    assert error[1].max() < 0.05 * np.abs(plain.read_weights(exact=True) - W)[1].max()


def test_state_time_and_bad_shapes() -> None:
    tile = made(NOISY)
    tile.wait(5.0)
    other = ColumnScaledTile(Tile(TileSpec(), NOISY, W.shape, Streams(0)))
    other.restore(tile.state())
    assert other.time == tile.time >= 5.0
    assert np.array_equal(other.forward(X), tile.forward(X))
    assert tile.costs() == tile.tile.costs()
    assert tile.writing_statistics() == {}
    with pytest.raises(ValueError, match=r"must have shape \(3, 3\)"):
        tile.program(W[:2])
