"""The ageing laws that are fitted: likelihood and best parameters of one group of cells at a given time constant. Never a cell's path.

Normal relaxation and the power law are fitted by the normal quasi-likelihood of mean and variance at all times at once, relaxation in
bursts by the likelihood of its whole distribution.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt
from scipy import optimize

from devices.drift.moments import cut_normal
from devices.measurements.fit.ageing import bursts
from devices.measurements.fit.ageing.groups import Groups

F64 = npt.NDArray[np.float64]
Kind = Literal["relaxation", "burst_relaxation", "power_law"]

NU_LIMIT = 1.0
START_TAIL = 1.0
"""Decades of tail that a search begins from."""
LEAST = -1e300
"""Log-likelihood of what no computer can hold."""
TOLERANCE, ROUGH = 1e-9, 1e-7
"""Of the log-likelihood, relative; resamples and trials of t_0 need a hundredth of a standard error, not more."""


@dataclass(frozen=True)
class LawTimes:
    """Seconds that a law counts its time in: `time`, t_0 or t_ref, and `start`, when the first read was."""

    time: float
    start: float

    def decades(self, t: F64) -> F64:
        """``log10(1 + t / t_0)`` since the first read."""
        return np.log10(1.0 + t / self.time) - np.log10(1.0 + self.start / self.time)

    def log_age(self, t: F64) -> F64:
        """``ln(max(t, t_ref) / t_ref)``."""
        return np.log(np.maximum(t, self.time) / self.time)


class AgeingLaw(ABC):
    """A law whose parameters depend on the state alone.

    Attributes:
        names: tables over the state, in the order of the parameters. parameters: of a group; those beyond the names are no tables.
        free_time: whether t_0 is fitted where cells were first read at t = 0. follows: whether a search over t_0 goes on from
            the parameters of its last trial, because one from the beginning is slow.
    """

    names: ClassVar[tuple[str, ...]]
    parameters: ClassVar[int]
    free_time: ClassVar[bool] = True
    follows: ClassVar[bool] = False

    @abstractmethod
    def loglik(self, groups: Groups, b: int, g: float, theta: F64, clock: LawTimes) -> float:
        """Log-likelihood of the changes of group b, nats of a density per siemens, given its parameters; g: of the fitted cells, S."""

    @abstractmethod
    def solve(self, groups: Groups, b: int, clock: LawTimes, near: F64 | None) -> tuple[F64, float]:
        """Most likely parameters of group b and their log-likelihood; `near`: to begin from."""

    @abstractmethod
    def tables(self, sampled: Mapping[str, F64], time: float) -> dict[str, F64 | float]:
        """Arrays of the tables file, without the prefix `drift.`, from the tables over the window."""


class _ByMoments(AgeingLaw):
    """A law of three parameters (a rate of any sign and two that are positive) that is fitted to mean and variance."""

    parameters = 3

    @abstractmethod
    def moments(self, g: float, theta: F64, t: F64, clock: LawTimes) -> tuple[F64, F64]:
        """Mean and variance of the change at times t, siemens and siemens squared."""

    def measured(self, groups: Groups, b: int, g: float) -> tuple[F64, F64, F64, F64]:
        """Count, mean and variance of the changes of group b, siemens, and what their log-density has on top; each (T,)."""
        return groups.count[b], groups.mean[b], groups.var[b], np.zeros(groups.count.shape[1])

    @abstractmethod
    def guess(self, groups: Groups, b: int, clock: LawTimes) -> F64:
        """Parameters to begin from, (3,)."""

    @abstractmethod
    def least_rate(self, g: float) -> float:
        """Size of the first parameter at which it makes no difference."""

    @final
    def loglik(self, groups: Groups, b: int, g: float, theta: F64, clock: LawTimes) -> float:
        """Normal quasi-log-likelihood of mean and variance; least where a search has gone beyond the numbers of a computer."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean, var = self.moments(g, theta, groups.t[b], clock)
            var = np.maximum(var, 1e-30)
            count, own_mean, own_var, more = self.measured(groups, b, g)
            square = (own_var + (own_mean - mean) ** 2) / var
            found = float(np.sum(count * (more - 0.5 * (np.log(2.0 * np.pi * var) + square))))
        return found if np.isfinite(found) else LEAST

    @final
    def solve(self, groups: Groups, b: int, clock: LawTimes, near: F64 | None) -> tuple[F64, float]:
        """By L-BFGS-B in the rate and the logarithms of the other two."""
        g = float(groups.g[b])
        number = max(1.0, float(self.measured(groups, b, g)[0].sum()))
        x0 = self.guess(groups, b, clock) if near is None else near
        scale = max(abs(x0[0]), self.least_rate(g), 1e-12)

        def outward(x: F64) -> F64:
            return np.array([x[0] * scale, np.exp(x[1]), np.exp(x[2])])

        def cost(x: F64) -> float:
            return -self.loglik(groups, b, g, outward(x), clock) / number

        begin = np.array([x0[0] / scale, np.log(x0[1]), np.log(x0[2])])
        limits = [(None, None), (begin[1] - 12.0, begin[1] + 5.0), (begin[2] - 12.0, begin[2] + 5.0)]
        best = optimize.minimize(cost, begin, method="L-BFGS-B", bounds=limits, options={"ftol": TOLERANCE})
        return outward(best.x), -float(best.fun) * number


@final
class NormalRelaxation(_ByMoments):
    """Diffusion in log time, cut at 0 S: mean and std per (square root of a) decade, initial_std; siemens."""

    names = ("mean", "std", "initial_std")

    def moments(self, g: float, theta: F64, t: F64, clock: LawTimes) -> tuple[F64, F64]:
        """Of ``max(0, g + mean s + std W(s) + initial z) - g``."""
        s = clock.decades(t)
        mean, std = cut_normal(g + theta[0] * s, np.sqrt(np.maximum(theta[1] ** 2 * s + theta[2] ** 2, 1e-30)))
        return mean - g, np.maximum(std**2, 1e-30)

    def guess(self, groups: Groups, b: int, clock: LawTimes) -> F64:
        """Slopes of mean and variance over decades, least squares."""
        used = groups.count[b] > 0
        x = clock.decades(groups.t[b, used])
        weight = max(float(x @ x), 1e-30)
        growth = max(float(x @ groups.var[b, used]) / weight, _floor(groups, b) ** 2)
        return np.array([float(x @ groups.mean[b, used]) / weight, np.sqrt(growth), 0.3 * np.sqrt(growth)])

    def least_rate(self, g: float) -> float:
        """A thousandth of the conductance in a decade."""
        return 1e-3 * g

    def tables(self, sampled: Mapping[str, F64], time: float) -> dict[str, F64 | float]:
        """With t_0."""
        return {**sampled, "t_0": time}


@final
class PowerLaw(_ByMoments):
    """``g exp(-nu L)``, nu normal from cell to cell: mean and std of nu; the third parameter is noise of the reads, siemens."""

    names = ("nu_mean", "nu_std")
    free_time = False

    def moments(self, g: float, theta: F64, t: F64, clock: LawTimes) -> tuple[F64, F64]:
        """Of ``g (exp(-nu L) - 1)``, L the logarithm of the age, plus the constant variance of reads."""
        log_age = clock.log_age(t)
        factor = np.exp(-theta[0] * log_age + 0.5 * (theta[1] * log_age) ** 2)
        return g * (factor - 1.0), (g * factor) ** 2 * np.expm1((theta[1] * log_age) ** 2) + theta[2] ** 2

    def measured(self, groups: Groups, b: int, g: float) -> tuple[F64, F64, F64, F64]:
        """Of the changes in proportion to each cell's first read, as those of a cell at g."""
        count, mean, var = groups.relative[:, b]
        return count, g * mean, g**2 * var, -groups.log_first[b]

    def guess(self, groups: Groups, b: int, clock: LawTimes) -> F64:
        """Slopes of the logarithm of the mean and of the relative spread over the logarithm of the age."""
        count, mean, var = groups.relative[:, b]
        used = count > 0
        if not used.any():
            return np.array([0.0, 1e-6, _floor(groups, b)])
        x = clock.log_age(groups.t[b, used])
        weight = max(float(x @ x), 1e-30)
        nu = -float(x @ np.log(np.maximum(1.0 + mean[used], 1e-3))) / weight
        spread = max(float(x @ np.sqrt(var[used])) / weight, 1e-6)
        noise = float(groups.g[b]) * np.sqrt(float(var[used].min()))
        return np.array([nu, spread, max(noise, _floor(groups, b))])

    def least_rate(self, g: float) -> float:
        """An exponent."""
        return 1e-3

    def tables(self, sampled: Mapping[str, F64], time: float) -> dict[str, F64 | float]:
        """With t_ref and the limits of nu."""
        nu = np.clip(sampled["nu_mean"], -NU_LIMIT, NU_LIMIT)
        return {**sampled, "nu_mean": nu, "t_ref": time, "nu_low": -NU_LIMIT, "nu_high": NU_LIMIT}


@final
class BurstRelaxation(AgeingLaw):
    """Relaxation whose path comes in bursts (`devices/drift/bursts.py`)."""

    names = bursts.NAMES
    parameters = len(bursts.NAMES)
    follows = True

    def loglik(self, groups: Groups, b: int, g: float, theta: F64, clock: LawTimes) -> float:
        """Of the changes themselves."""
        return bursts.loglik(theta, self._decades(groups, b, clock), groups.counts[b])[0]

    def solve(self, groups: Groups, b: int, clock: LawTimes, near: F64 | None) -> tuple[F64, float]:
        """From the moments without a tail, or from near."""
        s = self._decades(groups, b, clock)
        if near is not None:
            return bursts.solve(s, groups.counts[b], near, ROUGH)
        begin = np.append(NormalRelaxation().guess(groups, b, clock), (START_TAIL, 0.0))
        return bursts.solve(s, groups.counts[b], begin, TOLERANCE)

    def tables(self, sampled: Mapping[str, F64], time: float) -> dict[str, F64 | float]:
        """With t_0."""
        return {**sampled, "t_0": time}

    @staticmethod
    def _decades(groups: Groups, b: int, clock: LawTimes) -> F64:
        return clock.decades(groups.t[b][groups.count[b] > 0])


def _floor(groups: Groups, b: int) -> float:
    """Siemens below which a spread counts as zero."""
    return 1e-6 * max(float(groups.g[b]), 1e-9)


LAWS: Mapping[Kind, AgeingLaw] = {
    "relaxation": NormalRelaxation(),
    "burst_relaxation": BurstRelaxation(),
    "power_law": PowerLaw(),
}
