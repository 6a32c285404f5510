"""Kernels of the mapping: fractions of the full weight to target conductances, in one pass. Flat arrays only."""

from __future__ import annotations

import numpy as np
from numba import njit

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)


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
