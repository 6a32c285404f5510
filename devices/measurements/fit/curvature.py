"""Standard errors from the curvature of a likelihood at its maximum, allowing for traces that differ. It never maximises."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.fit.parameters import Estimate, Param

F64 = npt.NDArray[np.float64]

MOST_STEP = 0.5
"""Longest step of one parameter (of the logarithm of most) in differences."""
CLUSTERS_FOR_ROBUST = 20
"""Traces from which on the covariance allows for traces that differ among themselves (sandwich estimate clustered by trace)."""


def estimates_at(
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

    step = np.array([step_along(shifted, start, direction, 0.02, MOST_STEP) for direction in np.eye(len(inside))])
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


def hessian(function: Callable[[F64], float], x: F64, step: F64) -> F64:
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
        _, vectors = np.linalg.eigh(hessian(along, origin, np.ones(len(curved))))
        lengths = np.array([step_along(along, origin, direction, 1.0, 1e3) for direction in vectors.T])
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


def step_along(function: Callable[[F64], float], x: F64, direction: F64, step: float, most: float) -> float:
    """Step at which the function has risen by an eighth on average, half a standard error; at most `most`."""
    centre = function(x)
    for _ in range(6):
        rise = 0.5 * (function(x + step * direction) + function(x - step * direction)) - centre
        factor = float(np.sqrt(0.125 / rise)) if rise > 0 else 4.0
        step = float(np.clip(step * np.clip(factor, 0.1, 10.0), 1e-6, most))
        if 0.5 < factor < 2.0:
            break
    return step
