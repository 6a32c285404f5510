"""Kernels of the converters: input scaling, DAC, ADC; one pass each. float32 arrays; they draw no noise.

first, last, team: rows first ... last - 1, see `analog_sim._teamwork`.
Rounding is to nearest even, in float32; fastmath is off so that every instruction set gives the same codes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.magnitude import largest_bits
from analog_sim.random.kernels.math import least, most
from analog_sim.random.kernels.options import KERNEL

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_MAGIC = np.float32(
    12582912.0
)  # 1.5 * 2**23: adding and subtracting it rounds |x| < 2**22 to the nearest integer, ties to even

_ONE_BITS = np.int32(0x3F800000)
# 2**-100: one over a smaller scale, times the steps of a converter, may overflow
_LEAST_BITS = np.int32(27 << 23)


@njit(**KERNEL)
def scale_rows(first, last, team, bits, out_bits):
    """Write the abs-max of every row of x (B, n) to out (B,), at least 2**-100; 1 for a row of zeros, inf or NaN where the row has one.

    bits, out_bits: x and out seen as int32.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    for b in range(first, last):
        m = largest_bits(bits[b])
        out_bits[b] = most(m, _LEAST_BITS) if m > 0 else _ONE_BITS


@njit(**KERNEL)
def dac_rows(first, last, team, x, start, scale, steps, volts, out):
    """Write volts * round(clip(x / scale_b, -1, 1) * steps) / steps to out (B, n); steps 0: no quantisation.

    x: (B, N), of which column `start` and those after it are converted.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    for b in range(first, last):
        target = out[b]
        row = x[b, start : start + target.shape[0]]
        gain = _ONE / scale[b]
        if steps > _ZERO:
            g = gain * steps
            lsb = volts / steps
            for i in range(row.shape[0]):
                q = least(most(row[i] * g, -steps), steps)
                target[i] = ((q + _MAGIC) - _MAGIC) * lsb
        else:
            for i in range(row.shape[0]):
                target[i] = least(most(row[i] * gain, -_ONE), _ONE) * volts


@njit(**KERNEL)
def adc_rows(current, codes_per_ampere, lsb, steps, row_scale):
    """Digitise currents (B, n) in place: they become ``row_scale_b * lsb_j * code``.

    code = round(clip(current * codes_per_ampere_j, -steps, steps)); steps 0: ``row_scale_b * current``, neither rounded nor clipped.
    codes_per_ampere, lsb: (n,); row_scale: (B,).
    """
    for b in range(current.shape[0]):
        row, s = current[b], row_scale[b]
        if steps == _ZERO:
            for j in range(row.shape[0]):
                row[j] *= s
        else:
            for j in range(row.shape[0]):
                code = least(most(row[j] * codes_per_ampere[j], -steps), steps)
                row[j] = ((code + _MAGIC) - _MAGIC) * (lsb[j] * s)
