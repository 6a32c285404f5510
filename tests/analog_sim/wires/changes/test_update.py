"""Corrections of a known matrix: their measured error, and when it is made anew."""

import numpy as np
import pytest

from analog_sim.wires import Tracker, effective_matrix, simple
from analog_sim.wires.reference import solve

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
        assert true <= 1e-8
        assert moved > 100.0 * true, "the change is worth correcting"
    assert (tracker.reads, tracker.refreshes) == (4, 1)


@pytest.mark.parametrize(
    ("rows", "cols", "ohm", "cases"),
    [(64, 64, 1.0, 5), (96, 130, 1.0, 1), (128, 128, 1.0, 1), (61, 90, 5.0, 4), (200, 60, 1.0, 2), (256, 256, 1.0, 1)],
)
def test_corrections_against_sparse_lu(rows: int, cols: int, ohm: float, cases: int) -> None:
    """1 % of the cells changed by 1 %: below 1e-8 of the largest current for every kind of input, single word lines included."""
    wires = simple(ohm, ohm)
    for case in range(cases):
        random = np.random.default_rng(1000 * rows + case)
        g = random.uniform(1e-6, 1e-4, (rows, cols))
        tracker = Tracker(wires, 1e-8)
        tracker.matrix(g)
        g = changed(g, 0.01, 0.01, case)
        found = tracker.matrix(g)
        v = np.concatenate(
            [random.uniform(-1, 1, (2, rows)), random.uniform(0, 1, (2, rows)), np.eye(rows)[:: max(1, rows // 12)]]
        )
        wanted = solve(g, wires, v).currents
        assert (np.abs(v @ found.matrix - wanted).max(1) / np.abs(wanted).max(1)).max() <= 1e-8
        assert not found.refreshed or ohm > 1.0, (
            "5 ohm: a series of one order less is not always enough, and the matrix is made anew"
        )


def test_corrections_with_fields_in_float32() -> None:
    """So large an array that memory sets the time: rounding is a part of the error that is allowed."""
    g, wires = np.random.default_rng(31).uniform(1e-6, 1e-4, (250, 504)), simple(1.0, 1.0)
    tracker = Tracker(wires, 1e-8)
    tracker.matrix(g)
    g = changed(g, 0.01, 0.01)
    found, wanted = tracker.matrix(g), effective_matrix(g, wires, 1e-11).matrix
    assert not found.refreshed
    assert (np.abs(found.matrix - wanted).max(1) / np.abs(wanted).max(1)).max() <= 1e-8, "single word lines"
    v = np.random.default_rng(32).uniform(-1.0, 1.0, (4, 250))
    assert (np.abs(v @ (found.matrix - wanted)).max(1) / np.abs(v @ wanted).max(1)).max() <= 1e-8


def test_large_changes_refresh() -> None:
    g, wires = np.random.default_rng(23).uniform(1e-6, 1e-4, (64, 64)), simple(10.0, 10.0)
    tracker = Tracker(wires, 1e-8)
    tracker.matrix(g)
    other = np.random.default_rng(24).uniform(1e-6, 1e-4, (64, 64))
    found = tracker.matrix(other)
    assert found.refreshed
    np.testing.assert_array_equal(
        found.matrix, effective_matrix(other, wires, 1e-9).matrix, "to a tenth of the tolerance"
    )
    assert not tracker.matrix(changed(other, 0.01, 0.01)).refreshed, "the new matrix is the base now"


def test_a_new_shape_and_ideal_wires() -> None:
    tracker = Tracker(simple(1.0, 1.0))
    tracker.matrix(np.full((8, 8), 1e-5))
    assert tracker.matrix(np.full((9, 8), 1e-5)).refreshed
    ideal = Tracker(simple(0.0, 0.0))
    np.testing.assert_array_equal(ideal.matrix(np.full((2, 2), 1e-5)).matrix, np.full((2, 2), 1e-5))
    np.testing.assert_array_equal(ideal.matrix(np.full((2, 2), 2e-5)).matrix, np.full((2, 2), 2e-5))
