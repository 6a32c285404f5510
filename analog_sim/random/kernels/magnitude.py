"""The largest magnitude of floats, found on their bits. It never rounds, and never sees what the numbers stand for.

Floats of one sign are ordered as their bits are, and an integer maximum vectorises where a float one must not.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim.random.kernels.math import most
from analog_sim.random.kernels.options import KERNEL, within

_MAGNITUDE = np.int32(0x7FFFFFFF)


@within
def largest_bits(bits):
    """Bits of the abs-max of a row of float32 that is seen as int32; those of an infinity or more when one is not finite."""
    m = np.int32(0)
    for i in range(bits.shape[0]):
        m = np.int32(most(m, np.int32(bits[i] & _MAGNITUDE)))
    return m


@njit(**KERNEL)
def largest_of_all(bits):
    """Bits of the abs-max of a matrix (R, C) float32 that is seen as int32."""
    m = np.int32(0)
    for r in range(bits.shape[0]):
        m = np.int32(most(m, largest_bits(bits[r])))
    return m
