"""Fit of retention: relaxation in log time or power-law drift, per state, from the shortest to the longest time. Never a cell's path.

Laws are fitted to the change since the first read, in groups of the state and at all times together: by the normal quasi-likelihood of
its mean and variance, and relaxation in bursts by the likelihood of its whole distribution. The card's tables are interpolated between
the groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from devices.drift.moments import cut_normal
from devices.measurements.fit import bursts
from devices.measurements.histories import Histories
from devices.window import Window

F64 = npt.NDArray[np.float64]
Kind = Literal["relaxation", "burst_relaxation", "power_law"]

GROUPS = 12
CELLS_PER_GROUP = 40
FEWEST_FOR_TAIL = 100
NODES = 33
NU_LIMIT = 1.0
RESAMPLES = 24
NAMES: Mapping[Kind, tuple[str, ...]] = {
    "relaxation": ("mean", "std", "initial_std"),
    "burst_relaxation": bursts.NAMES,
    "power_law": ("nu_mean", "nu_std"),
}
"""Tables over the state that a law has, in the order of its parameters; the third one of the power law is noise of the reads."""
START_TAIL, LEAST_INITIAL = 1.0, 0.1
"""Decades of tail that a search begins from, and least share of initial_std in std."""


@dataclass(frozen=True)
class AgeingFit:
    """One fitted law.

    Attributes:
        kind: of the law. tables: arrays of the tables file, without the prefix `drift.`.
        centres: (B,) siemens, mean first read of every group. values: name of a table (`NAMES`) -> (B,) of every group: mean, std and
            initial_std in siemens per (square root of a) decade, tail in decades, skew; or mean and std of nu. errors: the same,
            standard errors by resampling cells, at the fitted t_0.
        time: t_0 or t_ref, seconds. loglik: of the fitted cells; held_out: mean per read of the held-out cells, nats.
        parameters: how many.
    """

    kind: Kind
    tables: dict[str, F64 | float]
    centres: F64
    values: Mapping[str, F64]
    errors: Mapping[str, F64]
    time: float
    loglik: float
    held_out: float
    parameters: int

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return 2.0 * self.parameters - 2.0 * self.loglik


@dataclass(frozen=True)
class _Moments:
    """Mean and variance of the change, and counts, of every group (B) and later time (T); g and t of the group.

    counted: the changes themselves, B lists of those times that have any; empty unless asked for.
    """

    g: F64
    t: F64
    count: F64
    mean: F64
    var: F64
    counted: tuple[tuple[bursts.Counts, ...], ...] = ()


def group_edges(histories: Histories, window: Window) -> F64:
    """Edges of groups of the state, in siemens; states are targets where known (free of read noise), else first reads."""
    state = states(histories)
    count = int(np.clip(len(state) // CELLS_PER_GROUP, 1, GROUPS))
    edges = np.unique(np.quantile(state, np.linspace(0.0, 1.0, count + 1)))
    if len(edges) < 2:
        edges = np.array([window.g_min, window.g_max])
    return np.concatenate(([-np.inf], edges[1:-1], [np.inf]))


def states(histories: Histories) -> F64:
    """(C,) siemens: what cells are sorted by."""
    return np.where(np.isfinite(histories.target), histories.target, histories.initial)


def fit_ageing(
    fitted: Histories,
    held_out: Histories | None,
    window: Window,
    *,
    kinds: Sequence[Kind] = ("relaxation", "burst_relaxation", "power_law"),
    seed: int = 0,
) -> tuple[AgeingFit, ...]:
    """Fit the laws; the best one by held-out likelihood (AIC without held-out cells) first.

    Bursts have to be worth their parameters by AIC too: where the path is normal, chance may let them predict the others a little better.
    Of fewer than `FEWEST_FOR_TAIL` cells no tail is known, and they come after the normal path.

    Args:
        fitted, held_out: cells. window: of the card's tables. kinds: laws. seed: of the resampling for the errors.
    """
    edges = group_edges(fitted, window)
    fits = [_fit(kind, fitted, held_out, edges, window, seed) for kind in kinds]
    proven = held_out is not None and len(held_out) > 0
    fits.sort(key=lambda fit: -fit.held_out if proven else fit.aic)
    plain = next((fit for fit in fits if fit.kind == "relaxation"), None)
    if (
        plain is not None
        and fits[0].kind == "burst_relaxation"
        and (fits[0].aic > plain.aic or len(fitted) < FEWEST_FOR_TAIL)
    ):
        fits.insert(fits.index(plain), fits.pop(0))
    return tuple(fits)


def _moments(histories: Histories, edges: F64, kind: Kind) -> _Moments:
    change = histories.g[:, 1:] - histories.g[:, :1]
    group = np.searchsorted(edges[1:-1], states(histories), side="right")
    bins = len(edges) - 1
    later = len(histories.nominal) - 1
    g = np.full(bins, np.nan)
    t, count, mean, var = (np.zeros((bins, later)) for _ in range(4))
    counted: list[tuple[bursts.Counts, ...]] = []
    for b in range(bins):
        own = group == b
        kept: list[bursts.Counts] = []
        counted.append(())
        if not own.any():
            continue
        g[b] = histories.initial[own].mean()
        for k in range(later):
            known = own & np.isfinite(change[:, k])
            count[b, k] = known.sum()
            if count[b, k]:
                t[b, k] = np.exp(np.log(np.maximum(histories.t[known, k + 1], 1e-30)).mean())
                mean[b, k], var[b, k] = change[known, k].mean(), change[known, k].var()
                if kind == "burst_relaxation":
                    kept.append(bursts.counted(change[known, k], histories.initial[known]))
        counted[-1] = tuple(kept)
    return _Moments(g, t, count, mean, var, tuple(counted))


def _loglik(m: _Moments, b: int, mean: F64, var: F64) -> float:
    """Normal quasi-log-likelihood of a group's changes given the model's moments."""
    var = np.maximum(var, 1e-30)
    return float(-0.5 * np.sum(m.count[b] * (np.log(2.0 * np.pi * var) + (m.var[b] + (m.mean[b] - mean) ** 2) / var)))


def _relaxed(g: float, mu: float, beta: float, initial: float, s: F64) -> tuple[F64, F64]:
    """Mean and variance of the change of a normal cut at 0 S."""
    mean, std = cut_normal(g + mu * s, np.sqrt(np.maximum(beta**2 * s + initial**2, 1e-30)))
    return mean - g, np.maximum(std**2, 1e-30)


def _drifted(g: float, nu: float, spread: float, log_age: F64, offset: float) -> tuple[F64, F64]:
    """Mean and variance of the change of ``g exp(-nu L)``, nu normal, plus a constant variance of reads."""
    factor = np.exp(-nu * log_age + 0.5 * (spread * log_age) ** 2)
    return g * (factor - 1.0), (g * factor) ** 2 * np.expm1((spread * log_age) ** 2) + offset**2


def _fit(kind: Kind, fitted: Histories, held_out: Histories | None, edges: F64, window: Window, seed: int) -> AgeingFit:
    m = _moments(fitted, edges, kind)
    start = float(np.nanmin(fitted.nominal))
    free = kind != "power_law" and start == 0.0  # a first read at t = 0 leaves t_0 free
    first_time = float(fitted.nominal[fitted.nominal > 0].min())
    time = _time(kind, m, first_time, start) if free else first_time
    solved, total = _solve(kind, m, time, start)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        again = _moments(fitted.take(rng.integers(0, len(fitted), len(fitted))), edges, kind)
        draws.append(_solve(kind, again, time, start, near=solved)[0])
    known = np.isfinite(m.g)
    order = np.flatnonzero(known)[np.argsort(m.g[known])]
    scatter = np.nanstd(np.array(draws)[:, order], axis=0)
    values = {name: solved[order, j] for j, name in enumerate(NAMES[kind])}
    errors = {name: scatter[:, j] for j, name in enumerate(NAMES[kind])}
    held = np.nan
    if held_out is not None and len(held_out):
        other = _moments(held_out, edges, kind)
        score = sum(_score(kind, m.g, other, b, solved[b], time, start) for b in np.flatnonzero(known).tolist())
        held = score / max(1.0, float(other.count[known].sum()))
    parameters = solved.shape[1] * int(known.sum()) + int(free)
    tables = _tables(kind, window, m.g[order], values, time)
    return AgeingFit(kind, tables, m.g[order], values, errors, time, total, held, parameters)


def _time(kind: Kind, m: _Moments, first_time: float, start: float) -> float:
    """The most likely t_0. (After a first read at t > 0 changes are counted from there, and t_0 is that time.)"""
    near: F64 | None = None

    def cost(x: float) -> float:
        nonlocal near
        found, total = _solve(kind, m, float(np.exp(x)), start, near=near if kind == "burst_relaxation" else None)
        near = found
        return -total

    bounds = np.log(first_time * 1e-3), np.log(first_time * 1e2)
    best = optimize.minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 0.05})
    return float(np.exp(best.x))


def _tables(kind: Kind, window: Window, centres: F64, values: Mapping[str, F64], time: float) -> dict[str, F64 | float]:
    """Arrays of the tables file: the values between the groups, and the scalars of the law."""
    tables: dict[str, F64 | float] = {
        name: np.interp(window.grid(NODES), centres, value) for name, value in values.items()
    }
    if kind == "power_law":
        tables["nu_mean"] = np.clip(tables["nu_mean"], -NU_LIMIT, NU_LIMIT)
        return tables | {"t_ref": time, "nu_low": -NU_LIMIT, "nu_high": NU_LIMIT}
    return tables | {"t_0": time}


def _score(kind: Kind, g: F64, other: _Moments, b: int, theta: F64, time: float, start: float) -> float:
    """Log-likelihood of the other cells of a group."""
    if kind == "burst_relaxation":
        return bursts.loglik(theta, _decades(other.t[b][other.count[b] > 0], time, start), other.counted[b])[0]
    return _loglik(other, b, *_model(kind, float(g[b]), theta, other.t[b], time, start))


def _decades(t: F64, time: float, start: float) -> F64:
    return np.log10(1.0 + t / time) - np.log10(1.0 + start / time)


def _model(kind: Kind, g: float, theta: F64, t: F64, time: float, start: float) -> tuple[F64, F64]:
    if kind == "relaxation":
        return _relaxed(g, theta[0], theta[1], theta[2], _decades(t, time, start))
    log_age = np.log(np.maximum(t, time) / time)
    return _drifted(g, theta[0], theta[1], log_age, theta[2])


def _solve(kind: Kind, m: _Moments, time: float, start: float, near: F64 | None = None) -> tuple[F64, float]:
    """Best parameters of every group at a given time constant, (B, 3 or 5), and the total quasi-log-likelihood.

    `near`: of the same shape, parameters to begin from.
    """
    if kind == "burst_relaxation":
        return _solve_bursts(m, time, start, near)
    result = np.full((len(m.g), 3), np.nan)
    total = 0.0
    for b in range(len(m.g)):
        used = m.count[b] > 0
        if not used.any() or not np.isfinite(m.g[b]):
            continue
        g = float(m.g[b])
        x0 = _guess(kind, m, b, time, start) if near is None or not np.isfinite(near[b]).all() else near[b]
        scale = np.array([max(abs(x0[0]), 1e-3 * (g if kind == "relaxation" else 1.0), 1e-12), 1.0, 1.0])

        def cost(x: F64, b: int = b, g: float = g, scale: F64 = scale) -> float:
            theta = np.array([x[0] * scale[0], np.exp(x[1]), np.exp(x[2])])
            return -_loglik(m, b, *_model(kind, g, theta, m.t[b], time, start)) / max(1.0, float(m.count[b].sum()))

        begin = np.array([x0[0] / scale[0], np.log(x0[1]), np.log(x0[2])])
        limits = [(None, None), (begin[1] - 12.0, begin[1] + 5.0), (begin[2] - 12.0, begin[2] + 5.0)]
        best = optimize.minimize(cost, begin, method="L-BFGS-B", bounds=limits, options={"ftol": 1e-9})
        result[b] = best.x[0] * scale[0], np.exp(best.x[1]), np.exp(best.x[2])
        total -= float(best.fun) * max(1.0, float(m.count[b].sum()))
    return result, total


def _solve_bursts(m: _Moments, time: float, start: float, near: F64 | None) -> tuple[F64, float]:
    """The same for relaxation in bursts; it begins from the moments without a tail."""
    result, total = np.full((len(m.g), 5), np.nan), 0.0
    for b in np.flatnonzero(np.isfinite(m.g) & (m.count > 0).any(axis=1)).tolist():
        begin, tolerance = np.append(_guess("relaxation", m, b, time, start), (START_TAIL, 0.0)), 1e-9
        if near is not None and np.isfinite(near[b]).all():
            begin, tolerance = (
                near[b],
                1e-7,
            )  # resamples and trials of t_0 need a hundredth of a standard error, not more
        s = _decades(m.t[b][m.count[b] > 0], time, start)
        result[b], value = bursts.solve(s, m.counted[b], begin, tolerance)
        total += value
    return result, total


def _guess(kind: Kind, m: _Moments, b: int, time: float, start: float) -> F64:
    used = m.count[b] > 0
    floor = 1e-6 * max(float(m.g[b]), 1e-9)
    if kind == "relaxation":
        x = _decades(m.t[b, used], time, start)
        slope = float(x @ m.mean[b, used] / max(float(x @ x), 1e-30))
        growth = float(x @ m.var[b, used] / max(float(x @ x), 1e-30))
        return np.array([slope, np.sqrt(max(growth, floor**2)), 0.3 * np.sqrt(max(growth, floor**2))])
    x = np.log(np.maximum(m.t[b, used], time) / time)
    weight = max(float(x @ x), 1e-30)
    g = max(float(m.g[b]), 1e-12)
    nu = -float(x @ np.log(np.maximum(1.0 + m.mean[b, used] / g, 1e-3))) / weight
    spread = np.sqrt(max(float(x @ (np.sqrt(m.var[b, used]) / g)) / weight, 1e-6) ** 2)
    return np.array([nu, spread, np.sqrt(max(float(m.var[b, used].min()), floor**2))])


def path_memory(histories: Histories) -> float | None:
    """Correlation of the last change with the change before it; 0 for a path of independent increments, as the emulator's.

    A clearly negative value says that cells partly return: single times are emulated right, differences of two late times are not.
    None with fewer than three times or 30 cells.
    """
    if len(histories.nominal) < 3:
        return None
    early = histories.g[:, -2] - histories.g[:, 0]
    late = histories.g[:, -1] - histories.g[:, -2]
    known = np.isfinite(early) & np.isfinite(late)
    if known.sum() < 30:
        return None
    return float(stats.spearmanr(early[known], late[known]).statistic)
