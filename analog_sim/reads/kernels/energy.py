"""Energy of a read, in one pass over the voltages, with their squares, or the sums of these, when the noise needs them too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.memory import part, room
from analog_sim.random.kernels.options import CALLED, KERNEL, within

_REASSOCIATED: dict[str, Any] = {**CALLED, "fastmath": {"reassoc", "contract"}}

_LANES = 64
"""Sums side by side in a sum of squares: its order, and so its last bits, are the same on every processor."""

_scratch = room(_LANES, np.float32)


@njit(**_REASSOCIATED)
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


@njit(**_REASSOCIATED)
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


@within
def _sum_of_squares(row, lanes):
    """``sum_i row_i**2``, number i in lane i mod `_LANES`, then lane l + w added to lane l for w = 32, 16, ... 1."""
    for lane in range(_LANES):
        lanes[lane] = np.float32(0.0)
    whole = row.shape[0] // _LANES * _LANES
    for first in range(0, whole, _LANES):
        some = part(row, first, first + _LANES)
        for lane in range(_LANES):
            lanes[lane] = fma(some[lane], some[lane], lanes[lane])
    for i in range(whole, row.shape[0]):
        lanes[i - whole] = fma(row[i], row[i], lanes[i - whole])
    width = _LANES // 2
    while width > 0:
        for lane in range(width):
            lanes[lane] += lanes[lane + width]
        width //= 2
    return lanes[0]


@njit(**KERNEL)
def sums_of_squares(first, last, team, v, factor, sums):
    """``factor sum_i v_bi**2`` into sums (B, 1); v: (B, n) float32. The variance of noise that is the same for all cells.

    first, last, team: rows first ... last - 1, see `analog_sim._teamwork`.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    lanes = _scratch()
    for b in range(first, last):
        sums[b, 0] = factor * _sum_of_squares(v[b], lanes)
