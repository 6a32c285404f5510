"""Kernels of the mapping: weights to fractions of the full weight, and those to target conductances, in one pass each."""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim.random.kernels.math import least, most
from analog_sim.random.kernels.memory import part_of_row, room
from analog_sim.random.kernels.options import KERNEL

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_LINE = 16  # float32 in a line of the cache

_scratch_block = room((_LINE, _LINE), np.float32)


@njit(**KERNEL)
def scaled_transpose(w, factor, out, first, last):
    """out = factor w^T in rows first ... last - 1 of out; w: (n, m), rows contiguous; out: (m, n).

    Block by block, through one that lies together: so whole lines of the cache are read and written, and the lines of a block of w, which
    are a power of two apart as often as not, need not be in the cache all at once.
    """
    n = w.shape[0]
    block = _scratch_block()
    for i0 in range(first, last, _LINE):
        i1 = least(i0 + _LINE, last)
        for j0 in range(0, n, _LINE):
            j1 = least(j0 + _LINE, n)
            for j in range(j0, j1):
                source, line = w[j, i0:i1], part_of_row(block, j - j0, 0, i1 - i0)
                for i in range(source.shape[0]):
                    line[i] = source[i] * factor
            for i in range(i0, i1):
                target = part_of_row(out, i, j0, j1)
                for j in range(target.shape[0]):
                    target[j] = block[j, i - i0]


@njit(**KERNEL)
def one_sided_pair(fraction, low, window, plus, minus):
    """plus = low + window max(x, 0), minus = low + window max(-x, 0), x = clip(fraction, -1, 1); all (N,) float32."""
    for i in range(fraction.shape[0]):
        x = least(most(fraction[i], -_ONE), _ONE)
        plus[i] = low + window * most(x, _ZERO)
        minus[i] = low + window * most(-x, _ZERO)


@njit(**KERNEL)
def two_sided_pair(fraction, low, window, plus, minus):
    """plus = low + window (1 + x) / 2, minus = low + window (1 - x) / 2, x = clip(fraction, -1, 1); all (N,) float32."""
    for i in range(fraction.shape[0]):
        x = least(most(fraction[i], -_ONE), _ONE)
        plus[i] = low + window * (_HALF * (_ONE + x))
        minus[i] = low + window * (_HALF * (_ONE - x))
