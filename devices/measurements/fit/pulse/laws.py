"""Pulse laws fitted to traces by maximum likelihood: parameters with intervals, and how the laws compare. Never a chosen winner alone.

A law is fitted through the very part that the card will hold, so that a fitted parameter is the card's parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.curvature import estimates_at
from devices.measurements.fit.parameters import Estimate, Param
from devices.measurements.fit.pulse.families import LawFamily, Start
from devices.measurements.fit.pulse.noise_model import NoiseModel, noise_of, noise_params, starting_values
from devices.measurements.fit.pulse.statespace import Filtered, StepTables, run_filter
from devices.pulse.law import PulseLaw
from devices.window import Window

F64 = npt.NDArray[np.float64]

NODES = 65
"""Nodes of the tables a likelihood is computed with."""
MANY, SOME = 8000, 4000
"""Reads from which on a search begins with a part of the traces, and how many reads that part holds."""
TOLERANCE = 1e-12
"""Relative change of the cost per read at which a search ends; at 1e-10 searches along narrow ridges stopped 0.09 nats a read short."""


@dataclass(frozen=True)
class LawScore:
    """By what a fitted law is compared with others.

    Attributes:
        loglik: log-likelihood of the fitted traces; reads: how many reads it counts. parameters: how many.
        held_out: mean log density per read of the held-out traces, nats; NaN without held-out traces.
        misfit: largest distance (Kolmogorov-Smirnov) of the standardised innovations of the reads from a standard normal,
            state bin by state bin; worst_state: the bin, in siemens.
        bias: largest mean error of the step in a state bin that the innovations tell, in units of the mean absolute step.
    """

    loglik: float
    reads: int
    parameters: int
    held_out: float
    misfit: float
    worst_state: float
    bias: float

    @property
    def aic(self) -> float:
        """Akaike's criterion for small samples, ``2 k - 2 log L + 2 k (k + 1) / (n - k - 1)``; infinite for n <= k + 1 reads."""
        k, n = self.parameters, self.reads
        if n <= k + 1:
            return float("inf")
        return 2.0 * k - 2.0 * self.loglik + 2.0 * k * (k + 1) / (n - k - 1)

    @property
    def order(self) -> tuple[float, int]:
        """Key that sorts laws by the fitted reads alone: by AIC, and by simplicity where there are too few reads for one."""
        return self.aic, self.parameters

    @property
    def adequate(self) -> bool:
        """Whether no state bin's mean step is off by more than a quarter of the mean step."""
        return self.bias <= 0.25


@dataclass(frozen=True)
class LawFit:
    """A law at its maximum of likelihood.

    Attributes:
        family: what was fitted. kind: of the part. part, window: what the card takes.
        estimates: parameters with intervals, the read noise last. noise: of the reads. score: by which laws are compared.
        converged: whether the optimiser stopped by itself. model: of the read noise. x: parameters as the optimiser sees them.
    """

    family: LawFamily
    kind: str
    part: PulseLaw
    window: Window
    estimates: tuple[Estimate, ...]
    noise: ReadNoise
    score: LawScore
    converged: bool
    model: NoiseModel
    x: F64

    @property
    def step_std(self) -> float:
        """Scatter of a pulse in the middle of the window, mean of both directions, siemens."""
        return float(np.mean([self.part.step_std(np.array(0.5), up, self.window) for up in (False, True)]))


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
    noise: NoiseModel = "white",
    begin: LawFit | None = None,
    gain: F64 | None = None,
    max_iterations: int = 200,
    intervals: bool = True,
) -> LawFit:
    """Fit one law.

    Args:
        family: the law. traces: what is fitted. start: moments to begin from. held_out: traces only to be scored.
        noise: of the reads, fitted too; none: the reads are exact and all scatter is the pulse's.
        begin: a fit of the family, also with a simpler noise or of other traces, from which the search begins.
        gain: (R, 2) factors on the steps (down, up) of each fitted trace, known beforehand; 1 when None.
        max_iterations: of the optimiser.
        intervals: whether the curvature is measured too, which costs as much as the search; else see `with_intervals`.
    """
    params = [*family.params(start), *noise_params(noise, start, int(np.diff(traces.start).max()))]
    definitions = [param for param, _ in params]
    limits = [param.limits() for param in definitions]
    objective = partial(_score, family=family, start=start, definitions=definitions)
    known = {} if begin is None else {estimate.name: estimate.value for estimate in begin.estimates}
    first = [
        np.array([param.inward(values[param.name]) for param in definitions])
        for values in starting_values(params, known, 0.0 if begin is None else begin.step_std)
    ]
    for some, of_some in _parts(traces, gain):
        again = 3 if some is traces else 0
        result = _searched(partial(objective, traces=some, gain=of_some), first, limits, max_iterations, some, again)
        first = [np.asarray(result.x, np.float64)]
    x = first[0]
    values = {param.name: param.outward(at) for param, at in zip(definitions, x, strict=True)}
    part, window = family.part(values, start), family.window(values, start)
    scored = objective(x, traces=traces, gain=gain)
    misfit, worst, bias = _goodness(traces, scored, start)
    held = np.nan
    if held_out is not None and len(held_out):
        held = float(objective(x, traces=held_out).loglik.sum() / held_out.inside().sum())
    unknown = np.nan, np.nan, np.nan
    fit = LawFit(
        family=family,
        kind=family.kind,
        part=part,
        window=window,
        estimates=tuple(Estimate(p.name, values[p.name], *unknown, p.unit, "not computed") for p in definitions),
        noise=noise_of(values),
        score=LawScore(
            loglik=float(scored.loglik.sum()),
            reads=int(traces.inside().sum()),
            parameters=len(definitions),
            held_out=held,
            misfit=misfit,
            worst_state=worst,
            bias=bias,
        ),
        converged=bool(result.success),
        model=noise,
        x=x,
    )
    return with_intervals(fit, traces, start, gain) if intervals else fit


def _parts(traces: Traces, gain: F64 | None) -> list[tuple[Traces, F64 | None]]:
    """What is searched one after another: of many traces a part, evenly drawn, and then all, from where the part ended."""
    every = -(-len(traces.g) // SOME)
    if len(traces.g) < MANY or len(traces) < 2 * every:
        return [(traces, gain)]
    some = np.arange(0, len(traces), every)
    return [(traces.take(some), None if gain is None else gain[some]), (traces, gain)]


def _searched(
    objective: Callable[[F64], Filtered],
    first: list[F64],
    limits: list[tuple[float, float]],
    most: int,
    traces: Traces,
    fresh: int,
) -> Any:
    """Maximum of the likelihood, from the best of some starting_values; up to `fresh` starts anew from where a search ended."""
    reads = int(traces.inside().sum())

    def per_read(x: F64) -> float:  # of order 1, so that the first step of the search is a small one
        total = float(objective(x).loglik.sum())
        return -total / reads if np.isfinite(total) else 1e300

    options: Any = {"maxiter": most, "maxfun": 100_000, "ftol": TOLERANCE, "eps": 1e-7}
    search = partial(optimize.minimize, per_read, method="L-BFGS-B", bounds=limits, options=options)
    result = min((search(x) for x in first), key=lambda one: float(one.fun))
    for _ in range(fresh):  # a fresh start shakes off a poor approximation of the curvature
        again = search(result.x)
        gained = reads * float(result.fun - again.fun)
        result = again if gained > 0 else result
        if gained < 0.01:
            break
    return result


def with_intervals(fit: LawFit, traces: Traces, start: Start, gain: F64 | None) -> LawFit:
    """Return the fit with standard errors and 95 % intervals of its parameters; arguments as it was fitted with."""
    params = [*fit.family.params(start), *noise_params(fit.model, start, int(np.diff(traces.start).max()))]
    definitions = [param for param, _ in params]
    limits = [param.limits() for param in definitions]
    objective = partial(_score, traces=traces, family=fit.family, start=start, definitions=definitions, gain=gain)

    def cost(x: F64) -> float:
        total = float(objective(x).loglik.sum())
        return -total if np.isfinite(total) else 1e300

    def per_trace(x: F64) -> F64:
        return _by_trace(objective(x), traces)

    estimates, _ = estimates_at(fit.x, definitions, limits, cost, per_trace, len(traces))
    return replace(fit, estimates=estimates)


def _score(
    x: F64, traces: Traces, family: LawFamily, start: Start, definitions: list[Param], gain: F64 | None = None
) -> Filtered:
    # Differences may reach over a bound: there the likelihood is that of the bound.
    inside = [float(np.clip(value, *param.limits())) for param, value in zip(definitions, x, strict=True)]
    values = {param.name: param.outward(value) for param, value in zip(definitions, inside, strict=True)}
    law = tables_of(family.part(values, start), family.window(values, start), hard=start.hard)
    return run_filter(traces, law, noise_of(values), gain)


def _by_trace(scored: Filtered, traces: Traces) -> F64:
    return np.add.reduceat(scored.loglik, traces.start[:-1])


def _goodness(traces: Traces, scored: Filtered, start: Start, bins: int = 10) -> tuple[float, float, float]:
    """Largest KS distance of standardised innovations in a bin of the state, the bin's centre, and the largest bias of the step.

    A step that is off by b moves the innovations until the share of them that is taken for the state's makes up for it, pulse by
    pulse: b is weight times innovation.
    """
    at = np.flatnonzero(traces.inside() & (traces.pulses > 0))
    r = scored.residuals(traces.g)[at]
    innovation = scored.weight[at] * (traces.g - scored.predicted)[at] / traces.pulses[at]
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
