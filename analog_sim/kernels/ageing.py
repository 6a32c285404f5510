"""Kernels of time: power-law drift and log-time relaxation of every cell, and the variance of one read. Flat arrays only."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from analog_sim.kernels import math as fm
from analog_sim.kernels.rng import fill_normals, normal_pair, philox, signed
from analog_sim.kernels.tables import at, pair_at, places

CHUNK = 1024  # cells that one task looks up into a scratch that stays in L1, and then computes
_DEAD = np.uint8(4)
_LOW = np.uint64(0xFFFFFFFF)
_ZERO = np.float32(0.0)


@njit(cache=True, parallel=True, fastmath=False)
def drift_cells(g, age, nu_tables, nu_low, nu_high, g_min, per_window, t_ref, key0, key1, out):
    """Write ``g * (max(age, t_ref) / t_ref)**-nu`` to out, (N,), ``nu = clip(mean(u) + std(u) z, nu_low, nu_high)``.

    age: seconds since the cell was written, (N,) float64 or (1,) when all cells are of one age. z of cell i: normal i of the stream.
    nu_tables: (K, 2) mean and standard deviation of nu over the state.
    """
    one_age = age.shape[0] == 1
    common = fm.log2(np.float32(max(age[0] / t_ref, 1.0)))
    for c in prange((g.shape[0] + CHUNK - 1) // CHUNK):
        o = c * CHUNK
        q = min(CHUNK, g.shape[0] - o)
        gg, oo = g[o : o + q], out[o : o + q]
        k, f, nu = np.empty(q, np.uint32), np.empty(q, np.float32), np.empty(q, np.float32)
        z = np.empty(q, np.float32)
        fill_normals(z, key0, key1, np.uint64(o))
        places(gg, g_min, per_window, nu_tables.shape[0], k, f)
        for i in range(q):
            mean, std = pair_at(nu_tables, k[i], f[i])
            nu[i] = mean + std * z[i]
        if one_age:
            for i in range(q):
                oo[i] = gg[i] * fm.exp2(-min(max(nu[i], nu_low), nu_high) * common)
        else:
            aa = age[o : o + q]
            for i in range(q):
                ratio = np.float32(max(aa[i] / t_ref, 1.0))
                oo[i] = gg[i] * fm.exp2(-min(max(nu[i], nu_low), nu_high) * fm.log2(ratio))


@njit(cache=True, parallel=True, fastmath=False)
def relax_cells(g, path, decades, tables, g_min, per_window, out):
    """Write ``max(0, g + mean(u) s + std(u) W(s))`` to out, (N,).

    path: (N,) values of the Brownian path W at s = decades (N,). tables: (K, 2) mean and standard deviation per decade.
    """
    for c in prange((g.shape[0] + CHUNK - 1) // CHUNK):
        o = c * CHUNK
        q = min(CHUNK, g.shape[0] - o)
        gg, pp, ss, oo = g[o : o + q], path[o : o + q], decades[o : o + q], out[o : o + q]
        k, f, moved = np.empty(q, np.uint32), np.empty(q, np.float32), np.empty(q, np.float32)
        places(gg, g_min, per_window, tables.shape[0], k, f)
        for i in range(q):
            mean, std = pair_at(tables, k[i], f[i])
            moved[i] = mean * ss[i] + std * pp[i]
        for i in range(q):
            oo[i] = max(gg[i] + moved[i], _ZERO)


@njit(cache=True, parallel=True, fastmath=False)
def read_variance(g, flicker_factor, tables, g_min, per_window, fault, out):
    """Write the variance of one read to out: ``white(u)**2 + flicker(u)**2 * f**2``; 0 where the cell is dead.

    g: (N,) siemens now; flicker_factor: (N,) or (1,) float32 values of f**2; tables: (K, 2) white and flicker; fault: (N,) uint8 or (0,).
    """
    one = flicker_factor.shape[0] == 1
    for c in prange((g.shape[0] + CHUNK - 1) // CHUNK):
        o = c * CHUNK
        q = min(CHUNK, g.shape[0] - o)
        gg, oo = g[o : o + q], out[o : o + q]
        k, f = np.empty(q, np.uint32), np.empty(q, np.float32)
        places(gg, g_min, per_window, tables.shape[0], k, f)
        for i in range(q):
            white, flicker = pair_at(tables, k[i], f[i])
            oo[i] = white * white + flicker * flicker * (flicker_factor[0] if one else flicker_factor[o + i])
        if fault.shape[0] > 0:
            for i in range(q):
                if fault[o + i] == _DEAD:
                    oo[i] = _ZERO


@njit(cache=True, parallel=True, fastmath=False)
def program_cells(target, std, g_min, per_window, key0, key1, offset, out):
    """Write ``max(0, target + std(u) z)`` to out, (N,); std: (K,) table over the state of the target; z of cell i: normal offset + i."""
    for c in prange((target.shape[0] + CHUNK - 1) // CHUNK):
        o = c * CHUNK
        q = min(CHUNK, target.shape[0] - o)
        tt, oo = target[o : o + q], out[o : o + q]
        k, f, sigma = np.empty(q, np.uint32), np.empty(q, np.float32), np.empty(q, np.float32)
        z = np.empty(q, np.float32)
        fill_normals(z, key0, key1, offset + np.uint64(o))
        places(tt, g_min, per_window, std.shape[0], k, f)
        for i in range(q):
            sigma[i] = at(std, k[i], f[i])
        for i in range(q):
            oo[i] = max(tt[i] + sigma[i] * z[i], _ZERO)


@njit(cache=True, parallel=True, fastmath=False)
def brownian_paths(t_written, now, t_0, key0, key1, path, decades):
    """Brownian path of every cell in log time: decades = log10(1 + age / t_0), path = W(decades).

    W is pinned at whole decades by independent normals and has the right variance at any time (between two decades it moves on one
    normal): a pure function of the key, the cell and its time of writing, so that it needs no memory. t_written: (N,) float64 seconds.
    """
    bits = t_written.view(np.uint64)
    for i in prange(t_written.shape[0]):
        s = math.log10(1.0 + max(now - t_written[i], 0.0) / t_0)
        whole = np.int64(s)
        low, high = bits[i] & _LOW, bits[i] >> np.uint64(32)
        w = 0.0
        for k in range(whole + 1):
            a, b, _, _ = philox(np.uint64(k), np.uint64(i), low, high, key0, key1)
            n, _ = normal_pair(signed(a), signed(b))
            w += n if k < whole else n * math.sqrt(s - whole)
        path[i] = np.float32(w)
        decades[i] = np.float32(s)
