"""Matrices corrected to first order: the kernel against its definition, the error against exact matrices, when they are made anew."""

import numpy as np
import pytest

from analog_sim.wires import FirstOrder, effective_matrix, response, simple, smooth_modes
from analog_sim.wires.changes.first_order import SHARE
from analog_sim.wires.kernels.first_order import corrected

WIRES = simple(2.0, 3.0, driver=20.0)


def defined(cells, base, known, reach, local, fields, modes):  # type: ignore[no-untyped-def]
    """The matrix to first order, cross point by cross point, as the kernel's docstring defines it."""
    rows, cols = cells.shape
    out = np.empty((rows, cols))
    for i in range(rows):
        for j in range(cols):
            out[i, j] = known[i, j] + reach[i, j] * (cells[i, j] - base[i, j]) * local[i, j]
            for a in range(len(modes)):
                missed = sum(
                    reach[k, j] * (cells[k, j] - base[k, j]) * (fields[a, k, j] - local[k, j] * modes[a, k])
                    for k in range(rows)
                )
                out[i, j] += modes[a, i] * missed
    return out


def test_the_kernel() -> None:
    random = np.random.default_rng(46)
    cells, base, known, reach, local = random.uniform(0.5, 1.0, (5, 7, 4))
    fields, modes, out = random.uniform(0.5, 1.0, (3, 7, 4)), random.uniform(0.5, 1.0, (3, 7)), np.empty((7, 4))
    moved, total = corrected(cells, base, known, reach, local, fields, modes, np.empty((3, 4)), out)
    np.testing.assert_allclose(out, defined(cells, base, known, reach, local, fields, modes), rtol=1e-12)
    np.testing.assert_allclose([moved, total], [((cells - base) ** 2).sum(), (base**2).sum()], rtol=1e-12)


@pytest.mark.jit
@pytest.mark.parametrize("shape", [(96, 64), (40, 120)])
def test_the_error_is_second_order_and_a_share_of_the_drop(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(47)
    g, modes = random.uniform(1e-6, 1e-4, shape), smooth_modes(shape[0])
    v = np.concatenate([random.uniform(-1.0, 1.0, (3, shape[0])), random.uniform(0.0, 1.0, (3, shape[0]))])
    direction, errors = random.standard_normal(shape) * g, []
    for size in (0.02, 0.2):
        new = np.abs(g + size * direction)
        tracker = FirstOrder(WIRES, modes)
        assert tracker.matrix(g).refreshed
        step = tracker.matrix(new)
        assert not step.refreshed
        exact = effective_matrix(new, WIRES, 1e-9).matrix
        drop = v @ (new - exact)
        errors.append(float(np.sqrt(((v @ (step.matrix - exact)) ** 2).mean() / (drop**2).mean())))
        assert tracker.drop_error <= SHARE
    assert errors[1] < 0.02
    assert errors[0] < 1e-3


@pytest.mark.jit
def test_it_is_made_anew_when_the_measured_error_exceeds_the_share() -> None:
    random = np.random.default_rng(48)
    tracker, modes = FirstOrder(simple(20.0, 20.0), smooth_modes(64)), smooth_modes(64)
    g = random.uniform(1e-6, 1e-4, (64, 48))
    tracker.matrix(g)
    step = tracker.matrix(g[::-1, ::-1].copy())
    assert step.refreshed
    assert tracker.refreshes == 2
    np.testing.assert_array_equal(tracker.base, g[::-1, ::-1])
    again = FirstOrder(simple(20.0, 20.0), modes)
    again.rebase(tracker.base, tracker.reached)
    nudged = g[::-1, ::-1] * 1.05
    np.testing.assert_array_equal(tracker.matrix(nudged).matrix, again.matrix(nudged).matrix)


@pytest.mark.jit
def test_every_other_shape_and_empty_arrays() -> None:
    tracker = FirstOrder(WIRES, smooth_modes(3))
    with pytest.raises(ValueError, match="no matrix"):
        tracker.response()
    assert tracker.base is None
    np.testing.assert_array_equal(tracker.matrix(np.zeros((3, 2))).matrix, 0.0)
    g = np.full((3, 2), 1e-5)
    step = tracker.matrix(g)  # from nothing: measured
    np.testing.assert_allclose(step.matrix, effective_matrix(g, WIRES).matrix, rtol=1e-2)
    one = FirstOrder(WIRES, smooth_modes(1))
    one.matrix(np.array([[1e-5]]))
    np.testing.assert_allclose(
        one.matrix(np.array([[1.1e-5]])).matrix, effective_matrix([[1.1e-5]], WIRES).matrix, rtol=1e-3
    )
    assert np.isfinite(response(np.zeros((2, 2)), WIRES, smooth_modes(2)).fields).all()
