"""Kernel of programming: clip, error and floor of every cell in one pass. Flat arrays only; it never sees a pulse."""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim.cells.kernels.tables import at, places
from analog_sim.random.kernels.math import least, most
from analog_sim.random.kernels.memory import part, room
from analog_sim.random.kernels.options import KERNEL, within

CHUNK = 1024  # cells that are looked up into a scratch that stays in L1, and then computed
_ZERO = np.float32(0.0)
_STEPS = 65534.0  # analog_sim.cells.state.TARGET_STEPS
_ROUNDED = np.float32(1.5)  # code 0 is kept for no target

_scratch_places, _scratch = room(CHUNK, np.uint32), room(CHUNK, np.float32)


@within
def state_codes(k, f, per_interval, out):
    """Codes of states at interval k and fraction f of a grid, per_interval steps of the fixed point each, to out, (N,)."""
    for i in range(out.shape[0]):
        out[i] = np.uint16(np.int32((np.float32(k[i]) + f[i]) * per_interval + _ROUNDED))


@njit(**KERNEL)
def program_cells(target, lo, hi, std, g_min, per_window, z, out, codes):
    """Write ``max(0, t + std(u) z)``, ``t = clip(target, lo, hi)``, to out, (N,); z: (N,) normals.

    lo, hi: (N,) or (1,) float32 siemens. std: (K,) table over the state u of t. codes: (N,), where the code of u goes, or (0,); see
    `analog_sim.cells.state.TARGET_STEPS`.
    """
    own = lo.shape[0] > 1
    k, f, sigma = _scratch_places(), _scratch(), _scratch()
    for c in range((target.shape[0] + CHUNK - 1) // CHUNK):
        o = c * CHUNK
        q = least(CHUNK, target.shape[0] - o)
        tt, oo, zz = part(target, o, o + q), part(out, o, o + q), part(z, o, o + q)
        if own:
            ll, hh = part(lo, o, o + q), part(hi, o, o + q)
            for i in range(q):
                oo[i] = least(most(tt[i], ll[i]), hh[i])
        else:
            low, high = lo[0], hi[0]
            for i in range(q):
                oo[i] = least(most(tt[i], low), high)
        places(oo, g_min, per_window, std.shape[0], k, f)
        if codes.shape[0] > 0:
            state_codes(k, f, np.float32(_STEPS / (std.shape[0] - 1)), part(codes, o, o + q))
        for i in range(q):
            sigma[i] = at(std, k[i], f[i])
        for i in range(q):
            oo[i] = most(oo[i] + sigma[i] * zz[i], _ZERO)
