"""Corrections of a known matrix: their measured error, and when it is made anew."""

import numpy as np
import pytest

from analog_sim.wires import Tracker, effective_matrix, simple

pytestmark = pytest.mark.jit


def changed(g: np.ndarray, share: float, size: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    where = random.random(g.shape) < share
    return g * np.where(where, 1.0 + size * random.choice([-1.0, 1.0], g.shape), 1.0)


def test_small_changes_are_corrected() -> None:
    g, wires = np.random.default_rng(21).uniform(1e-6, 1e-4, (96, 80)), simple(1.0, 1.0)
    tracker = Tracker(wires, 1e-8)
    first = tracker.matrix(g)
    assert first.refreshed
    v = np.random.default_rng(22).uniform(-1.0, 1.0, (4, 96))
    for step in range(3):
        g = changed(g, 0.01, 0.01, step)
        found = tracker.matrix(g)
        wanted = v @ effective_matrix(g, wires, 1e-10).matrix
        moved = np.abs(v @ first.matrix - wanted).max() / np.abs(wanted).max()
        true = np.abs(v @ found.matrix - wanted).max() / np.abs(wanted).max()
        assert not found.refreshed
        assert found.error <= 1e-8
        assert true <= 3e-8
        assert moved > 100.0 * true, "the change is worth correcting"
    assert (tracker.reads, tracker.refreshes) == (4, 1)


def test_large_changes_refresh() -> None:
    g, wires = np.random.default_rng(23).uniform(1e-6, 1e-4, (64, 64)), simple(10.0, 10.0)
    tracker = Tracker(wires, 1e-8)
    tracker.matrix(g)
    other = np.random.default_rng(24).uniform(1e-6, 1e-4, (64, 64))
    found = tracker.matrix(other)
    assert found.refreshed
    np.testing.assert_array_equal(found.matrix, effective_matrix(other, wires, 1e-8).matrix)
    assert not tracker.matrix(changed(other, 0.01, 0.01)).refreshed, "the new matrix is the base now"


def test_a_new_shape_and_ideal_wires() -> None:
    tracker = Tracker(simple(1.0, 1.0))
    tracker.matrix(np.full((8, 8), 1e-5))
    assert tracker.matrix(np.full((9, 8), 1e-5)).refreshed
    ideal = Tracker(simple(0.0, 0.0))
    np.testing.assert_array_equal(ideal.matrix(np.full((2, 2), 1e-5)).matrix, np.full((2, 2), 1e-5))
    np.testing.assert_array_equal(ideal.matrix(np.full((2, 2), 2e-5)).matrix, np.full((2, 2), 2e-5))
