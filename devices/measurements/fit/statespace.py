"""Likelihood of traces under a step law: a Kalman filter linearised at every pulse. Never an approximation of the read noise away.

A cell's true conductance g moves by ``f(u) + s(u) w`` at each pulse; what is read is ``g + r v``, w and v standard normal. The
difference of two reads carries the read noise twice, so steps fitted one by one look wider than they are, and steps sorted by a
noisy read look as if large states fell and small ones rose (regression dilution). The filter separates the two exactly for
linear laws, and to the order of the step's curvature otherwise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from devices.measurements.traces import Traces

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepTables:
    """Mean and standard deviation of the step over the state, both directions: (2, K) siemens, index 0 down, 1 up; the window of u."""

    mean: F64
    std: F64
    g_min: float
    g_max: float


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
        np.ascontiguousarray(law.std, np.float64),
        law.g_min,
        law.g_max - law.g_min,
        read_std * read_std,
        factors,
        out,
    )
    return Filtered(out[0], out[1], out[2], out[3])


@njit(cache=True, fastmath=False)
def _filter(  # type: ignore[no-untyped-def]
    g, pulses, direction, start, mean, std, g_min, width, noise, gain, out
):
    """Fill out[0..3] with log density, predicted mean, predicted variance of the read, filtered mean; see `run_filter`."""
    nodes = mean.shape[1] - 1
    log_2pi = 1.8378770664093453
    floor = 1e-12 * width * width
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
                    slope = (mean[side, j + 1] - mean[side, j]) * nodes / width
                    m += factor * step
                    a = 1.0 + factor * slope
                    p = a * a * p + factor * factor * spread * spread
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
