"""Kernels of time: power-law drift and log-time relaxation of every cell, and the variance of one read. Flat arrays only."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from analog_sim.kernels import math as fm
from analog_sim.kernels.rng import normal_pair, philox, signed
from analog_sim.kernels.tables import lookup

_LOW = np.uint64(0xFFFFFFFF)
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@njit(cache=True, parallel=True, fastmath=False)
def drift_cells(g, age, z, nu_mean, nu_std, nu_low, nu_high, g_min, per_window, t_ref, out):
    """Write ``g * (max(age, t_ref) / t_ref)**-nu`` to out; all (N,) but the tables (K,) and the scalars.

    age: seconds since the cell was written, (N,) float64 or (1,) when all cells are of one age. z: (N,) normals of the chip.
    """
    chunk = 4096
    chunks = (g.shape[0] + chunk - 1) // chunk
    one_age = age.shape[0] == 1
    for c in prange(chunks):
        o = c * chunk
        q = min(chunk, g.shape[0] - o)
        gg, zz, oo = g[o : o + q], z[o : o + q], out[o : o + q]
        if one_age:
            ratio = np.float32(max(age[0] / t_ref, 1.0))
            log_ratio = fm.log2(ratio)
            for i in range(q):
                u = (gg[i] - g_min) * per_window
                nu = min(max(lookup(nu_mean, u) + lookup(nu_std, u) * zz[i], nu_low), nu_high)
                oo[i] = gg[i] * fm.exp2(-nu * log_ratio)
        else:
            aa = age[o : o + q]
            for i in range(q):
                u = (gg[i] - g_min) * per_window
                nu = min(max(lookup(nu_mean, u) + lookup(nu_std, u) * zz[i], nu_low), nu_high)
                ratio = max(np.float32(aa[i] / t_ref), _ONE)
                oo[i] = gg[i] * fm.exp2(-nu * fm.log2(ratio))


@njit(cache=True, parallel=True, fastmath=False)
def relax_cells(g, path, decades, mean, std, g_min, per_window, out):
    """Write ``max(0, g + mean(u) s + std(u) W(s))`` to out; path: (N,) values of the Brownian path W at s = decades (N,)."""
    chunk = 4096
    chunks = (g.shape[0] + chunk - 1) // chunk
    for c in prange(chunks):
        o = c * chunk
        q = min(chunk, g.shape[0] - o)
        gg, pp, ss, oo = g[o : o + q], path[o : o + q], decades[o : o + q], out[o : o + q]
        for i in range(q):
            u = (gg[i] - g_min) * per_window
            oo[i] = max(gg[i] + lookup(mean, u) * ss[i] + lookup(std, u) * pp[i], _ZERO)


@njit(cache=True, parallel=True, fastmath=False)
def read_variance(g, flicker_factor, white, flicker, g_min, per_window, dead, out):
    """Write the variance of one read to out: ``white(u)**2 + flicker(u)**2 * f**2``; 0 where dead.

    g: (N,) siemens now; flicker_factor: (N,) or (1,) float32 values of f**2; dead: (N,) uint8 or (0,).
    """
    chunk = 4096
    chunks = (g.shape[0] + chunk - 1) // chunk
    one = flicker_factor.shape[0] == 1
    for c in prange(chunks):
        o = c * chunk
        q = min(chunk, g.shape[0] - o)
        gg, oo = g[o : o + q], out[o : o + q]
        for i in range(q):
            u = (gg[i] - g_min) * per_window
            w = lookup(white, u)
            f = lookup(flicker, u)
            oo[i] = w * w + f * f * (flicker_factor[0] if one else flicker_factor[o + i])
        if dead.shape[0] > 0:
            for i in range(q):
                if dead[o + i] == 4:
                    oo[i] = _ZERO


@njit(cache=True, parallel=True, fastmath=False)
def program_cells(target, noise, std, g_min, per_window, out):
    """Write ``max(0, target + std(u) * noise)`` to out, all (N,); std: (K,) table over the state of the target."""
    chunk = 4096
    chunks = (target.shape[0] + chunk - 1) // chunk
    for c in prange(chunks):
        o = c * chunk
        q = min(chunk, target.shape[0] - o)
        tt, nn, oo = target[o : o + q], noise[o : o + q], out[o : o + q]
        for i in range(q):
            u = (tt[i] - g_min) * per_window
            oo[i] = max(tt[i] + lookup(std, u) * nn[i], _ZERO)


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
