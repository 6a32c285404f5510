"""Kernels of the mapping: weights to fractions of the full weight, and those to target conductances, in one pass each."""

from __future__ import annotations

import numpy as np
from numba import njit

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_LINE = 16  # float32 in a line of the cache


@njit(cache=True, fastmath=False)
def scaled_transpose(w, factor, out):
    """out = factor w^T; w: (n, m), rows contiguous; out: (m, n). In strips, so that whole lines of the cache are written."""
    n, m = w.shape
    for start in range(0, n, _LINE):
        stop = min(start + _LINE, n)
        for i in range(m):
            target = out[i]
            for j in range(start, stop):
                target[j] = w[j, i] * factor


@njit(cache=True, fastmath=False)
def one_sided_pair(fraction, low, window, plus, minus):
    """plus = low + window max(x, 0), minus = low + window max(-x, 0), x = clip(fraction, -1, 1); all (N,) float32."""
    for i in range(fraction.shape[0]):
        x = min(max(fraction[i], -_ONE), _ONE)
        plus[i] = low + window * max(x, _ZERO)
        minus[i] = low + window * max(-x, _ZERO)


@njit(cache=True, fastmath=False)
def two_sided_pair(fraction, low, window, plus, minus):
    """plus = low + window (1 + x) / 2, minus = low + window (1 - x) / 2, x = clip(fraction, -1, 1); all (N,) float32."""
    for i in range(fraction.shape[0]):
        x = min(max(fraction[i], -_ONE), _ONE)
        plus[i] = low + window * (_HALF * (_ONE + x))
        minus[i] = low + window * (_HALF * (_ONE - x))
