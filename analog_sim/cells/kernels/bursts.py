"""Paths of relaxation in bursts: diffusion on a clock that stands nearly still for most of a decade and then leaps. Flat arrays only.

The clock T(s) is an inverse Gaussian process of mean s and variance tail s, s decades of time. Within one decade it follows from one
squared normal and one uniform that last for the decade. With f the fraction of the decade that is over, r = sqrt(tail), y the squared
normal and v the odds u / (1 - u) of the uniform:

    e = r y / 2 + sqrt(f y + (r y / 2)**2),   T = f + r e after the leap at f = tail y v / (1 - v)**2, before it T = f**2 / (f + r e)

and T - f is r e or -r e f / (f + r e). At any f that is the generator of Michael, Schucany and Haas: T is one of the two roots x of
``(x - f)**2 / (tail x) = y``, the lower one with probability f / (f + x), which v decides. That probability falls with f and either
root grows, so that a clock that is read at several times never runs backwards, and leaps at most once in a decade. For tail -> 0, T = f
and (T - f) / r is a normal.

Source: Michael, Schucany & Haas, Am. Stat. 30, 88 (1976), doi:10.1080/00031305.1976.10479147.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim.random.kernels.philox import normal_pair, philox, signed, uniform

_LOW = np.uint64(0xFFFFFFFF)
_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_NEVER = np.float32(np.inf)
_LEAST = np.float32(1e-30)

KEPT = 4
"""Float32 numbers that are remembered of a path: W at the start of its decade; normal, squared normal and leap of the decade."""


@njit(forceinline=True)
def moved_in_bursts(f, r, skew, straight, normal, y, leap):
    """``skew (T - f) / r + straight sqrt(T) normal`` after the fraction f of a decade, straight = sqrt(1 - skew**2)."""
    c = _HALF * r * y
    e = c + np.sqrt(f * y + c * c)
    late = f + r * e
    share = f / max(late, _LEAST)
    leapt = f > r * r * leap
    clock = late if leapt else f * share
    ahead = e if leapt else -e * share
    return skew * ahead + straight * np.sqrt(clock) * normal


@njit(cache=True)
def walk_in_bursts(cell, written, whole, r, skew, straight, kept, decade, block, key0, key1):
    """Bring a cell's path to the decade `whole`: row 0 of kept W at its start, rows 1 to 3 what it moves by, see the module.

    The numbers of decade k are made of the Philox block (block + k, cell, time of writing): a pure function, so that they need no
    memory; what was worked out for an earlier decade is used. written: bits of the time.
    """
    low, high = written & _LOW, written >> np.uint64(32)
    start = np.int64(decade[cell]) + 1
    if start > whole or start == 0:
        start = 0
        for row in range(KEPT):
            kept[row, cell] = _ZERO
    w, normal, y, leap = kept[0, cell], kept[1, cell], kept[2, cell], kept[3, cell]
    for k in range(start, whole + 1):
        if k > 0:
            w += moved_in_bursts(_ONE, r, skew, straight, normal, y, leap)
        a, b, c, _ = philox(block + np.uint64(k), np.uint64(cell), low, high, key0, key1)
        normal, other = normal_pair(signed(a), signed(b))
        u = uniform(signed(c))
        y = other * other
        leap = _NEVER
        if u < _HALF:
            odds = u / (_ONE - u)
            leap = y * odds / ((_ONE - odds) * (_ONE - odds))
    kept[0, cell], kept[1, cell], kept[2, cell], kept[3, cell] = w, normal, y, leap
    decade[cell] = np.int8(whole)
