"""Energy of a read, in one pass over the voltages, with their squares when the noise needs them too."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, fastmath={"reassoc", "contract"})
def read_power(v, g):
    """``sum_b sum_i v_bi**2 g_i`` in watts; v: (B, n) float32 volts, g: (n,) float32 siemens that load each line.

    Sums of a row may be taken in any order (the last bits of a logged energy depend on the vector unit), so that they vectorise.
    """
    total = 0.0
    for b in range(v.shape[0]):
        row = v[b]
        s = np.float32(0.0)
        for i in range(row.shape[0]):
            s += row[i] * row[i] * g[i]
        total += s
    return total


@njit(cache=True, fastmath={"reassoc", "contract"})
def square_and_power(v, g, squared):
    """`read_power`, and v**2 into squared (B, n)."""
    total = 0.0
    for b in range(v.shape[0]):
        row, target = v[b], squared[b]
        s = np.float32(0.0)
        for i in range(row.shape[0]):
            x = row[i] * row[i]
            target[i] = x
            s += x * g[i]
        total += s
    return total
