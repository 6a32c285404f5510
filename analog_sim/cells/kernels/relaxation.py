"""Kernel of log-time relaxation of every cell, along a straight path or one in bursts (`kernels.bursts`). Flat arrays only.

What time does is evaluated for spans of cells, (n, 2) int64 of first and last + 1: a whole array in chunks, or the rows that were pulsed.
A cell's value depends on its own state and the time alone, never on the span that it is in. An age below zero counts as zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.cells.kernels.bursts import moved_in_bursts, walk_in_bursts
from analog_sim.cells.kernels.tables import pair_at, places, places_of_targets
from analog_sim.random.kernels import math as fm
from analog_sim.random.kernels.philox import normal_pair, philox, signed, uniform

F32 = npt.NDArray[np.float32]

_HEALTHY = np.uint8(0)
_LOW = np.uint64(0xFFFFFFFF)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_OWN_PATH, _BLOCKS, _WHO = (
    np.uint64(0),
    np.uint64(256),
    np.uint64(255),
)  # paths of 256 blocks each; the last one of the first is none's
_LOG10_2 = np.float32(math.log10(2.0))


class AgedCells(NamedTuple):
    """Cells as they were written, (N,) each.

    g: siemens that time acts on. written: siemens as written; with `codes`, those of `analog_sim.cells.state.CellState.target`, or (0,),
        the state that tables are read at. t_written: seconds. fault: or (0,).
    """

    g: F32
    written: F32
    codes: npt.NDArray[np.uint16]
    t_written: npt.NDArray[np.float64]
    fault: npt.NDArray[np.uint8]


class RelaxationTables(NamedTuple):
    """The law: tables over the state, and the window that they span.

    moments: (K, 2) mean and standard deviation per decade, siemens. shapes: (K, 2) tail, decades, and skew of paths in bursts, else (0, 2).
    t_0: seconds. g_min: siemens. per_window: 1 / siemens. returning: share of the cells that return, in [0, 1).
    """

    moments: F32
    shapes: F32
    t_0: float
    g_min: np.float32
    per_window: np.float32
    returning: np.float32


class Paths(NamedTuple):
    """What is remembered of the paths; it follows from the rest.

    kept: (2, N), W at the start of the decade and the normal on which it moves, or, in bursts, (4, N), see `kernels.bursts`.
    decade: (N,), -1 where nothing is known.
    """

    kept: F32
    decade: npt.NDArray[np.int8]


@njit(cache=True)
def _walk(cell, written, whole, kept, decade, block, key0, key1):
    """Bring a cell's path to the decade `whole`.

    The normal of decade k is the first of the Philox block (block + k, cell, time of writing): a pure function, so that it needs no
    memory; what was worked out for an earlier decade is used. written: bits of the time.
    """
    low, high = written & _LOW, written >> np.uint64(32)
    start = np.int64(decade[cell]) + 1
    if start > whole or start == 0:
        start = 0
        kept[0, cell] = _ZERO
        kept[1, cell] = _ZERO
    for k in range(start, whole + 1):
        a, b, _, _ = philox(block + np.uint64(k), np.uint64(cell), low, high, key0, key1)
        n, _ = normal_pair(signed(a), signed(b))
        kept[0, cell] += kept[1, cell]
        kept[1, cell] = n
    decade[cell] = np.int8(whole)


@njit(cache=True)
def _path_of(cell, written, whole, returning, decade, key0, key1):
    """First block of the path that a cell follows in the decade `whole`; one that returns forgets what was worked out for an earlier one.

    Whether it returns is decided for every write, by a uniform below `returning`: the first of the block (255, cell, time of writing).
    """
    if returning == _ZERO:
        return _OWN_PATH
    who, _, _, _ = philox(_WHO, np.uint64(cell), written & _LOW, written >> np.uint64(32), key0, key1)
    if uniform(signed(who)) >= returning:
        return _OWN_PATH
    decade[cell] = np.int8(-1)
    return _BLOCKS * np.uint64(whole + 1)


@njit(forceinline=True)
def _decades_since(t_written, now, per_t_0, decade, s):
    """``s = log10(1 + age / t_0)`` of every cell; returns whether any path has to be walked to another decade."""
    turned = np.int32(0)
    for i in range(s.shape[0]):
        s[i] = np.float32(1.0 + max(now - t_written[i], 0.0) * per_t_0)
    for i in range(s.shape[0]):
        s[i] = fm.log2(s[i]) * _LOG10_2
    for i in range(s.shape[0]):
        turned |= np.int32(np.int32(s[i]) != np.int32(decade[i]))
    return turned != 0


@njit(forceinline=True)
def _straight(first, bits, s, turned, returning, key0, key1, paths, path):
    """Write W(s) to path: between two decades it moves on one normal."""
    kept, decade = paths
    o, e = first, first + s.shape[0]
    if turned:
        for i in range(s.shape[0]):
            if np.int32(s[i]) != np.int32(decade[o + i]):
                block = _path_of(o + i, bits[o + i], np.int64(s[i]), returning, decade, key0, key1)
                _walk(o + i, bits[o + i], np.int64(s[i]), kept, decade, block, key0, key1)
    w, normal, whole = kept[0, o:e], kept[1, o:e], decade[o:e]
    for i in range(s.shape[0]):
        path[i] = w[i] + normal[i] * np.sqrt(s[i] - np.float32(whole[i]))


@njit(forceinline=True)
def _in_bursts(first, bits, s, turned, returning, key0, key1, shapes, k, f, paths, path):
    """The same on the clock of `kernels.bursts`; k, f: places of the cells in the tables."""
    kept, decade = paths
    q, o, e = s.shape[0], first, first + s.shape[0]
    root, skew, straight = np.empty(q, np.float32), np.empty(q, np.float32), np.empty(q, np.float32)
    for i in range(q):
        root[i], skew[i] = pair_at(shapes, k[i], f[i])
    for i in range(q):
        root[i] = np.sqrt(root[i])
        straight[i] = np.sqrt(_ONE - skew[i] * skew[i])
    if turned:
        for i in range(q):
            if np.int32(s[i]) != np.int32(decade[o + i]):
                shape = root[i], skew[i], straight[i]
                block = _path_of(o + i, bits[o + i], np.int64(s[i]), returning, decade, key0, key1)
                walk_in_bursts(o + i, bits[o + i], np.int64(s[i]), *shape, kept, decade, block, key0, key1)
    w, normal, square, leap, whole = kept[0, o:e], kept[1, o:e], kept[2, o:e], kept[3, o:e], decade[o:e]
    for i in range(q):
        over = s[i] - np.float32(whole[i])
        path[i] = w[i] + moved_in_bursts(over, root[i], skew[i], straight[i], normal[i], square[i], leap[i])


@njit(cache=True, nogil=True, fastmath=False)
def relax_cells(spans, cells, law, now, key0, key1, paths, out):
    """Write ``max(0, g + mean(u) s + std(u) W(s))`` to out, (N,), ``s = log10(1 + age / t_0)``; g in a faulty cell. out may be g.

    u is the state as written, or the target. W is pinned at whole decades by independent normals and has the right variance at any time;
    in bursts it moves on within a decade by ``skew(u) (T - f) / sqrt(tail(u)) + sqrt((1 - skew(u)**2) T) n``, T the clock of
    `kernels.bursts`, f the fraction of the decade that is over, n one normal. A cell that returns is on another path in every decade.

    cells, law, paths: see the classes. now: seconds. key0, key1: of the normals.
    """
    bits = cells.t_written.view(np.uint64)
    per_t_0 = 1.0 / law.t_0
    nodes = law.moments.shape[0]
    for c in range(spans.shape[0]):
        o, e = spans[c, 0], spans[c, 1]
        q = e - o
        g, written, there = cells.g[o:e], cells.written[o:e], out[o:e]
        k, f, s = np.empty(q, np.uint32), np.empty(q, np.float32), np.empty(q, np.float32)
        mean, std, path = np.empty(q, np.float32), np.empty(q, np.float32), np.empty(q, np.float32)
        turned = _decades_since(cells.t_written[o:e], now, per_t_0, paths.decade[o:e], s)
        if cells.codes.shape[0] > 0:
            places_of_targets(cells.codes[o:e], written, law.g_min, law.per_window, nodes, k, f)
        else:
            places(written, law.g_min, law.per_window, nodes, k, f)
        for i in range(q):
            mean[i], std[i] = pair_at(law.moments, k[i], f[i])
        if law.shapes.shape[0] > 0:
            _in_bursts(o, bits, s, turned, law.returning, key0, key1, law.shapes, k, f, paths, path)
        else:
            _straight(o, bits, s, turned, law.returning, key0, key1, paths, path)
        for i in range(q):
            path[i] = max(g[i] + mean[i] * s[i] + std[i] * path[i], _ZERO)
        if cells.fault.shape[0] > 0:
            for i in range(q):
                path[i] = path[i] if cells.fault[o + i] == _HEALTHY else g[i]
        for i in range(q):
            there[i] = path[i]
