"""Fit of retention: relaxation in log time or power-law drift, per state, from the shortest to the longest time. Never a cell's path.

Both laws are fitted to the mean and the variance of the change since the first read, in groups of the state, by the normal
quasi-likelihood of all times together; the card's tables are interpolated between the groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from devices.drift.moments import cut_normal
from devices.measurements.histories import Histories
from devices.window import Window

F64 = npt.NDArray[np.float64]
Kind = Literal["relaxation", "power_law"]

GROUPS = 12
CELLS_PER_GROUP = 40
NODES = 33
NU_LIMIT = 1.0
RESAMPLES = 24


@dataclass(frozen=True)
class AgeingFit:
    """One fitted law.

    Attributes:
        kind: of the law. tables: arrays of the tables file, without the prefix `drift.`.
        centres: (B,) siemens, mean first read of every group. first, second, third: (B,) parameters of every group: mean, std and
            initial_std in siemens per (square root of a) decade, or mean and std of nu and nothing. errors: (2, B) standard
            errors of the first two, by resampling cells.
        time: t_0 or t_ref, seconds. loglik: of the fitted cells; held_out: mean per read of the held-out cells, nats.
        parameters: how many.
    """

    kind: Kind
    tables: dict[str, F64 | float]
    centres: F64
    first: F64
    second: F64
    third: F64
    errors: F64
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
    """Mean and variance of the change, and counts, of every group (B) and later time (T); g and s of the group."""

    g: F64
    t: F64
    count: F64
    mean: F64
    var: F64


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
    kinds: Sequence[Kind] = ("relaxation", "power_law"),
    seed: int = 0,
) -> tuple[AgeingFit, ...]:
    """Fit the laws; the better one by held-out likelihood (AIC without held-out cells) first.

    Args:
        fitted, held_out: cells. window: of the card's tables. kinds: laws. seed: of the resampling for the errors.
    """
    edges = group_edges(fitted, window)
    fits = [_fit(kind, fitted, held_out, edges, window, seed) for kind in kinds]
    if held_out is not None and len(held_out):
        return tuple(sorted(fits, key=lambda fit: -fit.held_out))
    return tuple(sorted(fits, key=lambda fit: fit.aic))


def _moments(histories: Histories, edges: F64) -> _Moments:
    change = histories.g[:, 1:] - histories.g[:, :1]
    group = np.searchsorted(edges[1:-1], states(histories), side="right")
    bins = len(edges) - 1
    later = len(histories.nominal) - 1
    g = np.full(bins, np.nan)
    t, count, mean, var = (np.zeros((bins, later)) for _ in range(4))
    for b in range(bins):
        own = group == b
        if not own.any():
            continue
        g[b] = histories.initial[own].mean()
        for k in range(later):
            known = own & np.isfinite(change[:, k])
            count[b, k] = known.sum()
            if count[b, k]:
                t[b, k] = np.exp(np.log(np.maximum(histories.t[known, k + 1], 1e-30)).mean())
                mean[b, k], var[b, k] = change[known, k].mean(), change[known, k].var()
    return _Moments(g, t, count, mean, var)


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
    m = _moments(fitted, edges)
    first_time = float(fitted.nominal[fitted.nominal > 0].min())
    start = float(np.nanmin(fitted.nominal))
    if kind == "relaxation":
        # A first read at t = 0 leaves t_0 free; otherwise the change is counted from the first read and t_0 is that time.
        found = (
            optimize.minimize_scalar(
                lambda x: -_total(kind, m, float(np.exp(x)), start),
                bounds=(np.log(first_time * 1e-3), np.log(first_time * 1e2)),
                method="bounded",
                options={"xatol": 0.05},
            )
            if start == 0.0
            else None
        )
        time = float(np.exp(found.x)) if found is not None else first_time
    else:
        time = first_time
    solved, total = _solve(kind, m, time, start)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        again = fitted.take(rng.integers(0, len(fitted), len(fitted)))
        draws.append(_solve(kind, _moments(again, edges), time, start, near=solved)[0][:, :2])
    errors = np.nanstd(np.array(draws), axis=0).T
    known = np.isfinite(m.g)
    centres, values = m.g[known], solved[known]
    order = np.argsort(centres)
    centres, values, errors = centres[order], values[order], errors[:, known][:, order]
    grid = window.grid(NODES)
    columns = [np.interp(grid, centres, values[:, j]) for j in range(3)]
    tables: dict[str, F64 | float]
    if kind == "relaxation":
        tables = {
            "mean": columns[0],
            "std": np.maximum(columns[1], 0.0),
            "initial_std": np.maximum(columns[2], 0.0),
            "t_0": time,
        }
    else:
        tables = {
            "nu_mean": np.clip(columns[0], -NU_LIMIT, NU_LIMIT),
            "nu_std": np.maximum(columns[1], 0.0),
            "t_ref": time,
            "nu_low": -NU_LIMIT,
            "nu_high": NU_LIMIT,
        }
    held = np.nan
    if held_out is not None and len(held_out):
        other = _moments(held_out, edges)
        score: float = sum(
            _loglik(other, b, *_model(kind, float(m.g[b]), solved[b], other.t[b], time, start))
            for b in np.flatnonzero(known).tolist()
        )
        held = score / max(1.0, float(other.count[known].sum()))
    parameters = 3 * int(known.sum()) + (1 if kind == "relaxation" and start == 0.0 else 0)
    return AgeingFit(
        kind, tables, centres, values[:, 0], values[:, 1], values[:, 2], errors, time, total, held, parameters
    )


def _model(kind: Kind, g: float, theta: F64, t: F64, time: float, start: float) -> tuple[F64, F64]:
    if kind == "relaxation":
        s = np.log10(1.0 + t / time) - np.log10(1.0 + start / time)
        return _relaxed(g, theta[0], theta[1], theta[2], s)
    log_age = np.log(np.maximum(t, time) / time)
    return _drifted(g, theta[0], theta[1], log_age, theta[2])


def _solve(kind: Kind, m: _Moments, time: float, start: float, near: F64 | None = None) -> tuple[F64, float]:
    """Best parameters of every group at a given time constant, (B, 3), and the total quasi-log-likelihood.

    `near`: (B, 3) parameters to begin from.
    """
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


def _guess(kind: Kind, m: _Moments, b: int, time: float, start: float) -> F64:
    used = m.count[b] > 0
    floor = 1e-6 * max(float(m.g[b]), 1e-9)
    if kind == "relaxation":
        x = np.log10(1.0 + m.t[b, used] / time) - np.log10(1.0 + start / time)
        slope = float(x @ m.mean[b, used] / max(float(x @ x), 1e-30))
        growth = float(x @ m.var[b, used] / max(float(x @ x), 1e-30))
        return np.array([slope, np.sqrt(max(growth, floor**2)), 0.3 * np.sqrt(max(growth, floor**2))])
    x = np.log(np.maximum(m.t[b, used], time) / time)
    weight = max(float(x @ x), 1e-30)
    g = max(float(m.g[b]), 1e-12)
    nu = -float(x @ np.log(np.maximum(1.0 + m.mean[b, used] / g, 1e-3))) / weight
    spread = np.sqrt(max(float(x @ (np.sqrt(m.var[b, used]) / g)) / weight, 1e-6) ** 2)
    return np.array([nu, spread, np.sqrt(max(float(m.var[b, used].min()), floor**2))])


def _total(kind: Kind, m: _Moments, time: float, start: float) -> float:
    return _solve(kind, m, time, start)[1]


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
