"""Kernels of a decorrelating matrix: what is done to its inputs and outputs, row by row. They know no tile.

Every number is rounded as NumPy rounds it, operation by operation; float32 throughout, arrays of C order. first, last, team: rows first
... last - 1, see `analog_sim._teamwork`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.options import KERNEL
from analog_sim.threads import rows_of

WORTH_A_THREAD = 2**13
"""Numbers."""


def all_rows(x: npt.NDArray[np.float32], n: int) -> tuple[int, int, int]:
    """The first three arguments of these kernels, for all rows of x (B, n). Raises ValueError for another shape: they do not look."""
    if x.ndim != 2 or x.shape[1] != n:
        raise ValueError(f"a decorrelating matrix of {n} lines: rows must have shape (B, {n}) (got {x.shape})")
    return rows_of(x, WORTH_A_THREAD)


@njit(**KERNEL)
def centre_rows(first, last, team, x, mean, z):
    """``z = x - mean``; x, z: (B, n), mean: (n,)."""
    if team:
        shared(first, last, 1, 1, team)
        return
    for b in range(first, last):
        for i in range(mean.shape[0]):
            z[b, i] = x[b, i] - mean[i]


@njit(**KERNEL)
def scale_columns(first, last, team, x, gain, y):
    """``y = x g``; x, y: (B, n), gain: (n,)."""
    if team:
        shared(first, last, 1, 1, team)
        return
    for b in range(first, last):
        for i in range(gain.shape[0]):
            y[b, i] = x[b, i] * gain[i]


@njit(**KERNEL)
def bypass_and_scale(first, last, team, z, gain, r, y):
    """``r += z`` and ``y = r g``; z, r, y: (B, n), gain: (n,)."""
    if team:
        shared(first, last, 1, 1, team)
        return
    for b in range(first, last):
        for i in range(gain.shape[0]):
            r[b, i] += z[b, i]
            y[b, i] = r[b, i] * gain[i]
