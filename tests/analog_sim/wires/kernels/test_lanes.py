"""The vector type does what arrays of eight do."""

import numpy as np
from numba import njit

from analog_sim.wires.kernels.lanes import LANES, full, gather, load, scatter, store, total


@njit
def _all_operations(row, rows, x, out):
    a, b = load(row, 3), gather(rows, 2)
    store(out[0], 0, a + b * x - full(x))
    store(out[1], 0, a / b)
    store(out[2], 0, x * a + x)
    scatter(rows, 1, a)
    return total(a)


def test_operations_on_vectors() -> None:
    random = np.random.default_rng(0)
    row, rows, out = random.normal(size=LANES + 5), random.uniform(1.0, 2.0, (LANES, 4)), np.zeros((3, LANES))
    a, b = row[3 : 3 + LANES].copy(), rows[:, 2].copy()
    found = _all_operations(row, rows, 1.5, out)
    np.testing.assert_allclose(out, [a + b * 1.5 - 1.5, a / b, 1.5 * a + 1.5], rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(rows[:, 1], a)
    np.testing.assert_allclose(found, a.sum(), rtol=1e-13)


@njit
def _through_float32(row, out):
    store(out, 2, load(row, 1) + full(1.0))


def test_float32_is_widened_and_rounded() -> None:
    random = np.random.default_rng(1)
    row, out = random.normal(size=LANES + 1).astype(np.float32), np.zeros(LANES + 2, np.float32)
    _through_float32(row, out)
    np.testing.assert_array_equal(out[2:], (row[1:].astype(np.float64) + 1.0).astype(np.float32))
    np.testing.assert_array_equal(out[:2], 0.0)
