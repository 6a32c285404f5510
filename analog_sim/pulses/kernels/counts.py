"""Kernels for signed counts of pulses, one for each cell. They never touch a conductance."""

from __future__ import annotations

import numpy as np
from numba import njit

_MANY = np.float32(2**24)
_MAGIC = np.float32(
    12582912.0
)  # 1.5 * 2**23: adding and subtracting it rounds |x| < 2**22 to the nearest integer, ties to even


@njit(cache=True)
def largest_in_rows(counts, out):
    """Write ``max_j |counts_ij|`` to out, (R,) int32. counts: (R, C) int32."""
    for i in range(counts.shape[0]):
        row = counts[i]
        largest = np.int32(0)
        for j in range(row.shape[0]):
            largest = max(largest, np.int32(abs(row[j])))
        out[i] = largest


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def take_whole(gathered, threshold, most, whole):
    """Take whole steps out of what has gathered: n = round(clip(trunc(gathered / threshold) threshold, -most, most)), gathered - n is left.

    gathered: (R, C) float32, changed in place. threshold, most: float32, most a whole number below 2**15. whole: (R, C) int16, the n.

    Returns:
        sum of |n|.
    """
    total = 0
    for i in range(whole.shape[0]):
        row, steps = gathered[i], whole[i]
        sent = np.int32(0)
        for j in range(steps.shape[0]):
            times = np.float32(np.int32(min(max(row[j] / threshold, -_MANY), _MANY)))
            n = (min(max(times * threshold, -most), most) + _MAGIC) - _MAGIC
            row[j] -= n
            steps[j] = np.int16(np.int32(n))
            sent += np.int32(abs(n))
        total += sent
    return total
