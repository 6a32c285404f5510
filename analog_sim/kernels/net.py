"""What reads multiply with and pay for: net conductance and load of chosen word lines, in one pass over both cells of the pairs."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def net_and_load(plus, minus, cells_of, net, load):
    """``net_ij = plus_ij - minus_ij`` and ``load_i = sum_j (plus_ij + minus_ij)`` for every word line i in cells_of.

    plus, minus, net: (rows, cols) float32 siemens; cells_of: (n,) int64, rows of cells counted through both planes; load: (rows,) float32
    siemens. The sum may be taken in any order (the last bits of a logged energy depend on the vector unit).
    """
    done = np.zeros(net.shape[0], np.bool_)
    for row in cells_of:
        i = row if row < net.shape[0] else row - net.shape[0]
        if done[i]:
            continue
        done[i] = True
        a, b, target = plus[i], minus[i], net[i]
        total = np.float32(0.0)
        for j in range(target.shape[0]):
            target[j] = a[j] - b[j]
            total += a[j] + b[j]
        load[i] = total
