"""Kernels of the converters: input scaling and DAC in one pass, ADC and accumulation in one pass. Flat float32 arrays.

Rounding is to nearest even, in float32; fastmath is off so that every instruction set gives the same codes.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_MAGIC = np.float32(
    12582912.0
)  # 1.5 * 2**23: adding and subtracting it rounds |x| < 2**22 to the nearest integer, ties to even


@njit(cache=True, parallel=True, fastmath=False)
def scale_rows(x, out):
    """Write the abs-max of every row of x (B, n) to out (B,); 1 for a row of zeros."""
    for b in prange(x.shape[0]):
        row = x[b]
        m = _ZERO
        for i in range(row.shape[0]):
            m = max(m, abs(row[i]))
        out[b] = m if m > _ZERO else _ONE


@njit(cache=True, parallel=True, fastmath=False)
def dac_rows(x, scale, steps, volts, out):
    """Write volts * round(clip(x / scale_b, -1, 1) * steps) / steps to out (B, n); steps 0: no quantisation."""
    for b in prange(x.shape[0]):
        row, target = x[b], out[b]
        gain = _ONE / scale[b]
        if steps > _ZERO:
            g = gain * steps
            lsb = volts / steps
            for i in range(row.shape[0]):
                q = min(max(row[i] * g, -steps), steps)
                target[i] = ((q + _MAGIC) - _MAGIC) * lsb
        else:
            for i in range(row.shape[0]):
                target[i] = min(max(row[i] * gain, -_ONE), _ONE) * volts


@njit(cache=True, parallel=True, fastmath=False)
def adc_rows(current, gain, offset, half_range, steps, row_scale, out, accumulate):
    """Digitise currents (B, n) and write (or add) ``row_scale_b * code * lsb_j`` to out (B, n).

    code = round(clip(gain_j * current + offset_j, -half_range_j, half_range_j) / lsb_j), lsb_j = half_range_j / steps; steps 0: no
    quantisation and no clipping. gain, offset, half_range: (n,); row_scale: (B,).
    """
    n = current.shape[1]
    for b in prange(current.shape[0]):
        row, target, s = current[b], out[b], row_scale[b]
        if steps > _ZERO:
            for j in range(n):
                lsb = half_range[j] / steps
                code = min(max((row[j] * gain[j] + offset[j]) / lsb, -steps), steps)
                y = ((code + _MAGIC) - _MAGIC) * lsb * s
                target[j] = target[j] + y if accumulate else y
        else:
            for j in range(n):
                y = (row[j] * gain[j] + offset[j]) * s
                target[j] = target[j] + y if accumulate else y
