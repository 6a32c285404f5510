"""What reads multiply with and pay for: net conductance and load of chosen word lines, in one pass over both cells of the pairs; and the
load of bit lines.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim.reads.kernels.product import WIDTH


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def net_and_load(plus, minus, cells_of, panels, load):
    """``net_ij = plus_ij - minus_ij`` and ``load_i = sum_j (plus_ij + minus_ij)`` for every word line i in cells_of.

    plus, minus: (rows, cols) float32 siemens; cells_of: (n,) int64, rows of cells counted through both planes; panels: the net
    conductance in the order of `kernels.product`; load: (rows,) float32 siemens. The sum may be taken in any order (the last bits of a
    logged energy depend on the vector unit).
    """
    rows, cols = plus.shape
    done = np.zeros(rows, np.bool_)
    for row in cells_of:
        i = row if row < rows else row - rows
        if done[i]:
            continue
        done[i] = True
        total = np.float32(0.0)
        for p in range(panels.shape[0]):
            first = p * WIDTH
            a, b, target = plus[i, first : first + WIDTH], minus[i, first : first + WIDTH], panels[p, i]
            for j in range(min(WIDTH, cols - first)):
                target[j] = a[j] - b[j]
                total += a[j] + b[j]
        load[i] = total


@njit(cache=True, nogil=True, fastmath=False)
def load_of_columns(g, load, first, last):
    """``load_j += sum_i g_ij``, siemens, for columns first ... last - 1; g: (R, C) float32, the cells of all planes; load: (C,) float32."""
    part = load[first:last]
    for i in range(g.shape[0]):
        row = g[i, first:last]
        for j in range(part.shape[0]):
            part[j] += row[j]
