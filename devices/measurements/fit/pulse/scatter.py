"""How much pulses scatter when slow read noise hides it: the value and its 95 % interval, which may begin at 0. Never a shape."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.curvature import hessian, step_along
from devices.measurements.fit.pulse.noise_model import LENGTHS, RAMP_PER_LENGTH
from devices.measurements.fit.pulse.statespace import StepTables, run_filter

F64 = npt.NDArray[np.float64]

FALL = 1.920729
"""By how much the profile of the log-likelihood falls at the ends of a 95 % interval."""
LEAST, MOST = 1e-2, 3.0
"""Scatter considered, relative to the read noise; the least counts as none."""
GRID = 13


@dataclass(frozen=True)
class Scatter:
    """Standard deviation of a pulse's change, siemens: mean weighted by its likelihood, and 95 % interval.

    The mean and not the most likely value, which is 0 for many a cell that scatters a little.
    """

    value: float
    low: float
    high: float

    def put_on(self, law: StepTables, traces: Traces) -> StepTables:
        """Return the law with this scatter over the traces' pulses: its own is scaled, or the same everywhere when it has none."""
        u = (traces.g - law.g_min) / (law.g_max - law.g_min)
        side = (traces.direction > 0).astype(int)
        nodes = np.linspace(0.0, 1.0, law.std.shape[1])
        own = np.where(side == 1, np.interp(u, nodes, law.std[1]), np.interp(u, nodes, law.std[0]))
        size = float(np.sqrt(np.mean(own[traces.pulses > 0] ** 2)))
        shape = law.std / size if size > LEAST * self.value else np.ones_like(law.std)
        return replace(law, std=self.value * shape)


def pulse_scatter(traces: Traces, law: StepTables, noise: ReadNoise) -> Scatter:
    """Profile likelihood of one scatter for all pulses; the read noise follows it, and so do size and tilt of the mean steps."""
    followed = _Followed(traces, law, noise)
    grid = np.linspace(np.log(LEAST), np.log(MOST), GRID)
    profile = np.array([followed(float(x)) for x in grid[::-1]])[::-1]
    best = int(np.argmin(profile))
    above = profile - profile[best] - FALL
    low, high = (_crossing(grid[side], above[side]) for side in (slice(best, None, -1), slice(best, None)))
    sizes = noise.total * np.exp(grid)
    weight = np.exp(profile[best] - profile) * sizes  # a step of the grid is proportional to the size
    low_size = 0.0 if above[0] <= 0 else noise.total * float(np.exp(low))
    return Scatter(float(weight @ sizes / weight.sum()), low_size, noise.total * float(np.exp(high)))


def _crossing(x: F64, y: F64) -> float:
    """First x at which y, which begins below 0, reaches it; the last x when it does not."""
    over = np.flatnonzero(y > 0)
    if not len(over):
        return float(x[-1])
    k = int(over[0])
    return float(np.interp(0.0, y[k - 1 : k + 1], x[k - 1 : k + 1]))


class _Followed:
    """Minus the log-likelihood at a given logarithm of the scatter, least over noise and mean, with the mean's own degrees of freedom.

    The mean of each direction is the law's times ``exp(a + b (2 u - 1))``, a and b about 0 with standard deviation 1. A plain
    maximum over a and b would count the wandering that they can follow as no scatter at all; half the log determinant of their
    curvature makes up for it (the adjusted profile likelihood of Cox and Reid 1987, doi:10.1111/j.2517-6161.1987.tb01422.x).
    """

    def __init__(self, traces: Traces, law: StepTables, noise: ReadNoise) -> None:
        self._traces, self._law, self._unit = traces, law, noise.total
        longest = max(float(np.diff(traces.start).max()) / RAMP_PER_LENGTH, LENGTHS[0])
        least = np.log(LEAST)
        sizes = [np.log(max(size, LEAST * noise.total) / noise.total) for size in (noise.white, noise.correlated)]
        self._first = np.array([*sizes, np.log(noise.length), 0.0, 0.0, 0.0, 0.0])
        self._last = self._first
        self._bounds = [(least, 2.0), (least, 2.0), (0.0, float(np.log(longest)))] + [(-3.0, 3.0)] * 4
        self._tilt = np.linspace(-1.0, 1.0, law.mean.shape[1])

    def __call__(self, log_scatter: float) -> float:
        reads = len(self._traces.g)
        std = np.full_like(self._law.std, np.exp(log_scatter) * self._unit)
        options = {"ftol": 1e-8, "maxiter": 40, "eps": 1e-6}
        tried = [
            optimize.minimize(
                lambda x: self._cost(x, std) / reads, x0, bounds=self._bounds, method="L-BFGS-B", options=options
            )
            for x0 in (self._first, self._last)
        ]
        best = min(tried, key=lambda one: float(one.fun))
        self._last = x = np.asarray(best.x, np.float64)

        def of_mean(y: F64) -> float:
            return self._cost(np.concatenate((x[:3], y)), std)

        steps = np.array([step_along(of_mean, x[3:], direction, 0.1, 0.5) for direction in np.eye(4)])
        _, logarithm = np.linalg.slogdet(hessian(of_mean, x[3:], steps))
        return reads * float(best.fun) + 0.5 * float(logarithm)

    def _cost(self, x: F64, std: F64) -> float:
        white, correlated = (float(size) for size in self._unit * np.exp(x[:2]))
        mean = self._law.mean * np.exp(x[3:5, None] + x[5:7, None] * self._tilt)
        law = replace(self._law, mean=mean, std=std)
        scored = run_filter(self._traces, law, ReadNoise(white, correlated, float(np.exp(x[2]))))
        return 0.5 * float(x[3:] @ x[3:]) - float(scored.loglik.sum())
