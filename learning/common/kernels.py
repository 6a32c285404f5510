"""Kernels on the rows of a batch that several rooms of learning need: norms, differences, maxima. They know no layer and no loss.

Sums are taken in `_LANES` lanes, number i in lane i mod `_LANES`, then lane l + w is added to lane l for w = 32, 16, ... 1: the same bits
on every processor, which NumPy's sums do not promise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.memory import room
from analog_sim.random.kernels.options import KERNEL, WITHIN

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Steps = tuple[int, int, int]

_LANES = 64

_scratch = room(_LANES, np.float32)


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


@njit(**KERNEL)
def mean_norm(v: F32) -> float:
    """``<|v_b|>``, the mean over the rows of v (B, n) float32."""
    lanes = _scratch()
    for lane in range(_LANES):
        lanes[lane] = np.float32(0.0)
    total = 0.0
    for b in range(v.shape[0]):
        for first in range(0, v.shape[1], _LANES):
            part = v[b, first : first + _LANES]
            for lane in range(part.shape[0]):
                lanes[lane] += part[lane] * part[lane]
        total += np.sqrt(_emptied(lanes))
    return total / v.shape[0]


@njit(**KERNEL)
def take_differences(
    first: int, last: int, team: int, after: F32, others: F32, steps: Steps, factor: np.float32, moved: F32, length: F64
) -> None:
    """``moved_k = factor (after_i - others_j)`` of copies k of a batch, and what it adds to the squared length of every sample.

    Args:
        first, last, team: rows first ... last - 1, counted through all copies, a multiple of the rows of a sample; see
            `analog_sim._teamwork`.
        after, others: (.., rows, n) float32. steps: ``i = k steps[0]``, ``j = steps[1] + k steps[2]``.
        moved: (K, rows, n) float32.
        length: (K, B) float64, ``length_kb += sum moved**2`` over the rows / B rows of sample b.
    """
    each = moved.shape[1] // length.shape[1]
    if team:
        shared(first, last, each, 1, team)
        return
    lanes = _scratch()
    for lane in range(_LANES):
        lanes[lane] = np.float32(0.0)
    for q in range(first, last):
        k = q // moved.shape[1]
        r = q - k * moved.shape[1]
        one, other, target = after[k * steps[0], r], others[steps[1] + k * steps[2], r], moved[k, r]
        for start in range(0, target.shape[0], _LANES):
            of_one, of_other = one[start : start + _LANES], other[start : start + _LANES]
            part = target[start : start + _LANES]
            for lane in range(part.shape[0]):
                change = factor * (of_one[lane] - of_other[lane])
                part[lane] = change
                lanes[lane] += change * change
        length[k, r // each] += _emptied(lanes)


@njit(**KERNEL)
def add_scaled(first: int, last: int, team: int, rows: F32, factor: F32, total: F32) -> None:
    """``total_r += factor_kb rows_kr`` for every row r of sample b, copy after copy.

    first, last, team: rows first ... last - 1 of the total. rows: (K, rows, n) float32; factor: (K, B) float32; total: (rows, n) float32.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    each = total.shape[0] // factor.shape[1]
    for r in range(first, last):
        target = total[r]
        for k in range(rows.shape[0]):
            row, scale = rows[k, r], factor[k, r // each]
            for j in range(row.shape[0]):
                target[j] += row[j] * scale


@njit(**KERNEL)
def rectify(first: int, last: int, team: int, x: F32, y: F32) -> None:
    """``y_i = max(x_i, 0)``, NaN where x_i is; x, y: (n,) float32.

    first, last, team: numbers first ... last - 1, see `analog_sim._teamwork`.
    """
    if team:
        shared(first, last, _LANES, 1, team)
        return
    numbers, target = x[first:last], y[first:last]
    for i in range(target.shape[0]):
        number = numbers[i]
        target[i] = np.float32(0.0) if number <= np.float32(0.0) else number


@njit(**KERNEL)
def where_positive(first: int, last: int, team: int, x: F32, y: F32, out: F32) -> None:
    """``out_i = y_i`` where x_i > 0, elsewhere 0 y_i, which is 0 of y's sign, or NaN; x, y, out: (n,) float32.

    first, last, team: numbers first ... last - 1, see `analog_sim._teamwork`.
    """
    if team:
        shared(first, last, _LANES, 1, team)
        return
    numbers, source, target = x[first:last], y[first:last], out[first:last]
    for i in range(target.shape[0]):
        target[i] = source[i] * (np.float32(1.0) if numbers[i] > np.float32(0.0) else np.float32(0.0))


@njit(**KERNEL)
def sum_rows(rows: F32, total: F32) -> None:
    """``total = sum_r rows_r``, one row after the other; rows: (B, n) float32, total: (n,)."""
    for j in range(total.shape[0]):
        total[j] = np.float32(0.0)
    for r in range(rows.shape[0]):
        row = rows[r]
        for j in range(total.shape[0]):
            total[j] += row[j]


@njit(**KERNEL)
def add_row(rows: F32, added: F32) -> None:
    """``rows_r += added`` for every row r, in place; rows: (B, n) float32, added: (n,).

    Apart from `add_to_rows`, whose loop the compiler does not vectorise where it finds that both are the same memory.
    """
    for r in range(rows.shape[0]):
        row = rows[r]
        for j in range(added.shape[0]):
            row[j] += added[j]


@njit(**KERNEL)
def add_to_rows(rows: F32, added: F32, out: F32) -> None:
    """``out_r = rows_r + added`` for every row r; rows, out: (B, n) float32, added: (n,). NumPy begins anew at every row."""
    for r in range(rows.shape[0]):
        row, target = rows[r], out[r]
        for j in range(target.shape[0]):
            target[j] = row[j] + added[j]


@njit(**KERNEL)
def take_rows(first: int, last: int, team: int, x: F32, index: I64, out: F32) -> None:
    """``out_b = x_index_b``, rows of x (N, n) float32 from all over the memory.

    first, last, team: rows first ... last - 1 of the result, see `analog_sim._teamwork`.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    for b in range(first, last):
        row, target = x[index[b]], out[b]
        for j in range(target.shape[0]):
            target[j] = row[j]
