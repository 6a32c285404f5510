"""How much pulses scatter when slow read noise hides it: the value and its 95 % interval, which may begin at 0. Never a shape."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize

from devices.measurements.fit.statespace import StepTables, run_filter
from devices.measurements.read_noise import ReadNoise
from devices.measurements.traces import Traces

F64 = npt.NDArray[np.float64]

FALL = 1.920729
"""By how much the profile of the log-likelihood falls at the ends of a 95 % interval."""
LEAST, MOST = 1e-3, 3.0
"""Scatter considered, relative to the read noise; the least counts as none."""


@dataclass(frozen=True)
class Scatter:
    """Standard deviation of a pulse's change, the same at every state: most likely value and 95 % interval, siemens."""

    value: float
    low: float
    high: float


def pulse_scatter(traces: Traces, law: StepTables, noise: ReadNoise) -> Scatter:
    """Profile likelihood of one scatter for all pulses; the read noise follows it, the mean step stays that of the law."""
    known: dict[float, float] = {}

    def minus_profile(x: float) -> float:
        if x not in known:
            known[x] = _best_noise(traces, law, noise, float(np.exp(x)) * noise.total)
        return known[x]

    ends = float(np.log(LEAST)), float(np.log(MOST))
    grid = np.linspace(*ends, 17)
    start = int(np.argmin([minus_profile(float(x)) for x in grid]))
    near = float(grid[max(start - 1, 0)]), float(grid[min(start + 1, len(grid) - 1)])
    found = optimize.minimize_scalar(minus_profile, bounds=near, method="bounded", options={"xatol": 0.01})
    least = min(float(found.fun), minus_profile(ends[0]))
    top = float(found.x) if float(found.fun) <= least else ends[0]

    def excess(x: float) -> float:
        return minus_profile(x) - least - FALL

    low = optimize.brentq(excess, ends[0], top, xtol=0.01) if excess(ends[0]) > 0 else -np.inf
    high = optimize.brentq(excess, top, ends[1], xtol=0.01) if excess(ends[1]) > 0 else ends[1]
    value = 0.0 if top - ends[0] < 0.02 else float(np.exp(top)) * noise.total
    return Scatter(value, float(np.exp(low)) * noise.total, float(np.exp(high)) * noise.total)


def _best_noise(traces: Traces, law: StepTables, noise: ReadNoise, scatter: float) -> float:
    """Minus the log-likelihood at a given scatter, least over the noise's size, share and length."""
    flat = replace(law, std=np.full_like(law.std, scatter))
    longest = float(np.diff(traces.start).max())

    def cost(x: F64) -> float:
        white, correlated = (float(size) for size in noise.total * np.exp(x[:2]))
        tried = ReadNoise(white, correlated, float(np.clip(np.exp(x[2]), 1.0, longest)))
        return -float(run_filter(traces, flat, tried).loglik.sum())

    floor = 1e-3 * noise.total
    sizes = max(noise.white, floor), max(noise.correlated, floor)
    x0 = np.log([sizes[0] / noise.total, sizes[1] / noise.total, noise.length])
    options = {"xatol": 0.01, "fatol": 0.01, "maxiter": 400}
    return float(optimize.minimize(cost, x0, method="Nelder-Mead", options=options).fun)
