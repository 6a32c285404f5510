"""What reads multiply with and pay for: net conductances of pairs, and the load of word lines and bit lines. Never reads a cell.

A load is a sum of conductances that are rounded to a grid so fine that the sum is exact (`grid_for`). It does not depend on its order,
and where a few cells have changed it is mended by what they have changed: the same bits as a sum over all cells.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.math import least
from analog_sim.random.kernels.memory import part, part_of_row, room
from analog_sim.random.kernels.options import KERNEL, within
from analog_sim.reads.kernels.product import WIDTH

_GRID_BITS = 36
_scratch_sums = room(WIDTH, np.float64)


def grid_for(g_max: float) -> float:
    """What added to siemens and subtracted again rounds them to a grid of about 2**-36 g_max; float64.

    Sums of 2**15 pairs of cells are exact, up to twice g_max each: 36 + 15 + 2 bits.
    """
    return 1.5 * 2.0 ** (math.ceil(math.log2(g_max)) - _GRID_BITS + 52)


@within
def _on_grid(siemens, grid):
    """Nearest place of the grid."""
    return (np.float64(siemens) + grid) - grid


@njit(**KERNEL)
def net_and_load(first, last, team, g, lines, panels, load, grid):
    """``net_ij = plus_ij - minus_ij`` and ``load_i = sum_j (plus_ij + minus_ij)`` for every word line i in lines[first:last].

    plus, minus: g[0] and g[1] of (2, rows, cols) float32 siemens; lines: (n,) int64, none twice; panels: the net conductance in the order
    of `kernels.product`; load: (rows,) float64 siemens; grid: of `grid_for`.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    plus, minus = g[0], g[1]
    cols = plus.shape[1]
    sums = _scratch_sums()
    for j in range(WIDTH):
        sums[j] = 0.0
    for k in range(first, last):
        i = lines[k]
        for p in range(panels.shape[0]):
            start = p * WIDTH
            end = least(start + WIDTH, cols)
            a, b, target = part_of_row(plus, i, start, end), part_of_row(minus, i, start, end), panels[p, i]
            for j in range(end - start):
                target[j] = a[j] - b[j]
                sums[j] += _on_grid(a[j] + b[j], grid)
        total = 0.0
        for j in range(WIDTH):
            total += sums[j]
            sums[j] = 0.0
        load[i] = total


@njit(**KERNEL)
def load_of_columns(g, load, grid, first, last):
    """``load_j += sum_i g_ij``, of pairs the sum of both cells, siemens, for columns first ... last - 1.

    g: (planes, rows, cols) float32; load: (cols,) float64; grid: of `grid_for`.
    """
    some = part(load, first, last)
    for i in range(g.shape[1]):
        a, b = part_of_row(g[0], i, first, last), part_of_row(g[g.shape[0] - 1], i, first, last)
        if g.shape[0] == 2:
            for j in range(last - first):
                some[j] += _on_grid(a[j] + b[j], grid)
        else:
            for j in range(last - first):
                some[j] += _on_grid(a[j], grid)


@njit(**KERNEL)
def loads_at(plus, minus, cells, grid, points, loads):
    """The pairs that some cells belong to, and what they load their lines with.

    cells: (k,) int64, counted through both planes, rows and columns, ascending.
    points: (k,) int64, gets the pairs, row times cols + column, ascending. loads: (k,) float64.

    Returns:
        how many pairs there are.
    """
    cols, size, end = plus.shape[1], plus.size, cells.shape[0]
    split = 0
    while split < end and cells[split] < size:
        split += 1
    one, other, number = 0, split, 0
    while one < split or other < end:
        here = cells[one] if one < split else size
        there = cells[other] - size if other < end else size
        point = least(here, there)
        one += np.int64(here <= there)
        other += np.int64(there <= here)
        i, j = point // cols, point % cols
        points[number] = point
        loads[number] = _on_grid(plus[i, j] + minus[i, j], grid)
        number += 1
    return number


@njit(**KERNEL)
def mend_points(plus, minus, points, before, grid, panels, turned, row_load, col_load):
    """Bring up to date what is known of an array, of which the pairs at different points (k,) have changed.

    plus, minus, grid: as in `net_and_load`. before: (k,), of `loads_at` before the change. panels, row_load: as there.
    turned: the transposed matrix in panels, or no panel. col_load: (cols,) float64, or size 0.
    """
    cols = plus.shape[1]
    for k in range(points.shape[0]):
        i, j = points[k] // cols, points[k] % cols
        a, b = plus[i, j], minus[i, j]
        panels[j // WIDTH, i, j % WIDTH] = a - b
        if turned.shape[0] > 0:
            turned[i // WIDTH, j, i % WIDTH] = a - b
        more = _on_grid(a + b, grid) - before[k]
        row_load[i] += more
        if col_load.shape[0] > 0:
            col_load[j] += more
