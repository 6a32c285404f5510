"""Where cells stand after several pulses in a row, as levels of probability; see `analog_sim.pulses.composed_tables`. One kernel."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath=False)
def compose_states(steps, start, p, edges, base, buckets, out):
    """Write the mean of y within each level after 1 ... N pulses from the states `start` (Q,) to out, (N, Q, M); y in grid units.

    A pulse takes y to ``y + a + b y``, held in [base, base + K - 1], with the intercept a and slope b of the interval that y is in,
    steps (K - 1, M, 2), for each of the levels; M levels become M * M values. A histogram of them, of `buckets` equal parts from the least
    to the largest, is cut at the probabilities `edges` (M + 1,), the sums of the levels' probabilities p (M,) from 0 on.
    """
    levels = p.shape[0]
    last, top = steps.shape[0] - 1, base + steps.shape[0]
    now, values = np.empty(levels), np.empty(levels * levels)
    mass, moment, at = np.empty(buckets + 1), np.empty(buckets + 1), np.empty(levels + 1)
    for q in range(start.shape[0]):
        now[0] = start[q]
        for n in range(out.shape[0]):
            before = levels if n else 1
            low, high = np.inf, -np.inf
            for i in range(before):
                y = now[i]
                k = min(np.int64(y - base), last)
                for m in range(levels):
                    after = min(max(y + steps[k, m, 0] + steps[k, m, 1] * y, base), top)
                    values[i * levels + m] = after
                    low, high = min(low, after), max(high, after)
            if high == low:
                now[:] = low
                out[n, q] = low
                continue
            scale = (buckets - 1) / (high - low)
            mass[:] = 0.0
            moment[:] = 0.0
            for i in range(before):
                for m in range(levels):
                    weight = p[i] * p[m] if n else p[m]
                    above = values[i * levels + m] - low
                    bucket = np.int64(above * scale) + 1
                    mass[bucket] += weight
                    moment[bucket] += weight * above
            for bucket in range(1, buckets):
                mass[bucket + 1] += mass[bucket]
                moment[bucket + 1] += moment[bucket]
            _read_off(edges, mass, moment, at)
            at[levels] = moment[buckets]
            for m in range(levels):
                now[m] = low + (at[m + 1] - at[m]) / p[m]
                out[n, q, m] = now[m]


@njit(forceinline=True)
def _read_off(x, along, values, out):
    """Linear interpolation of `values` over the ascending `along` at the ascending x, as `numpy.interp` does it."""
    j, last = 0, along.shape[0] - 1
    for i in range(x.shape[0]):
        while j < last and along[j + 1] <= x[i]:
            j += 1
        if j == last or along[j] == x[i]:
            out[i] = values[j]
        else:
            slope = (values[j + 1] - values[j]) / (along[j + 1] - along[j])
            out[i] = slope * (x[i] - along[j]) + values[j]
