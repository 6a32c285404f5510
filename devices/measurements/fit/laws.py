"""Pulse laws fitted to traces by maximum likelihood: parameters with intervals, and how the laws compare. Never a chosen winner alone.

A law is fitted through the very part that the card will hold, so that a fitted parameter is the card's parameter.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from analog_sim.config import SI
from devices.measurements.fit.statespace import Filtered, StepTables, run_filter
from devices.measurements.traces import Traces
from devices.pulse.exp_step import ExpStep
from devices.pulse.law import PulseLaw
from devices.pulse.linear_step import LinearStep
from devices.pulse.piecewise import Piecewise
from devices.pulse.power_step import PowerStep
from devices.pulse.soft_bounds import SoftBounds
from devices.window import Window

F64 = npt.NDArray[np.float64]

NODES = 65
"""Nodes of the tables a likelihood is computed with."""
MOST_STEP = 0.5
"""Longest step of one parameter (of the logarithm of most) in differences."""
CLUSTERS_FOR_ROBUST = 20
"""Traces from which on the covariance allows for traces that differ among themselves (sandwich estimate clustered by trace)."""


@dataclass(frozen=True)
class Param:
    """One parameter of a law as the optimiser sees it.

    Attributes:
        name: as on the card or in the report. unit: of the value. low, high: bounds of the value.
        log: the optimiser works on the logarithm of the value, or of `one_minus` the value.
    """

    name: str
    unit: str = ""
    log: bool = False
    low: float = -np.inf
    high: float = np.inf
    one_minus: bool = False

    def inward(self, value: float) -> float:
        """Value -> what the optimiser varies."""
        value = min(max(value, self.low), self.high)
        if not self.log:
            return value
        return float(np.log(1.0 - value if self.one_minus else value))

    def outward(self, x: float) -> float:
        """What the optimiser varies -> value."""
        if not self.log:
            return float(x)
        return float(1.0 - np.exp(x) if self.one_minus else np.exp(x))

    def slope(self, x: float) -> float:
        """Derivative of the value by what the optimiser varies, magnitude."""
        return float(np.exp(x)) if self.log else 1.0

    def limits(self) -> tuple[float, float]:
        """Bounds of what the optimiser varies."""
        ends = (self.high, self.low) if self.one_minus else (self.low, self.high)
        if not self.log:
            return ends
        low, high = (1.0 - end if self.one_minus else end for end in ends)
        return float(np.log(max(low, 1e-300))), float(np.log(high)) if np.isfinite(high) else np.inf


@dataclass(frozen=True)
class Estimate:
    """A fitted parameter: value, standard error and 95 % interval (of the value); `fixed` tells why there is no interval."""

    name: str
    value: float
    std: float
    low: float
    high: float
    unit: str
    fixed: str = ""


@dataclass(frozen=True)
class Start:
    """What the moments of the steps suggest: mean and std of the step (2, M) siemens at M states of the window, read noise in siemens.

    `measured` tells which directions (down, up) have data; the other is a mirror image. `hard`: whether the window was given, so
    that states stop at its bounds, and is not just the range of the data.
    """

    mean: F64
    std: F64
    read_std: float
    window: Window
    measured: tuple[bool, bool]
    hard: bool


class LawFamily(ABC):
    """A pulse law and its parameters."""

    kind: str

    @abstractmethod
    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Parameters with starting values."""

    @abstractmethod
    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """The part of a card with these values."""

    def window(self, values: Mapping[str, float], start: Start) -> Window:
        """The card's window: the measured one, unless the law has its own bounds."""
        below, above = values.get("below", 0.0), values.get("above", 0.0)
        return Window(max(0.0, float(start.window.g_min) - below), float(start.window.g_max) + above)


def _sizes(values: Mapping[str, float]) -> dict[str, Any]:
    """Step and asymmetry of a part from the sizes of both directions."""
    up, down = values.get("s_up"), values.get("s_down")
    up, down = (down if up is None else up), (up if down is None else down)
    assert up is not None  # at least one direction is measured
    assert down is not None
    return {"step": SI(0.5 * (up + down)), "asymmetry": (up - down) / (up + down)}


def _noise_params(start: Start, size: float) -> list[tuple[Param, float]]:
    spread = float(np.nanmedian(start.std[list(start.measured)]))
    return [
        (Param("noise_additive", log=True, low=1e-4, high=1e3), max(0.7 * spread / size, 1e-3)),
        (Param("noise", log=True, low=1e-4, high=1e3), max(0.7 * spread / size, 1e-3)),
    ]


def _per_direction(
    start: Start, name: str, unit: str, value: Sequence[float], **options: Any
) -> list[tuple[Param, float]]:
    return [
        (Param(f"{name}_{side}", unit, **options), value[k])
        for k, side in enumerate(("down", "up"))
        if start.measured[k]
    ]


def _size_params(start: Start, sizes: Sequence[float]) -> list[tuple[Param, float]]:
    """Sizes of the step of both directions, (down, up)."""
    width = start.window.width
    return _per_direction(
        start, "s", "S", [max(size, 1e-5 * width) for size in sizes], log=True, low=1e-8 * width, high=10.0 * width
    )


def _both(values: Mapping[str, float], name: str) -> dict[str, Any]:
    """Values of both directions; a direction that was not measured is a mirror image."""
    up, down = values.get(f"{name}_up"), values.get(f"{name}_down")
    return {f"{name}_up": down if up is None else up, f"{name}_down": up if down is None else down}


def _bound_params(start: Start) -> list[tuple[Param, float]]:
    """How far the law's own bounds lie outside the measured window."""
    width, floor = start.window.width, start.window.g_min
    below = min(0.1 * width, 0.5 * floor)
    params = (
        [(Param("above", "S", log=True, low=1e-4 * width, high=100.0 * width), 0.1 * width)]
        if start.measured[1]
        else []
    )
    if start.measured[0] and below > 1e-4 * width:
        params.append((Param("below", "S", log=True, low=1e-4 * width, high=floor), below))
    return params


class LinearFamily(LawFamily):
    """linear_step: step falling linearly, on the measured window."""

    kind = "linear_step"

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes where the direction starts, relative falls, noise."""
        first = [abs(start.mean[0, -1]), abs(start.mean[1, 0])]
        fall = [1.0 - abs(start.mean[0, 0]) / max(first[0], 1e-30), 1.0 - abs(start.mean[1, -1]) / max(first[1], 1e-30)]
        return [
            *_size_params(start, first),
            *_per_direction(start, "gamma", "", [min(max(x, 0.02), 0.98) for x in fall], low=0.0, high=1.0),
            *_noise_params(start, max(first)),
        ]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """LinearStep."""
        return LinearStep(
            **_sizes(values), **_both(values, "gamma"), noise=values["noise"], noise_additive=values["noise_additive"]
        )


class ConstantFamily(LawFamily):
    """linear_step with equal steps everywhere and one spread: all that a handful of reads can tell."""

    kind = "linear_step"

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes and spread."""
        size = [float(np.nanmedian(np.abs(start.mean[k]))) for k in (0, 1)]
        return [*_size_params(start, size), *_noise_params(start, max(size))[:1]]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """LinearStep with gamma = 0."""
        return LinearStep(**_sizes(values), noise_additive=values["noise_additive"])


class SoftBoundsFamily(LawFamily):
    """soft_bounds: step proportional to the distance from a bound that is fitted, or given when the window is."""

    kind = "soft_bounds"

    def __init__(self, free_bounds: bool) -> None:
        self._free = free_bounds

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes at the far bound, bounds, noise."""
        first = [abs(start.mean[0, -1]), abs(start.mean[1, 0])]
        return [
            *_size_params(start, first),
            *(_bound_params(start) if self._free else []),
            *_noise_params(start, max(first)),
        ]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """SoftBounds."""
        return SoftBounds(**_sizes(values), noise=values["noise"], noise_additive=values["noise_additive"])


class PowerFamily(LawFamily):
    """power_step: a power of the distance from a bound that is fitted, or given when the window is."""

    kind = "power_step"

    def __init__(self, free_bounds: bool) -> None:
        self._free = free_bounds

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes, exponents, bounds, noise."""
        first = [abs(start.mean[0, -1]), abs(start.mean[1, 0])]
        return [
            *_size_params(start, first),
            *_per_direction(start, "gamma", "", [1.0, 1.0], log=True, low=0.01, high=50.0),
            *(_bound_params(start) if self._free else []),
            *_noise_params(start, max(first)),
        ]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """PowerStep."""
        return PowerStep(
            **_sizes(values), **_both(values, "gamma"), noise=values["noise"], noise_additive=values["noise_additive"]
        )


class ExpFamily(LawFamily):
    """exp_step: exponential saturation (A > 0) or growth (A < 0), on the measured window.

    `rate` is where the search for gamma begins: weight and rate lie on a narrow ridge, with more than one summit on poor data.
    """

    kind = "exp_step"

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Sizes far from the bound, weights and rates, noise."""
        up, down = np.exp(self._rate), np.exp(-self._rate)  # the exponential at the bound ahead, and at the one behind
        sizes, weights = [], []
        for k, (near, far) in enumerate(((0, -1), (-1, 0))):
            first = max(abs(start.mean[k, far]), 1e-5 * start.window.width)
            ratio = abs(start.mean[k, near]) / first
            weight = float(
                np.clip((1.0 - ratio) / (up - ratio * down), -20.0, 0.98 / up)
            )  # matches both ends of the curve
            weights.append(weight)
            sizes.append(first / (1.0 - weight * down))
        return [
            *_size_params(start, sizes),
            *_per_direction(start, "A", "", weights, log=True, one_minus=True, low=-1e6, high=0.9999),
            *_per_direction(start, "gamma", "", [self._rate] * 2, log=True, low=0.05, high=50.0),
            *_noise_params(start, max(sizes)),
        ]

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """ExpStep."""
        return ExpStep(
            **_sizes(values),
            **_both(values, "A"),
            **_both(values, "gamma"),
            noise=values["noise"],
            noise_additive=values["noise_additive"],
        )


class PiecewiseFamily(LawFamily):
    """piecewise: mean step at equally distant states, one spread per direction."""

    kind = "piecewise"

    def __init__(self, nodes: int = 7) -> None:
        self._nodes = nodes

    def params(self, start: Start) -> list[tuple[Param, float]]:
        """Mean step at every node and spread, siemens."""
        found = []
        grid = np.linspace(0.0, 1.0, start.mean.shape[1])
        for k, side in enumerate(("down", "up")):
            if not start.measured[k]:
                continue
            steps = np.abs(np.interp(np.linspace(0.0, 1.0, self._nodes), grid, start.mean[k]))
            least = 1e-6 * start.window.width
            found += [
                (Param(f"{side}[{j}]", "S", log=True, low=least, high=start.window.width), max(float(step), least))
                for j, step in enumerate(steps)
            ]
            spread = max(float(np.nanmedian(start.std[k])), 1e-5 * start.window.width)
            found.append(
                (Param(f"{side}_std", "S", log=True, low=1e-7 * start.window.width, high=start.window.width), spread)
            )
        return found

    def part(self, values: Mapping[str, float], start: Start) -> PulseLaw:
        """Piecewise, in units of the mean step over both directions."""
        nodes = {
            side: [values[f"{side}[{j}]"] for j in range(self._nodes)] if f"{side}[0]" in values else None
            for side in ("up", "down")
        }
        up, down = nodes["up"], nodes["down"]
        up, down = (down or [])[::-1] if up is None else up, (up or [])[::-1] if down is None else down
        spread_up = values.get("up_std", values.get("down_std", 0.0))
        spread_down = values.get("down_std", values.get("up_std", 0.0))
        size = float(np.mean([*up, *down]))
        return Piecewise(
            step=SI(size),
            up=tuple(float(x / size) for x in up),
            down=tuple(float(x / size) for x in down),
            up_std=(spread_up / size,),
            down_std=(spread_down / size,),
        )


PIECEWISE_NODES = (3, 5, 9)
"""Nodes that are tried for the piecewise law, from coarse to fine."""


def families(free_bounds: bool) -> dict[str, tuple[LawFamily, ...]]:
    """Every pulse law, with its variants: the one with the lowest AIC stands for the law.

    `free_bounds`: laws that die at a bound may have it outside the window; not when the user gave the window.
    """
    return {
        "linear_step": (ConstantFamily(), LinearFamily()),
        "soft_bounds": (SoftBoundsFamily(free_bounds),),
        "exp_step": tuple(ExpFamily(rate) for rate in (1.0, 3.0)),
        "power_step": (PowerFamily(free_bounds),),
        "piecewise": tuple(PiecewiseFamily(nodes) for nodes in PIECEWISE_NODES),
    }


@dataclass(frozen=True)
class LawFit:
    """A law at its maximum of likelihood.

    Attributes:
        family: what was fitted. kind: of the part. part, window: what the card takes.
        estimates: parameters with intervals, the read noise last. read_std: siemens.
        loglik: log-likelihood of the fitted traces; reads: how many reads it counts. parameters: how many.
        held_out: mean log density per read of the held-out traces, nats; NaN without held-out traces.
        misfit: largest distance (Kolmogorov-Smirnov) of the standardised innovations of the reads from a standard normal,
            state bin by state bin; worst_state: the bin, in siemens.
        bias: largest mean innovation of a state bin, in units of the mean absolute step.
        converged: whether the optimiser stopped by itself.
    """

    family: LawFamily
    kind: str
    part: PulseLaw
    window: Window
    estimates: tuple[Estimate, ...]
    read_std: float
    loglik: float
    reads: int
    parameters: int
    held_out: float
    misfit: float
    worst_state: float
    bias: float
    converged: bool

    @property
    def aic(self) -> float:
        """Akaike's criterion for small samples, ``2 k - 2 log L + 2 k (k + 1) / (n - k - 1)``; infinite for n <= k + 1 reads."""
        k, n = self.parameters, self.reads
        if n <= k + 1:
            return float("inf")
        return 2.0 * k - 2.0 * self.loglik + 2.0 * k * (k + 1) / (n - k - 1)

    @property
    def order(self) -> tuple[float, int]:
        """Key that sorts laws, the best first: by AIC, and by simplicity where there are too few reads for one."""
        return self.aic, self.parameters

    @property
    def adequate(self) -> bool:
        """Whether no state bin's mean step is off by more than a quarter of the mean step."""
        return self.bias <= 0.25


def tables_of(part: PulseLaw, window: Window, nodes: int = NODES, *, hard: bool = True) -> StepTables:
    """Tables of a part for the filter: its claims at uniform states."""
    u = np.linspace(0.0, 1.0, nodes)
    return StepTables(
        np.stack([part.step_mean(u, up, window) for up in (False, True)]),
        np.stack([part.step_std(u, up, window) for up in (False, True)]),
        window.g_min,
        window.g_max,
        hard,
    )


def fit_law(
    family: LawFamily,
    traces: Traces,
    start: Start,
    held_out: Traces | None,
    *,
    read_noise: bool = True,
    gain: F64 | None = None,
    max_iterations: int = 200,
) -> LawFit:
    """Fit one law.

    Args:
        family: the law. traces: what is fitted. start: moments to begin from. held_out: traces only to be scored.
        read_noise: fit the read noise too; otherwise the reads are exact and all scatter is the pulse's.
        gain: (R, 2) factors on the steps (down, up) of each fitted trace, known beforehand; 1 when None.
        max_iterations: of the optimiser.
    """
    params = family.params(start)
    width = start.window.width
    if read_noise:
        params = [
            *params,
            (Param("read_std", "S", log=True, low=1e-7 * width, high=width), max(start.read_std, 1e-5 * width)),
        ]
    definitions = [param for param, _ in params]
    x0 = np.array([param.inward(value) for param, value in params])
    limits = [param.limits() for param in definitions]
    objective = partial(_score, family=family, start=start, definitions=definitions)

    def per_trace(x: F64) -> F64:
        return _by_trace(objective(x, traces=traces, gain=gain), traces)

    def cost(x: F64) -> float:
        total = float(objective(x, traces=traces, gain=gain).loglik.sum())
        return -total if np.isfinite(total) else 1e300

    options: Any = {"maxiter": max_iterations, "maxfun": 100_000, "ftol": 1e-12, "eps": 1e-7}
    reads = int(traces.inside().sum())

    def per_read(x: F64) -> float:
        return cost(x) / reads  # of order 1, so that the first step of the search is a small one

    result = optimize.minimize(per_read, x0, method="L-BFGS-B", bounds=limits, options=options)
    for _ in range(3):  # a fresh start shakes off a poor approximation of the curvature
        again = optimize.minimize(per_read, result.x, method="L-BFGS-B", bounds=limits, options=options)
        gained = reads * float(result.fun - again.fun)
        result = again if gained > 0 else result
        if gained < 0.01:
            break
    x = np.asarray(result.x, np.float64)
    estimates, values = _estimates(x, definitions, limits, cost, per_trace, len(traces))
    part, window = family.part(values, start), family.window(values, start)
    read_std = values.get("read_std", 0.0)
    scored = objective(x, traces=traces, gain=gain)
    misfit, worst, bias = _goodness(traces, scored, start)
    held = np.nan
    if held_out is not None and len(held_out):
        held = float(objective(x, traces=held_out).loglik.sum() / held_out.inside().sum())
    return LawFit(
        family,
        family.kind,
        part,
        window,
        estimates,
        read_std,
        float(scored.loglik.sum()),
        reads,
        len(definitions),
        held,
        misfit,
        worst,
        bias,
        bool(result.success),
    )


def _score(
    x: F64, traces: Traces, family: LawFamily, start: Start, definitions: list[Param], gain: F64 | None = None
) -> Filtered:
    # Differences may reach over a bound: there the likelihood is that of the bound.
    inside = [float(np.clip(value, *param.limits())) for param, value in zip(definitions, x, strict=True)]
    values = {param.name: param.outward(value) for param, value in zip(definitions, inside, strict=True)}
    law = tables_of(family.part(values, start), family.window(values, start), hard=start.hard)
    return run_filter(traces, law, values.get("read_std", 0.0), gain)


def _by_trace(scored: Filtered, traces: Traces) -> F64:
    return np.add.reduceat(scored.loglik, traces.start[:-1])


def _estimates(
    x: F64,
    definitions: list[Param],
    limits: Sequence[tuple[float, float]],
    cost: Callable[[F64], float],
    per_trace: Callable[[F64], F64],
    clusters: int,
) -> tuple[tuple[Estimate, ...], dict[str, float]]:
    """Values with standard errors from the curvature of the likelihood, parameters at a bound left out."""
    inside = [k for k, (low, high) in enumerate(limits) if x[k] - low > 1e-3 and high - x[k] > 1e-3]
    start = x[inside]

    def shifted(y: F64) -> float:
        return cost(_with(x, inside, y))

    step = np.array([_step_along(shifted, start, direction, 0.02, MOST_STEP) for direction in np.eye(len(inside))])
    covariance = _covariance(shifted, start, step)
    quantile = 1.959963984540054
    if clusters >= CLUSTERS_FOR_ROBUST:
        scores = np.stack(
            [
                (per_trace(_with(x, inside, x[inside] + h)) - per_trace(_with(x, inside, x[inside] - h))) / (2.0 * h[k])
                for k, h in enumerate(np.diag(step))
            ],
            axis=1,
        )
        robust = covariance @ (scores.T @ scores) @ covariance * clusters / (clusters - 1)
        covariance, quantile = robust, float(stats.t.ppf(0.975, clusters - 1))
    std = np.full(len(x), np.nan)
    std[inside] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    found, values = [], {}
    for k, param in enumerate(definitions):
        value = param.outward(x[k])
        values[param.name] = value
        if k not in inside or not np.isfinite(std[k]) or std[k] == 0.0:
            why = "at its bound" if k not in inside else "not determined by these data"
            found.append(Estimate(param.name, value, np.nan, np.nan, np.nan, param.unit, why))
            continue
        ends = np.clip([x[k] - quantile * std[k], x[k] + quantile * std[k]], *limits[k])
        low, high = sorted(param.outward(float(end)) for end in ends)
        found.append(Estimate(param.name, value, float(std[k] * param.slope(x[k])), low, high, param.unit))
    return tuple(found), values


def _with(x: F64, which: Sequence[int], y: F64) -> F64:
    changed = x.copy()
    changed[list(which)] = y
    return changed


def _hessian(function: Callable[[F64], float], x: F64, step: F64) -> F64:
    """Second derivatives by central differences."""
    n = len(x)
    result = np.empty((n, n))
    centre = function(x)
    shifts = np.diag(step)
    for i in range(n):
        result[i, i] = (function(x + shifts[i]) - 2.0 * centre + function(x - shifts[i])) / step[i] ** 2
        for j in range(i):
            mixed = (
                function(x + shifts[i] + shifts[j])
                - function(x + shifts[i] - shifts[j])
                - function(x - shifts[i] + shifts[j])
                + function(x - shifts[i] - shifts[j])
            ) / (4.0 * step[i] * step[j])
            result[i, j] = result[j, i] = mixed
    return result


def _covariance(function: Callable[[F64], float], x: F64, step: F64) -> F64:
    """Covariance of the parameters from the curvature of minus the log-likelihood; NaN for those that the data do not determine.

    Parameters are scaled to a unit diagonal, so that units do not matter, and the curvature is measured again along each principal
    direction with a step of half a standard error in that direction: along a narrow curved ridge (weight and rate of an
    exponential) the mixed differences of the first estimate are too rough.
    """
    result = np.full((len(x), len(x)), np.nan)
    curved = np.flatnonzero(step < MOST_STEP)  # a parameter without curvature got the largest step
    while len(curved):
        scale = step[curved]

        def along(y: F64, curved: npt.NDArray[np.int64] = curved, scale: F64 = scale) -> float:
            return function(_with(x, curved.tolist(), x[curved] + scale * y))

        origin = np.zeros(len(curved))
        _, vectors = np.linalg.eigh(_hessian(along, origin, np.ones(len(curved))))
        lengths = np.array([_step_along(along, origin, direction, 1.0, 1e3) for direction in vectors.T])
        centre = along(origin)
        rises = np.array(
            [
                0.5 * (along(h * direction) + along(-h * direction)) - centre
                for h, direction in zip(lengths, vectors.T, strict=True)
            ]
        )
        flat = (rises <= 0.02) | (lengths >= 1e3)
        if not flat.any():
            inverse = (vectors * (lengths**2 / (2.0 * rises))) @ vectors.T
            result[np.ix_(curved, curved)] = inverse * np.outer(scale, scale)
            break
        share = (vectors[:, flat] ** 2).sum(axis=1)
        curved = curved[share < max(0.02, 0.5 * float(share.max()))]
    return result


def _step_along(function: Callable[[F64], float], x: F64, direction: F64, step: float, most: float) -> float:
    """Step at which the function has risen by an eighth on average, half a standard error; at most `most`."""
    centre = function(x)
    for _ in range(6):
        rise = 0.5 * (function(x + step * direction) + function(x - step * direction)) - centre
        factor = float(np.sqrt(0.125 / rise)) if rise > 0 else 4.0
        step = float(np.clip(step * np.clip(factor, 0.1, 10.0), 1e-6, most))
        if 0.5 < factor < 2.0:
            break
    return step


def _goodness(traces: Traces, scored: Filtered, start: Start, bins: int = 10) -> tuple[float, float, float]:
    """Largest KS distance of standardised innovations in a bin of the state, the bin's centre, and the largest mean innovation."""
    at = np.flatnonzero(traces.inside() & (traces.pulses > 0))
    r = scored.residuals(traces.g)[at]
    innovation = (traces.g - scored.predicted)[at] / traces.pulses[at]
    state = scored.predicted[at]
    edges = np.quantile(state, np.linspace(0.0, 1.0, bins + 1))
    size = float(np.mean(np.abs(start.mean[list(start.measured)])))
    worst, where, bias = 0.0, float(np.median(state)), 0.0
    for side in (-1, 1):
        for a, b in pairwise(edges):
            own = (state >= a) & (state <= b) & (traces.direction[at] == side)
            if own.sum() < 10:
                continue
            distance = float(stats.kstest(r[own], "norm").statistic)
            if distance > worst:
                worst, where = distance, float(0.5 * (a + b))
            # What chance alone gives is taken off, so that few steps do not make a law look wrong.
            error = 2.0 * innovation[own].std(ddof=1) / np.sqrt(own.sum())
            bias = max(bias, (abs(innovation[own].mean()) - error) / max(size, 1e-30))
    return worst, where, float(bias)
