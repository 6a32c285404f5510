"""Kernel of relaxation in bursts: diffusion on a clock that stands nearly still for most of a decade and then leaps. Flat arrays only.

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

import math

import numpy as np
from numba import njit

from analog_sim.cells.kernels.tables import pair_at, places, places_of_targets
from analog_sim.random.kernels import math as fm
from analog_sim.random.kernels.philox import normal_pair, philox, signed, uniform

_HEALTHY = np.uint8(0)
_LOW = np.uint64(0xFFFFFFFF)
_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_NEVER = np.float32(np.inf)
_LEAST = np.float32(1e-30)
_LOG10_2 = np.float32(math.log10(2.0))

KEPT = 4
"""Float32 numbers that are remembered of a path: W at the start of its decade; normal, squared normal and leap of the decade."""


@njit(forceinline=True)
def _moved(f, r, skew, straight, normal, y, leap):
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
def _walk(cell, written, whole, r, skew, straight, kept, decade, key0, key1):
    """Bring a cell's path to the decade `whole`: row 0 of kept W at its start, rows 1 to 3 what it moves by, see the module.

    The numbers of decade k are made of the Philox block (k, cell, time of writing): a pure function, so that they need no memory; what
    was worked out for an earlier decade is used. written: bits of the time.
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
            w += _moved(_ONE, r, skew, straight, normal, y, leap)
        a, b, c, _ = philox(np.uint64(k), np.uint64(cell), low, high, key0, key1)
        normal, other = normal_pair(signed(a), signed(b))
        u = uniform(signed(c))
        y = other * other
        leap = _NEVER
        if u < _HALF:
            odds = u / (_ONE - u)
            leap = y * odds / ((_ONE - odds) * (_ONE - odds))
    kept[0, cell], kept[1, cell], kept[2, cell], kept[3, cell] = w, normal, y, leap
    decade[cell] = np.int8(whole)


@njit(cache=True, nogil=True, fastmath=False)
def relax_cells_in_bursts(
    spans,
    g,
    written,
    codes,
    t_written,
    now,
    t_0,
    tables,
    shapes,
    g_min,
    per_window,
    fault,
    key0,
    key1,
    kept,
    decade,
    out,
):
    """Write ``max(0, g + mean(u) s + std(u) W(s))`` to out, (N,), ``s = log10(1 + age / t_0)``; g in a faulty cell. out may be g.

    u is the state of `written`, (N,) siemens, the cell as written, or the target: codes as in `kernels.ageing`.

    W moves on by ``skew(u) (T - f) / sqrt(tail(u)) + sqrt((1 - skew(u)**2) T) n`` within a decade, T the clock of the module's
    text, n one normal. tables: (K, 2) mean and standard deviation per decade. shapes: (K, 2) tail, decades, and skew. kept (4, N)
    float32 and decade (N,) int8: what is remembered of the paths, see `_walk`; decade -1 where nothing is. t_written: (N,) float64
    seconds. fault: (N,) uint8 or (0,).
    """
    bits = t_written.view(np.uint64)
    per_t_0 = 1.0 / t_0
    for c in range(spans.shape[0]):
        o, e = spans[c, 0], spans[c, 1]
        q = e - o
        gg, tt, dd, oo = g[o:e], t_written[o:e], decade[o:e], out[o:e]
        ww, nn, yy, ll = kept[0, o:e], kept[1, o:e], kept[2, o:e], kept[3, o:e]
        k, f, s = np.empty(q, np.uint32), np.empty(q, np.float32), np.empty(q, np.float32)
        mean, std, moved = np.empty(q, np.float32), np.empty(q, np.float32), np.empty(q, np.float32)
        root, skew, straight = np.empty(q, np.float32), np.empty(q, np.float32), np.empty(q, np.float32)
        turned = np.int32(0)
        for i in range(q):
            s[i] = np.float32(1.0 + max(now - tt[i], 0.0) * per_t_0)
        for i in range(q):
            s[i] = fm.log2(s[i]) * _LOG10_2
        for i in range(q):
            turned |= np.int32(np.int32(s[i]) != np.int32(dd[i]))
        if codes.shape[0] > 0:
            places_of_targets(codes[o:e], written[o:e], g_min, per_window, tables.shape[0], k, f)
        else:
            places(written[o:e], g_min, per_window, tables.shape[0], k, f)
        for i in range(q):
            mean[i], std[i] = pair_at(tables, k[i], f[i])
        for i in range(q):
            root[i], skew[i] = pair_at(shapes, k[i], f[i])
        for i in range(q):
            root[i] = np.sqrt(root[i])
            straight[i] = np.sqrt(_ONE - skew[i] * skew[i])
        if turned:
            for i in range(q):
                if np.int32(s[i]) != np.int32(dd[i]):
                    shape = root[i], skew[i], straight[i]
                    _walk(o + i, bits[o + i], np.int64(s[i]), *shape, kept, decade, key0, key1)
        for i in range(q):
            path = ww[i] + _moved(s[i] - np.float32(dd[i]), root[i], skew[i], straight[i], nn[i], yy[i], ll[i])
            moved[i] = max(gg[i] + mean[i] * s[i] + std[i] * path, _ZERO)
        if fault.shape[0] > 0:
            for i in range(q):
                moved[i] = moved[i] if fault[o + i] == _HEALTHY else gg[i]
        for i in range(q):
            oo[i] = moved[i]
