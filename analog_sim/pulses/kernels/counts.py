"""Kernels for signed counts of pulses, one for each cell. They never touch a conductance."""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.magnitude import largest_bits
from analog_sim.random.kernels.options import CALLED, KERNEL

_MANY = np.float32(2**24)
_MAGIC = np.float32(
    12582912.0
)  # 1.5 * 2**23: adding and subtracting it rounds |x| < 2**22 to the nearest integer, ties to even
_NO_PULSE = np.int32(0)
_FEW = 2**15
_LOOK = 64  # cells that are looked at together


@njit(**KERNEL)
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


@njit(**KERNEL)
def lines_of(rows, named, lines):
    """Word lines of rows (k,) int64, which are counted through both planes, each once and ascending, into `lines` (lines,) int64.

    named: (lines,) bool of scratch. Returns how many they are.
    """
    total = named.shape[0]
    for i in range(total):
        named[i] = False
    for k in range(rows.shape[0]):
        named[rows[k] if rows[k] < total else rows[k] - total] = True
    number = 0
    for i in range(total):
        if named[i]:
            lines[number] = i
            number += 1
    return number


@njit(**KERNEL)
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


@njit(**KERNEL)
def count_listed(counts, cells, rows, hits, most, each):
    """What `busy_rows` and `list_pulses` find, from the numbers of the cells with pulses.

    cells: (k,) int64, counted through all rows. rows, hits, most: as in `busy_rows`, (k,).
    each: as the pulses of `list_pulses`, (k,) int32.

    Returns:
        how many rows are busy; -1 when the cells are not those of this array in ascending order, or one has no pulse.
    """
    cols, number, before = counts.shape[1], 0, np.int64(-1)
    for k in range(cells.shape[0]):
        cell = cells[k]
        if cell <= before or cell >= counts.size:
            return -1
        before = cell
        r = cell // cols
        n = np.int32(counts[r, cell - r * cols])
        if n == _NO_PULSE:
            return -1
        each[k] = n
        if number == 0 or rows[number - 1] != r:
            rows[number], hits[number], most[number] = r, 0, 0
            number += 1
        hits[number - 1] += abs(n)
        most[number - 1] = max(most[number - 1], np.int64(abs(n)))
    return number


@njit(**KERNEL)
def slots_of_rows(lines, busy, most):
    """Slots of counts: one word line after the other, each for as long as its busiest cell needs, both cells of a pair at once.

    lines: rows of a plane. busy: (k,) int64, numbers of rows, counted through one or two planes, ascending. most: (k,) int64, pulses of
    the busiest cell of each of them.
    """
    end = busy.shape[0]
    split = 0
    while split < end and busy[split] < lines:
        split += 1
    one, other, total = 0, split, 0
    while one < split or other < end:
        here = busy[one] if one < split else lines
        there = busy[other] - lines if other < end else lines
        if here == there:
            total += max(most[one], most[other])
        else:
            total += most[one] if here < there else most[other]
        one += np.int64(here <= there)
        other += np.int64(there <= here)
    return total


@njit(**KERNEL)
def largest_of_rows(first, last, team, bits, largest):
    """Bits of the abs-max of rows first ... last - 1, (R,) int32, from a matrix (R, C) float32 that is seen as int32."""
    if team:
        shared(first, last, 1, 1, team)
        return
    for i in range(first, last):
        largest[i] = largest_bits(bits[i])


@njit(**CALLED)
def _list_columns(steps, listed, found):
    """The columns of a row (C,) that have any steps into listed, from place `found` on; returns the place behind them, which must exist."""
    for first in range(0, steps.shape[0], _LOOK):
        part = steps[first : first + _LOOK]
        some = _NO_PULSE
        for j in range(part.shape[0]):  # vectorises; most parts have none
            some = np.int32(some | np.int32(part[j]))
        for j in range(part.shape[0] if some != _NO_PULSE else 0):
            listed[found] = first + j  # void unless the place moves on: no branch
            found += np.int64(part[j] != 0)
    return found


@njit(fastmath=False, error_model="numpy", **CALLED)
def _take_row(row, one, other, limits, pair):
    """`take_whole` for a row; the sum of |n|. Called, for within a larger function the loop would not become vectors."""
    threshold, most, one_sided = limits
    sent = _NO_PULSE
    for j in range(row.shape[0]):
        times = np.float32(np.int32(min(max(row[j] / threshold, -_MANY), _MANY)))
        n = (min(max(times * threshold, -most), most) + _MAGIC) - _MAGIC
        row[j] -= n
        steps = np.int32(n)
        if pair:
            one[j] = np.int16(max(steps, _NO_PULSE) if one_sided else steps)
            other[j] = np.int16(max(-steps, _NO_PULSE) if one_sided else -steps)
        else:
            one[j] = np.int16(steps)
        sent += abs(steps)
    return sent


@njit(error_model="numpy", **KERNEL)
def take_whole(first, last, team, gathered, largest, limits, planes, found):
    """Take whole steps out of what has gathered: n = round(clip(trunc(gathered / threshold) threshold, -most, most)), gathered - n is left.

    first, last, team: rows first ... last - 1, see `analog_sim._teamwork`.
    gathered: (R, C) float32, changed in place; largest: (R,) int32, of `largest_of_rows`.
    limits: threshold, most: float32, most a whole number below 2**15; one_sided: bool.
    planes: (1 or 2, R, C or more) int16, zeros: n goes to the first and -n to the second, or, one_sided, their positive parts.
    found: taken (R, 2) int64, sum of |n| in each row, and in how many columns; listed (R, room) int32, these columns where the sum is
        below room; else the sum stands for how many they are.

    Returns:
        sum of |n|.
    """
    if team:
        return shared(first, last, 1, 2, team)
    threshold, _, one_sided = limits
    taken, listed = found
    both = planes.shape[0] == 2 and one_sided
    least = np.int32(np.float32(threshold).view(np.int32))
    total = 0
    for i in range(first, last):
        row, one, other = gathered[i], planes[0, i], planes[-1, i]
        taken[i, 0], taken[i, 1] = 0, 0
        if largest[i] < least:  # most rows of a large matrix, most of the time
            continue
        sent = _take_row(row, one, other, limits, planes.shape[0] == 2)
        total += np.int64(sent)
        taken[i, 0] = sent
        taken[i, 1] = sent
        if _NO_PULSE < sent < listed.shape[1]:
            columns = _list_columns(one, listed[i], 0)
            taken[i, 1] = _list_columns(other, listed[i], columns) if both else columns
    return total


@njit(**KERNEL)
def clear_lines(first, last, team, lines, planes):
    """Zeros in rows lines[first:last] of every plane of planes (planes, R, C) int16; lines: (k,) int64."""
    if team:
        shared(first, last, 1, 1, team)
        return
    for q in range(first, last):
        for p in range(planes.shape[0]):
            row = planes[p, lines[q]]
            for j in range(row.shape[0]):
                row[j] = 0


@njit(**KERNEL)
def gather_taken(taken, listed, planes, lines, cells):
    """What `take_whole` has taken, in order: rows with any step, and cells with any pulse.

    Args:
        taken, listed: the `found` of `take_whole`; planes: as there. lines: (R,) int64, gets the numbers of the rows.
        cells: (k,) int64, gets the numbers of the cells, counted through planes, rows and columns, if they fit.

    Returns:
        how many rows; how many cells, -1 where they are more than fit.
    """
    number, fits, at = 0, True, 0
    for i in range(taken.shape[0]):
        lines[number] = i
        number += np.int64(taken[i, 0] > 0)
        fits = fits and taken[i, 1] < listed.shape[1]
    for p in range(planes.shape[0] if fits else 0):
        for q in range(number):
            i = lines[q]
            columns = listed[i, : taken[i, 1]]
            for k in range(columns.shape[0]):
                if planes[p, i, columns[k]] == 0:
                    continue
                if at == cells.shape[0]:
                    return number, -1
                cells[at] = (p * planes.shape[1] + i) * planes.shape[2] + columns[k]
                at += 1
    return number, at if fits else -1
