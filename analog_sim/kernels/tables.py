"""Linear interpolation in the tables of a cell model, for use inside other kernels."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(forceinline=True)
def lookup(row, u):
    """Value of a table at state u, linear between nodes, constant outside [0, 1]; row: (K,) float32, K >= 2."""
    last = np.int32(row.shape[0] - 1)
    x = min(max(u, np.float32(0.0)), np.float32(1.0)) * np.float32(last)
    k = min(np.int32(x), np.int32(last - np.int32(1)))
    f = x - np.float32(k)
    return row[k] + f * (row[k + np.int32(1)] - row[k])
