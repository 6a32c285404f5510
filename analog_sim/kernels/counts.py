"""Kernels for signed counts of pulses, one for each cell. They never touch a conductance."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def largest_in_rows(counts, out):
    """Write ``max_j |counts_ij|`` to out, (R,) int32. counts: (R, C) int32."""
    for i in range(counts.shape[0]):
        row = counts[i]
        largest = np.int32(0)
        for j in range(row.shape[0]):
            largest = max(largest, np.int32(abs(row[j])))
        out[i] = largest
