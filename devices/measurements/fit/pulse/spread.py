"""Device-to-device spread of the step size: each device's gain by likelihood, then the spread behind the gains. Never their raw scatter.

The scatter of estimated gains holds the error of every estimate; the spread of a population of devices is what is left.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.parameters import Estimate
from devices.measurements.fit.pulse.statespace import StepTables, run_filter

F64 = npt.NDArray[np.float64]

GAINS = np.geomspace(0.05, 5.0, 45)
"""Gains at which a device's likelihood is evaluated."""
FEWEST_DEVICES = 3


@dataclass(frozen=True)
class Gains:
    """Gains of D devices relative to the common law, (D, 2) with columns down and up; NaN where a direction was not measured.

    Attributes:
        cells: (D,) numbers of the cells. gain, std: (D, 2) estimates and their standard errors.
        common, up, down: spread common to both directions, and own to each, with 95 % intervals; relative.
    """

    cells: npt.NDArray[np.int64]
    gain: F64
    std: F64
    common: Estimate
    up: Estimate
    down: Estimate

    def of_traces(self, traces: Traces) -> F64:
        """(R, 2) gains of the devices of some traces, drawn towards 1 by as much as an estimate is uncertain (posterior means)."""
        own = np.array([self.down.value, self.up.value])
        prior = self.common.value**2 + own**2
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(np.isfinite(self.std), prior / (prior + self.std**2), 0.0)
        shrunk = 1.0 + weight * (np.nan_to_num(self.gain, nan=1.0) - 1.0)
        return shrunk[np.searchsorted(self.cells, traces.cell)]


def device_gains(traces: Traces, law: StepTables, noise: ReadNoise) -> Gains | None:
    """Estimate the gain of each device and the spread of the population; None with fewer than three devices.

    Model: ``gain_up = 1 + common z0 + up z1``, ``gain_down = 1 + common z0 + down z2``, the emulator's own. The gain of one
    device is the top of its likelihood over a grid of gains (parabola through the three best), its error from the curvature. All
    are relative to the population's mean: what the devices have in common is the law's.
    """
    if len(np.unique(traces.cell)) < FEWEST_DEVICES:
        return None
    cells, gain, std = likeliest_gains(traces, law, noise)
    common, up, down, mean = _population(gain, std)
    return Gains(cells, gain / mean, std / mean, *(_relative(one, float(mean.mean())) for one in (common, up, down)))


def likeliest_gains(traces: Traces, law: StepTables, noise: ReadNoise) -> tuple[npt.NDArray[np.int64], F64, F64]:
    """Cells (D,), their gains on a law (D, 2), columns down and up, and standard errors; NaN where a direction was not measured."""
    cells = np.unique(traces.cell)
    of = np.searchsorted(cells, traces.cell)
    gain, std = np.full((len(cells), 2), np.nan), np.full((len(cells), 2), np.nan)
    for side, sign in enumerate((-1, 1)):
        pulsed = np.zeros(len(cells), bool)
        own = traces.inside() & (traces.direction == sign) & (traces.pulses > 0)
        pulsed[of[traces.trace_of()[own]]] = True
        if not pulsed.any():
            continue
        profile = np.empty((len(GAINS), len(cells)))
        for j, value in enumerate(GAINS):
            factors = np.ones((len(traces), 2))
            factors[:, side] = value
            per_trace = np.add.reduceat(run_filter(traces, law, noise, factors).loglik, traces.start[:-1])
            profile[j] = np.bincount(of, per_trace, minlength=len(cells))
        for k in np.flatnonzero(pulsed):
            gain[k, side], std[k, side] = _peak(profile[:, k])
    return cells, gain, std


def _relative(estimate: Estimate, mean: float) -> Estimate:
    return replace(estimate, value=estimate.value / mean, low=estimate.low / mean, high=estimate.high / mean)


def _peak(profile: F64) -> tuple[float, float]:
    """Top of a log-likelihood over GAINS and its standard error, by a parabola in the logarithm of the gain."""
    j = int(np.clip(np.argmax(profile), 1, len(GAINS) - 2))
    x, y = np.log(GAINS[j - 1 : j + 2]), profile[j - 1 : j + 2]
    a, b, _ = np.polyfit(x - x[1], y, 2)
    if a >= 0:
        return float("nan"), float("nan")
    top = float(np.clip(x[1] - b / (2.0 * a), np.log(GAINS[0]), np.log(GAINS[-1])))
    value = float(np.exp(top))
    return value, value * float(np.sqrt(-0.5 / a))


def _population(gain: F64, std: F64) -> tuple[Estimate, Estimate, Estimate, F64]:
    """Maximum likelihood of the three spreads, given every estimate's error, with profile-likelihood 95 % intervals; means (down, up)."""
    known = np.isfinite(gain) & np.isfinite(std)
    both = bool(known[:, 0].any() and known[:, 1].any())

    pair, only = known.all(axis=1), known.sum(axis=1) == 1
    side = np.argmax(known, axis=1)[only]
    rows = np.flatnonzero(only)

    def cost(x: F64) -> float:
        common, down, up = np.exp(2.0 * x[:3])
        if not both:
            common = 0.0
        # Two-by-two normal of the devices with both gains, in closed form; the others have one gain.
        a, b = common + down + std[pair, 0] ** 2, common + up + std[pair, 1] ** 2
        r, q = gain[pair, 0] - x[3], gain[pair, 1] - x[4]
        determinant = a * b - common**2
        total = np.sum(np.log(determinant) + (b * r**2 - 2.0 * common * r * q + a * q**2) / determinant)
        v = common + np.where(side == 0, down, up) + std[rows, side] ** 2
        total += np.sum(np.log(v) + (gain[rows, side] - x[3 + side]) ** 2 / v)
        return 0.5 * float(total)

    scatter = max(float(np.nanstd(gain)), 0.02)
    x0 = np.array([np.log(0.7 * scatter), np.log(0.7 * scatter), np.log(0.7 * scatter), 1.0, 1.0])
    bounds = [(np.log(1e-3), np.log(3.0))] * 3 + [(0.2, 5.0)] * 2
    best = optimize.minimize(cost, x0, method="L-BFGS-B", bounds=bounds)
    found = []
    for k, name in enumerate(("step", "step_down", "step_up")):
        unknown = (name == "step" and not both) or (name == "step_down" and not known[:, 0].any())
        unknown = unknown or (name == "step_up" and not known[:, 1].any())
        if unknown:
            found.append(
                Estimate(
                    name, 0.0, np.nan, np.nan, np.nan, "", "needs both directions" if name == "step" else "not measured"
                )
            )
            continue
        low, high = (_profile_end(cost, best.x, float(best.fun), k, bounds, side) for side in (-1, 1))
        value = float(np.exp(best.x[k]))
        at_zero = value <= 1.1e-3
        found.append(Estimate(name, 0.0 if at_zero else value, np.nan, 0.0 if low <= 1.1e-3 else low, high, ""))
    return found[0], found[2], found[1], np.where(known.any(axis=0), best.x[3:], 1.0)


def _profile_end(cost, x: F64, least: float, k: int, bounds: list[tuple[float, float]], side: int) -> float:  # type: ignore[no-untyped-def]
    """Where the profile likelihood of parameter k has fallen by 1.92: one end of its 95 % interval."""

    def excess(value: float) -> float:
        others = [j for j in range(len(x)) if j != k]

        def reduced(y: F64) -> float:
            full = x.copy()
            full[others], full[k] = y, value
            return float(cost(full))

        result = optimize.minimize(reduced, x[others], method="L-BFGS-B", bounds=[bounds[j] for j in others])
        return float(result.fun) - least - 1.920729

    end = bounds[k][0] if side < 0 else bounds[k][1]
    if excess(end) <= 0:
        return float(np.exp(end))
    return float(np.exp(optimize.brentq(excess, min(x[k], end), max(x[k], end), xtol=1e-3)))
