"""Kernels on the rows of a batch that several rooms of learning need: norms and differences. They know no layer and no loss.

Sums are taken in `_LANES` lanes, number i in lane i mod `_LANES`, then lane l + w is added to lane l for w = 32, 16, ... 1: the same bits
on every processor, which NumPy's sums do not promise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.random.kernels.options import WITHIN

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_LANES = 64


@njit(**WITHIN)
def _emptied(lanes):
    """Sum of the lanes, float64, which are 0 again."""
    width = _LANES // 2
    while width > 0:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    total = np.float64(lanes[0])
    for lane in range(_LANES):
        lanes[lane] = np.float32(0.0)
    return total


@njit(cache=True, fastmath=False)
def mean_norm(v: F32) -> float:
    """``<|v_b|>``, the mean over the rows of v (B, n) float32."""
    lanes = np.zeros(_LANES, np.float32)
    total = 0.0
    for b in range(v.shape[0]):
        for first in range(0, v.shape[1], _LANES):
            part = v[b, first : first + _LANES]
            for lane in range(part.shape[0]):
                lanes[lane] += part[lane] * part[lane]
        total += np.sqrt(_emptied(lanes))
    return total / v.shape[0]


@njit(cache=True, fastmath=False)
def take_difference(after: F32, before: F32, factor: np.float32, difference: F32, length: F64) -> None:
    """``difference = factor (after - before)``, (rows, n) float32, and what it adds to the squared length of every sample.

    length: (B,) float64, ``length_b += sum difference**2`` over the rows / B rows of sample b.
    """
    lanes = np.zeros(_LANES, np.float32)
    each = after.shape[0] // length.shape[0]
    for r in range(after.shape[0]):
        for first in range(0, after.shape[1], _LANES):
            one, other = after[r, first : first + _LANES], before[r, first : first + _LANES]
            target = difference[r, first : first + _LANES]
            for lane in range(target.shape[0]):
                change = factor * (one[lane] - other[lane])
                target[lane] = change
                lanes[lane] += change * change
        length[r // each] += _emptied(lanes)


@njit(cache=True, fastmath=False)
def add_scaled(rows: F32, factor: F32, total: F32) -> None:
    """``total_r += factor_b rows_r``, (rows, n) float32, for every row r of sample b; factor: (B,) float32."""
    each = rows.shape[0] // factor.shape[0]
    for r in range(rows.shape[0]):
        row, target, scale = rows[r], total[r], factor[r // each]
        for j in range(row.shape[0]):
            target[j] += row[j] * scale
