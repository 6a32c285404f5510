"""Kernels for signed counts of pulses, one for each cell. They never touch a conductance."""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim.random.kernels.magnitude import largest_bits

_MANY = np.float32(2**24)
_MAGIC = np.float32(
    12582912.0
)  # 1.5 * 2**23: adding and subtracting it rounds |x| < 2**22 to the nearest integer, ties to even
_NO_PULSE = np.int32(0)
_FEW = 2**15
_LOOK = 64  # cells that are looked at together


@njit(cache=True, nogil=True)
def busy_rows(counts, among, busy, hits, most):
    """Write what is known of the rows with any pulse to the first places of busy, hits and most; counts: (R, C) integers.

    among: (k,) int64, the rows to look at. busy, hits, most: (k,) int64: number of the row, its pulses, the most on any of its cells.

    Returns:
        how many rows are busy.
    """
    number = 0
    for r in among:
        row = counts[r]
        largest, total = _NO_PULSE, 0
        few = _FEW if counts.itemsize == 2 else 1
        for first in range(0, row.shape[0], few):
            part = row[first : first + few]
            some = _NO_PULSE  # 32 bits, which vectorise; so few counts of 16 bits stay within them
            for j in range(part.shape[0]):
                n = np.int32(abs(np.int32(part[j])))
                largest = max(largest, n)
                some = np.int32(some + n)
            total += np.int64(some)
        if largest > _NO_PULSE:
            busy[number] = r
            hits[number] = total
            most[number] = largest
            number += 1
    return number


@njit(cache=True, nogil=True)
def list_pulses(counts, rows, cells, pulses):
    """Write numbers of the cells that have pulses, through all rows, and their signed pulses to the first places of cells and pulses.

    counts: (R, C) integers. rows: (k,) int64, ascending, the rows to look at. cells, pulses: room for all of them.

    Returns:
        how many cells have pulses.
    """
    found, cols = 0, counts.shape[1]
    for r in rows:
        row = counts[r]
        for first in range(0, cols, _LOOK):
            part = row[first : first + _LOOK]
            some = _NO_PULSE
            for j in range(part.shape[0]):  # vectorises; most parts of most rows have none
                some = np.int32(some | np.int32(part[j]))
            if some == _NO_PULSE:
                continue
            for j in range(part.shape[0]):
                if part[j] != 0:
                    cells[found] = r * cols + first + j
                    pulses[found] = part[j]
                    found += 1
    return found


@njit(cache=True, nogil=True, fastmath=False)
def largest_of_rows(bits, largest):
    """Bits of the abs-max of every row, (R,) int32, from a matrix (R, C) float32 that is seen as int32."""
    for i in range(bits.shape[0]):
        largest[i] = largest_bits(bits[i])


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def take_whole(gathered, largest, threshold, most, one_sided, planes, busy):
    """Take whole steps out of what has gathered: n = round(clip(trunc(gathered / threshold) threshold, -most, most)), gathered - n is left.

    gathered: (R, C) float32, changed in place; largest: (R,) int32, of `largest_of_rows`.
    threshold, most: float32, most a whole number below 2**15.
    planes: (1 or 2, R, C or more) int16, zeros: n goes to the first and -n to the second, or, one_sided, their positive parts.
    busy: (R,) int64, its first places get the numbers of the rows with any step; the others of `planes` stay as they are.

    Returns:
        sum of |n|; how many rows are busy.
    """
    least = np.int32(np.float32(threshold).view(np.int32))
    total, number = 0, 0
    for i in range(gathered.shape[0]):
        row, first, last = gathered[i], planes[0, i], planes[-1, i]
        if largest[i] < least:  # most rows of a large matrix, most of the time
            continue
        sent = _NO_PULSE
        for j in range(row.shape[0]):
            times = np.float32(np.int32(min(max(row[j] / threshold, -_MANY), _MANY)))
            n = (min(max(times * threshold, -most), most) + _MAGIC) - _MAGIC
            row[j] -= n
            steps = np.int32(n)
            if planes.shape[0] == 2:
                first[j] = np.int16(max(steps, _NO_PULSE) if one_sided else steps)
                last[j] = np.int16(max(-steps, _NO_PULSE) if one_sided else -steps)
            else:
                first[j] = np.int16(steps)
            sent += abs(steps)
        busy[number] = i
        number += np.int64(sent > _NO_PULSE)
        total += sent
    return total, number
