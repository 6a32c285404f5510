"""Fit of retention: relaxation in log time or power-law drift, per state, from the shortest to the longest time. Never a cell's path.

Laws (`ageing_laws`) are fitted to the change since the first read, in groups of the state and at all times together. The card's tables
are interpolated between the groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from devices.measurements.data.histories import Histories
from devices.measurements.fit.ageing.groups import Groups, group_edges, grouped
from devices.measurements.fit.ageing.laws import LAWS, AgeingLaw, Kind, LawTimes
from devices.measurements.fit.ageing.returning import returning_share
from devices.measurements.fit.parameters import Estimate
from devices.window import Window

F64 = npt.NDArray[np.float64]

FEWEST_FOR_TAIL = 100
"""Cells from which on a tail can be known."""
NODES = 33
RESAMPLES = 24


@dataclass(frozen=True)
class AgeingFit:
    """One fitted law.

    Attributes:
        kind: of the law. tables: arrays of the tables file, without the prefix `drift.`.
        centres: (B,) siemens, mean first read of every group. values: name of a table -> (B,) of every group: mean, std and
            initial_std in siemens per (square root of a) decade, tail in decades, skew; or mean and std of nu. errors: the same,
            standard errors by resampling cells, at the fitted t_0.
        time: t_0 or t_ref, seconds. loglik: of the fitted cells; held_out: mean per read of the held-out cells, nats.
        parameters: how many. returning: share of the cells that return, None where held-out cells do not ask for one.
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
    returning: Estimate | None = None

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return 2.0 * self.parameters - 2.0 * self.loglik


def fit_ageing(
    fitted: Histories,
    held_out: Histories | None,
    window: Window,
    *,
    kinds: Sequence[Kind] = ("relaxation", "burst_relaxation", "power_law"),
    seed: int = 0,
    errors: bool = True,
) -> tuple[AgeingFit, ...]:
    """Fit the laws; the best one by held-out likelihood (AIC without held-out cells) first.

    Bursts have to be worth their parameters by AIC too: where the path is normal, chance may let them predict the others a little better.
    Of fewer than `FEWEST_FOR_TAIL` cells no tail is known, and they come after the normal path.

    Args:
        fitted, held_out: cells. window: of the card's tables. kinds: laws. seed: of the resampling for the errors.
        errors: whether they are found; else they are NaN.
    """
    edges = group_edges(fitted, window)
    fits = [_fit(kind, fitted, held_out, edges, window, seed if errors else None) for kind in kinds]
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


def _fit(
    kind: Kind, fitted: Histories, held_out: Histories | None, edges: F64, window: Window, seed: int | None
) -> AgeingFit:
    """Fit one law: groups, time constant, parameters, errors (with a seed), score of the held-out cells, tables."""
    law, groups = LAWS[kind], grouped(fitted, edges)
    start, first_time = float(np.nanmin(fitted.nominal)), float(fitted.nominal[fitted.nominal > 0].min())
    free = law.free_time and start == 0.0  # a first read at t = 0 leaves t_0 free
    clock = LawTimes(_likeliest_time(law, groups, first_time, start) if free else first_time, start)
    solved, total = _solve(law, groups, clock)
    known = np.flatnonzero(np.isfinite(groups.g))
    order = known[np.argsort(groups.g[known])]
    scatter = np.full(solved[order].shape, np.nan)
    if seed is not None:
        scatter = np.nanstd(_resampled(law, fitted, edges, clock, solved, seed)[:, order], axis=0)
    values = {name: solved[order, j] for j, name in enumerate(law.names)}
    errors = {name: scatter[:, j] for j, name in enumerate(law.names)}
    held = np.nan
    if held_out is not None and len(held_out):
        other = grouped(held_out, edges)
        score = sum(law.loglik(other, b, float(groups.g[b]), solved[b], clock) for b in known.tolist())
        held = score / max(1.0, float(other.count[known].sum()))
    sampled = {name: np.interp(window.grid(NODES), groups.g[order], value) for name, value in values.items()}
    parameters = law.parameters * len(known) + int(free)
    tables, returning = law.tables(sampled, clock.time), None
    if "mean" in values:
        returning = returning_share(fitted, groups.g[order], values["mean"], values["std"], clock.time)
    return AgeingFit(
        kind,
        tables if returning is None else {**tables, "returning": returning.value},
        groups.g[order],
        values,
        errors,
        time=clock.time,
        loglik=total,
        held_out=held,
        parameters=parameters,
        returning=returning,
    )


def _solve(law: AgeingLaw, groups: Groups, clock: LawTimes, near: F64 | None = None) -> tuple[F64, float]:
    """Best parameters of every group at a given time constant, (B, P), NaN without a change, and their total log-likelihood.

    `near`: of the same shape, parameters to begin from.
    """
    result, total = np.full((len(groups.g), law.parameters), np.nan), 0.0
    for b in groups.known():
        begin = near[b] if near is not None and np.isfinite(near[b]).all() else None
        result[b], value = law.solve(groups, b, clock, begin)
        total += value
    return result, total


def _likeliest_time(law: AgeingLaw, groups: Groups, first_time: float, start: float) -> float:
    """The most likely t_0, seconds. (After a first read at t > 0 changes are counted from there, and t_0 is that time.)"""
    near: F64 | None = None

    def cost(x: float) -> float:
        nonlocal near
        found, total = _solve(law, groups, LawTimes(float(np.exp(x)), start), near)
        near = found if law.follows else None
        return -total

    bounds = np.log(first_time * 1e-3), np.log(first_time * 1e2)
    best = optimize.minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 0.05})
    return float(np.exp(best.x))


def _resampled(law: AgeingLaw, fitted: Histories, edges: F64, clock: LawTimes, solved: F64, seed: int) -> F64:
    """(RESAMPLES, B, P) parameters of resampled cells at the fitted time constant."""
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        again = grouped(fitted.take(rng.integers(0, len(fitted), len(fitted))), edges)
        draws.append(_solve(law, again, clock, near=solved)[0])
    return np.array(draws)


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
    if known.sum() < 30 or np.ptp(early[known]) == 0 or np.ptp(late[known]) == 0:
        return None
    return float(stats.spearmanr(early[known], late[known]).statistic)
