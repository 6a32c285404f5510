"""The digital tile is a plain matrix: exact products, exact updates in place, nothing else."""

import numpy as np
import pytest

from analog_sim.tiles.digital import DigitalTile
from analog_sim.writing.proposal import Dense, OuterProduct


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def tile_with(w: np.ndarray) -> DigitalTile:
    tile = DigitalTile(w.shape)
    tile.program(w)
    return tile


@pytest.mark.parametrize("shape", [(3, 5), (40, 3), (1, 4), (4, 1), (1, 1)])
def test_products_are_the_matrix_and_its_transpose(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    w = rng.standard_normal(shape).astype(np.float32)
    x = rng.standard_normal((7, shape[1])).astype(np.float32)
    d = rng.standard_normal((7, shape[0])).astype(np.float32)
    tile = tile_with(w)
    np.testing.assert_allclose(tile.forward(x), x @ w.T, rtol=1e-6)
    np.testing.assert_allclose(tile.backward(d), d @ w, rtol=1e-6)
    assert tile.forward(x).dtype == np.float32
    assert tile.forward(x).flags.c_contiguous


@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (4, 1), (1, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_update_subtracts_the_gradient(rng: np.random.Generator, shape: tuple[int, int], order: str) -> None:
    w = rng.standard_normal(shape).astype(np.float32)
    x = np.asarray(rng.standard_normal((6, shape[1])).astype(np.float32), order=order)
    d = np.asarray(rng.standard_normal((6, shape[0])).astype(np.float32), order=order)
    dw = np.asarray(rng.standard_normal(shape).astype(np.float32), order=order)
    tile = tile_with(w)
    tile.update(OuterProduct(x, d), 0.3)
    expected = w - 0.3 * sum(np.outer(d[b], x[b]) for b in range(6))
    np.testing.assert_allclose(tile.read_weights(), expected, rtol=1e-5, atol=1e-6)
    tile.update(Dense(dw), -0.5)
    np.testing.assert_allclose(tile.read_weights(exact=True), expected + 0.5 * dw, rtol=1e-5, atol=1e-6)


def test_it_keeps_its_own_copy(rng: np.random.Generator) -> None:
    w = rng.standard_normal((2, 3)).astype(np.float32)
    tile = tile_with(w)
    w[:] = 0.0
    read = tile.read_weights()
    assert read.any()
    read[:] = 0.0
    assert tile.read_weights().any()


def test_state_and_time(rng: np.random.Generator) -> None:
    w = rng.standard_normal((2, 3)).astype(np.float32)
    tile = tile_with(w)
    tile.wait(2.5)
    other = DigitalTile((2, 3))
    other.restore(tile.state())
    assert other.time == 2.5
    np.testing.assert_array_equal(other.read_weights(), w)
    assert tile.arrays == ()
    assert tile.costs().pulses == 0


def test_mistakes_are_named(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"shape must be \(n_out, n_in\)"):
        DigitalTile((0, 3))
    tile = DigitalTile((2, 3))
    with pytest.raises(ValueError, match=r"must have shape \(2, 3\) \(got \(3, 2\)\)"):
        tile.program(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="finite"):
        tile.program(np.full((2, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match="from 0 to"):
        tile.wait(-1.0)
