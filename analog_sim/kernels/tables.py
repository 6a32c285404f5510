"""Linear interpolation in the tables of a cell model, for use inside other kernels.

A table look-up does not vectorise (compilers avoid gathers on current processors): about 1.7 ns. So kernels look everything up in one short
loop and compute in another, and tables that are read at the same state are interleaved, (K, 2), to share index and cache line.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(forceinline=True)
def place(u, last):
    """Interval and fraction of state u on a grid of last + 1 nodes; states outside [0, 1] count as its ends. last: np.float32."""
    x = min(max(u, np.float32(0.0)), np.float32(1.0)) * last
    k = min(np.uint32(x), np.uint32(last) - np.uint32(1))
    return np.uint32(k), x - np.float32(k)


@njit(forceinline=True)
def lookup(row, u):
    """Value of a table at state u, linear between nodes, constant outside [0, 1]; row: (K,) float32, K >= 2."""
    k, f = place(u, np.float32(row.shape[0] - 1))
    left = row[k]
    return left + f * (row[k + np.uint32(1)] - left)


@njit(forceinline=True)
def lookup_pair(rows, u):
    """Values of two interleaved tables at state u; rows: (K, 2) float32, K >= 2."""
    k, f = place(u, np.float32(rows.shape[0] - 1))
    a, b = rows[k, 0], rows[k, 1]
    next_k = k + np.uint32(1)
    return a + f * (rows[next_k, 0] - a), b + f * (rows[next_k, 1] - b)
