"""Likelihood of traces under a step law: a Kalman filter linearised at every pulse. Never an approximation of the read noise away.

A cell's true conductance g moves by ``f(u) + s(u) w`` at each pulse; what is read is ``g + r v + x``, w and v standard normal, x a
noise that is correlated from read to read (`ReadNoise`). The difference of two reads carries the read noise twice, so steps fitted
one by one look wider than they are, and steps sorted by a noisy read look as if large states fell and small ones rose (regression
dilution). Slow read noise looks like pulses that scatter, until longer lags show that it does not add up. The filter holds state and
x and separates all three exactly for linear laws, and to the order of the step's curvature otherwise. Where the window cuts the
state off, mean, variance and covariance are those of the cut normal.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces

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
        predicted: mean of the read, given those before it. variance: of the read around it (state and noise).
        filtered: mean of the state after the read. weight: share of ``read - predicted`` that is taken for the state's.
    """

    loglik: F64
    predicted: F64
    variance: F64
    filtered: F64
    weight: F64

    def residuals(self, g: F64) -> F64:
        """(N,) standardised innovations: standard normal when the law is right."""
        return np.asarray((g - self.predicted) / np.sqrt(self.variance))


def run_filter(traces: Traces, law: StepTables, noise: ReadNoise, gain: F64 | None = None) -> Filtered:
    """Run the filter along every trace.

    Args:
        traces: R traces of N reads, with their own factors on the steps.
        law: tables of the step.
        noise: of the reads.
        gain: (R, 2) factors on the steps (down, up) of each trace; 1 when None.
    """
    out = np.zeros((5, len(traces.g)))
    factors = np.ones((len(traces), 2)) if gain is None else np.ascontiguousarray(gain, np.float64)
    each = np.ones(len(traces.g)) if traces.factor is None else np.ascontiguousarray(traces.factor, np.float64)
    reads = _Reads(traces.g, traces.pulses, traces.direction.astype(np.int64), traces.start, each)
    width = law.g_max - law.g_min
    step = _Step(
        mean=np.ascontiguousarray(law.mean, np.float64),
        rise=np.gradient(law.mean, width / (law.mean.shape[1] - 1), axis=1),  # continuous, for the optimiser's sake
        std=np.ascontiguousarray(law.std, np.float64),
        g_min=law.g_min,
        width=width,
        hard=law.hard,
    )
    _filter(reads, step, (noise.white**2, noise.correlated**2, noise.correlation), factors, out)
    return Filtered(out[0], out[1], out[2], out[3], out[4])


class _Reads(NamedTuple):
    """N reads of R traces for the kernel: siemens, pulses and direction before each, where the traces begin (R + 1,), factors on steps."""

    g: F64
    pulses: npt.NDArray[np.int64]
    direction: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    factor: F64


class _Step(NamedTuple):
    """Tables of the step for the kernel: mean, its slope and standard deviation, (2, K); the window; whether it cuts states off."""

    mean: F64
    rise: F64
    std: F64
    g_min: float
    width: float
    hard: bool


@njit(cache=True, fastmath=False)
def _filter(reads, step_of, noise, gain, out):  # type: ignore[no-untyped-def]
    """Fill out[0..4] with log density, mean and variance of the read, filtered mean of the state, weight; see `run_filter`.

    State m with variance p, slow noise x with variance q, covariance c. Before the first read any state is as likely as another.
    `noise`: variance of the white and of the slow part, siemens squared, and the correlation of the slow one from read to read.
    """
    g, pulses, direction, start, each = reads
    mean, rise, std, g_min, width, hard = step_of
    white, slow, rho = noise
    nodes = mean.shape[1] - 1
    log_2pi = 1.8378770664093453
    floor = 1e-18 * width * width
    for r in range(start.shape[0] - 1):
        first = start[r]
        m, x = g[first], 0.0
        p, c, q = white + slow, -slow, slow
        out[1, first] = m
        out[2, first] = p + floor
        out[3, first] = m
        out[4, first] = 1.0
        for k in range(first + 1, start[r + 1]):
            side = 1 if direction[k] > 0 else 0
            if direction[k] != 0:
                factor = gain[r, side] * each[k]
                for _ in range(pulses[k]):
                    at = min(max((m - g_min) / width, 0.0), 1.0) * nodes
                    j = min(int(at), nodes - 1)
                    f = at - j
                    step = mean[side, j] + f * (mean[side, j + 1] - mean[side, j])
                    spread = std[side, j] + f * (std[side, j + 1] - std[side, j])
                    slope = rise[side, j] + f * (rise[side, j + 1] - rise[side, j])
                    m += factor * step
                    a = 1.0 + factor * slope
                    p = a * a * p + factor * factor * spread * spread
                    c *= a
                    if hard:
                        m, p, inside = _clipped(m, p, g_min, g_min + width, floor)
                        c *= inside
            x *= rho
            c *= rho
            q = rho * rho * q + (1.0 - rho * rho) * slow
            v = p + 2.0 * c + q + white + floor
            e = g[k] - m - x
            out[0, k] = -0.5 * (log_2pi + np.log(v) + e * e / v)
            out[1, k] = m + x
            out[2, k] = v
            of_state, of_noise = (p + c) / v, (q + c) / v
            m += of_state * e
            x += of_noise * e
            p, c, q = p - of_state * (p + c), c - of_state * (q + c), q - of_noise * (q + c)
            out[3, k] = m
            out[4, k] = of_state
    return 0


@njit(cache=True, fastmath=False)
def _clipped(m, p, low, high, floor):  # type: ignore[no-untyped-def]
    """Mean and variance of a normal state after the window has cut it, and the probability that it did not.

    What is beyond a bound sits on the bound. The covariance with anything jointly normal shrinks by that probability (Stein).
    """
    s = np.sqrt(p)
    if m - 5.0 * s > low and m + 5.0 * s < high:
        return m, p, 1.0
    if s * s <= floor:
        return min(max(m, low), high), p, 1.0
    a, b = max((low - m) / s, -8.0), min((high - m) / s, 8.0)
    if a >= 8.0:
        return low, floor, 0.0
    if b <= -8.0:
        return high, floor, 0.0
    below, above = 0.5 * (1.0 + math.erf(a / math.sqrt(2.0))), 0.5 * (1.0 - math.erf(b / math.sqrt(2.0)))
    inside = 1.0 - below - above
    pa, pb = math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi), math.exp(-0.5 * b * b) / math.sqrt(2.0 * math.pi)
    # In units of s about m: a and b carry the mass beyond them.
    first = a * below + b * above + pa - pb
    second = a * a * below + b * b * above + inside + a * pa - b * pb
    return m + s * first, max(p * (second - first * first), floor), inside
