"""Kernels of time: power-law drift of every cell, and the variance of one read. Flat arrays only; relaxation: `kernels.relaxation`.

Loops are short and of one width, because one that mixes float64 times with float32 polynomials takes twice as long.
What time does is evaluated for spans of cells, (n, 2) int64 of first and last + 1: a whole array in chunks, or the rows that were pulsed.
A cell's value depends on its own state and the time alone, never on the span that it is in. An age below zero counts as zero.
Where a table is read at the target, `codes` are those of `analog_sim.cells.state.CellState.target`, (N,), else (0,).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim.cells.kernels.tables import pair_at, places, places_of_targets, references
from analog_sim.random.kernels import math as fm
from analog_sim.random.kernels.math import least, most
from analog_sim.random.kernels.memory import part, room
from analog_sim.random.kernels.options import KERNEL

CHUNK = 1024  # cells that are looked up into a scratch that stays in L1, and then computed
_DEAD = np.uint8(4)
_HEALTHY = np.uint8(0)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_UNKNOWN = np.int8(-1)
_LEAST_STATE = np.float32(1e-6)  # of the window: below it the noise of 1/f is in proportion to the conductance
_FIRST = np.uint32(0)

_scratch_places, _scratch = room(CHUNK, np.uint32), room(CHUNK, np.float32)


@njit(**KERNEL)
def drift_exponents(spans, g, codes, tables, nu_low, nu_high, reflect, g_min, per_window, fault, z, nu):
    """Write ``clip(mean(u) + std(u) z, nu_low, nu_high)`` to nu, (N,), u the state as written or the target; 0 in a faulty cell.

    tables: (K, 2) mean and standard deviation of nu over the state; z: normals of the cells of the spans, one after the other. fault: (N,)
    uint8 or (0,). reflect: mirror at nu_low instead of cutting there.
    """
    k, f = _scratch_places(), _scratch()
    drawn = np.int64(0)
    for s in range(spans.shape[0]):
        for o in range(spans[s, 0], spans[s, 1], CHUNK):
            e = least(o + CHUNK, spans[s, 1])
            q = e - o
            gg, nn, zz = part(g, o, e), part(nu, o, e), part(z, drawn, drawn + q)
            drawn += q
            if codes.shape[0] > 0:
                places_of_targets(part(codes, o, e), gg, g_min, per_window, tables.shape[0], k, f)
            else:
                places(gg, g_min, per_window, tables.shape[0], k, f)
            for i in range(q):
                mean, std = pair_at(tables, k[i], f[i])
                nn[i] = mean + std * zz[i]
            if reflect:
                for i in range(q):
                    nn[i] = least(nu_low + abs(nn[i] - nu_low), nu_high)
            else:
                for i in range(q):
                    nn[i] = least(most(nn[i], nu_low), nu_high)
            if fault.shape[0] > 0:
                for i in range(q):
                    nn[i] = nn[i] if fault[o + i] == _HEALTHY else _ZERO


@njit(**KERNEL)
def drift_cells(spans, g, t_written, nu, now, t_ref, out):
    """Write ``g * (max(age, t_ref) / t_ref)**-nu`` to out, (N,); exactly g up to the age t_ref. t_written: (N,) float64 seconds."""
    per_t_ref = 1.0 / t_ref
    x = _scratch()
    for s in range(spans.shape[0]):
        for o in range(spans[s, 0], spans[s, 1], CHUNK):
            e = least(o + CHUNK, spans[s, 1])
            gg, tt, nn, oo = part(g, o, e), part(t_written, o, e), part(nu, o, e), part(out, o, e)
            for i in range(e - o):
                x[i] = most(np.float32((now - tt[i]) * per_t_ref), _ONE)
            for i in range(e - o):
                x[i] = -nn[i] * fm.log2(x[i])
            for i in range(e - o):
                oo[i] = gg[i] * fm.exp2(x[i])


@njit(cache=True)
def forget_paths(spans, t_written, now, decade):
    """Mark the paths of the cells in the spans that were written at the time `now` as unknown."""
    for s in range(spans.shape[0]):
        for i in range(spans[s, 0], spans[s, 1]):
            decade[i] = _UNKNOWN if t_written[i] == now else decade[i]


@njit(**KERNEL)
def read_variance(g, written, codes, per_code, t_written, now, t_read, tables, limit, g_min, per_window, fault, out):
    """Write the variance of one read to out: ``white(u)**2 + F**2 log(max((age + t_read) / (2 t_read), 1))``; 0 where dead.

    F is flicker(u), or, with codes, ``flicker(u_T) g / g_T`` of the target. g, written: (N,) siemens now, and as written (only looked at
    with codes); t_written: (N,) float64 seconds or (0,) without flicker noise; tables: (K, 2) white and flicker; limit: largest white over
    g, 0 for none; per_code: siemens of a step of the codes; fault: (N,) uint8 or (0,).
    """
    half_per_t_read = 0.5 / t_read
    k, f, flicker, x = _scratch_places(), _scratch(), _scratch(), _scratch()
    for c in range((g.shape[0] + CHUNK - 1) // CHUNK):
        o = c * CHUNK
        q = least(CHUNK, g.shape[0] - o)
        gg, oo = part(g, o, o + q), part(out, o, o + q)
        places(gg, g_min, per_window, tables.shape[0], k, f)
        if tables.shape[0] == 2:
            for i in range(q):
                oo[i], flicker[i] = pair_at(tables, _FIRST, f[i])
        else:
            for i in range(q):
                oo[i], flicker[i] = pair_at(tables, k[i], f[i])
        if limit > _ZERO:
            for i in range(q):
                oo[i] = least(oo[i], limit * gg[i])
        for i in range(q):
            oo[i] = oo[i] * oo[i]
        if codes.shape[0] > 0:
            xx = part(x, 0, q)
            lowest = g_min + _LEAST_STATE / per_window
            references(part(codes, o, o + q), part(written, o, o + q), g_min, per_code, xx)
            for i in range(q):
                x[i] = most(x[i], lowest)
            places(xx, g_min, per_window, tables.shape[0], k, f)
            for i in range(q):
                _, flicker[i] = pair_at(tables, k[i], f[i])
            for i in range(q):
                flicker[i] *= gg[i] / x[i]
        if t_written.shape[0] > 0:
            tt = part(t_written, o, o + q)
            for i in range(q):
                f[i] = most(np.float32((now - tt[i] + t_read) * half_per_t_read), _ONE)
            for i in range(q):
                oo[i] += flicker[i] * flicker[i] * fm.log(f[i])
        if fault.shape[0] > 0:
            for i in range(q):
                oo[i] = _ZERO if fault[o + i] == _DEAD else oo[i]
