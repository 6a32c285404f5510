"""Likelihood of traces under a step law: a Kalman filter linearised at every pulse. Never an approximation of the read noise away.

A cell's true conductance g moves by ``f(u) + s(u) w`` at each pulse; what is read is ``g + r v``, w and v standard normal. The
difference of two reads carries the read noise twice, so steps fitted one by one look wider than they are, and steps sorted by a
noisy read look as if large states fell and small ones rose (regression dilution). The filter separates the two exactly for
linear laws, and to the order of the step's curvature otherwise. Where the window cuts the state off, mean and variance are those
of the cut normal.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from devices.measurements.traces import Traces

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepTables:
    """Mean and standard deviation of the step over the state, both directions: (2, K) siemens, index 0 down, 1 up; the window of u.

    `hard`: whether the window cuts states off; not when it is only the range of the data.
    """

    mean: F64
    std: F64
    g_min: float
    g_max: float
    hard: bool = True


@dataclass(frozen=True)
class Filtered:
    """What the filter says of every read, (N,) each.

    Attributes:
        loglik: log density of the read given those before it; 0 for the first of a trace.
        predicted: mean of the state before the read, without what it says. variance: of the read around it (state and noise).
        filtered: mean of the state after the read.
    """

    loglik: F64
    predicted: F64
    variance: F64
    filtered: F64

    def residuals(self, g: F64) -> F64:
        """(N,) standardised innovations: standard normal when the law is right."""
        return np.asarray((g - self.predicted) / np.sqrt(self.variance))


def run_filter(traces: Traces, law: StepTables, read_std: float, gain: F64 | None = None) -> Filtered:
    """Run the filter along every trace.

    Args:
        traces: R traces of N reads.
        law: tables of the step.
        read_std: siemens, standard deviation of one read.
        gain: (R, 2) factors on the steps (down, up) of each trace; 1 when None.
    """
    n = len(traces.g)
    out = np.zeros((4, n))
    factors = np.ones((len(traces), 2)) if gain is None else np.ascontiguousarray(gain, np.float64)
    _filter(
        traces.g,
        traces.pulses,
        traces.direction.astype(np.int64),
        traces.start,
        np.ascontiguousarray(law.mean, np.float64),
        np.gradient(
            law.mean, (law.g_max - law.g_min) / (law.mean.shape[1] - 1), axis=1
        ),  # continuous, for the optimiser's sake
        np.ascontiguousarray(law.std, np.float64),
        law.g_min,
        law.g_max - law.g_min,
        read_std * read_std,
        law.hard,
        factors,
        out,
    )
    return Filtered(out[0], out[1], out[2], out[3])


@njit(cache=True, fastmath=False)
def _filter(  # type: ignore[no-untyped-def]
    g, pulses, direction, start, mean, rise, std, g_min, width, noise, hard, gain, out
):
    """Fill out[0..3] with log density, predicted mean, predicted variance of the read, filtered mean; see `run_filter`."""
    nodes = mean.shape[1] - 1
    log_2pi = 1.8378770664093453
    floor = 1e-18 * width * width
    for r in range(start.shape[0] - 1):
        first = start[r]
        m = g[first]
        p = noise
        out[1, first] = m
        out[2, first] = noise + floor
        out[3, first] = m
        for k in range(first + 1, start[r + 1]):
            side = 1 if direction[k] > 0 else 0
            if direction[k] != 0:
                factor = gain[r, side]
                for _ in range(pulses[k]):
                    x = min(max((m - g_min) / width, 0.0), 1.0) * nodes
                    j = min(int(x), nodes - 1)
                    f = x - j
                    step = mean[side, j] + f * (mean[side, j + 1] - mean[side, j])
                    spread = std[side, j] + f * (std[side, j + 1] - std[side, j])
                    slope = rise[side, j] + f * (rise[side, j + 1] - rise[side, j])
                    m += factor * step
                    a = 1.0 + factor * slope
                    p = a * a * p + factor * factor * spread * spread
                    if hard:
                        m, p = _clipped(m, p, g_min, g_min + width, floor)
            v = p + noise + floor
            e = g[k] - m
            out[0, k] = -0.5 * (log_2pi + np.log(v) + e * e / v)
            out[1, k] = m
            out[2, k] = v
            weight = p / v
            m += weight * e
            p *= 1.0 - weight
            out[3, k] = m
    return 0


@njit(cache=True, fastmath=False)
def _clipped(m, p, low, high, floor):  # type: ignore[no-untyped-def]
    """Mean and variance of a normal state after the window has cut it: what is beyond a bound sits on the bound."""
    s = np.sqrt(p)
    if m - 5.0 * s > low and m + 5.0 * s < high:
        return m, p
    if s * s <= floor:
        return min(max(m, low), high), p
    a, b = max((low - m) / s, -8.0), min((high - m) / s, 8.0)
    if a >= 8.0:
        return low, floor
    if b <= -8.0:
        return high, floor
    below, above = 0.5 * (1.0 + math.erf(a / math.sqrt(2.0))), 0.5 * (1.0 - math.erf(b / math.sqrt(2.0)))
    inside = 1.0 - below - above
    pa, pb = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi), math.exp(-0.5 * b * b) / math.sqrt(2.0 * math.pi)
    # In units of s about m: a and b carry the mass beyond them.
    first = a * below + b * above + pa - pb
    second = a * a * below + b * b * above + inside + a * pa - b * pb
    return m + s * first, max(p * (second - first * first), floor)
