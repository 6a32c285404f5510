"""Statistics over emulated chips: means with intervals, accuracy, yield. Equal values give equal answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

BOOTSTRAP_FROM = 25
"""Number of chips from which the bootstrap is used; below, Student-t covers better (0.93 against 0.84 at 5 chips)."""

ALIKE = "all values equal"
"""Method of an interval of values without any spread."""

SHARE = (0.0, 1.0)
"""Bounds of an accuracy."""

_RESAMPLES = 4999
_BOOTSTRAP_SEED = 20240625  # any number: the interval of given values must not change from run to run


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        value: the estimate. low, high: the interval's ends, nan when one value does not allow any.
        n: number of values (or trials). method: how it was made. level: nominal coverage.
    """

    value: float
    low: float
    high: float
    n: int
    method: str
    level: float = 0.95

    @property
    def alike(self) -> bool:
        """Whether all values are equal: they show no spread, which does not mean that there is none."""
        return self.method == ALIKE

    def text(self, *, percent: bool = False, digits: int = 2) -> str:
        """`97.31 [97.10, 97.52]`, in percent when asked for; `97.31 (all 3 alike)` where the values show no spread."""
        factor = 100.0 if percent else 1.0
        shown = f"{factor * self.value:.{digits}f}"
        if math.isnan(self.low):
            return shown
        if self.alike:
            return f"{shown} (all {self.n} alike)"
        return f"{shown} [{factor * self.low:.{digits}f}, {factor * self.high:.{digits}f}]"


def mean_interval(
    values: npt.ArrayLike, level: float = 0.95, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Mean over chips with its interval: Student-t below 25 chips, BCa bootstrap (Efron 1987) from 25 on.

    Args:
        values: (n,) one value per chip, n >= 1. level: nominal coverage in (0, 1).
        bounds: what the mean can be, (0, 1) for a share; the interval is cut there, which costs no coverage.

    Equal values give an interval of zero width (nothing to resample), which `Interval.alike` tells; one value gives no interval (nan).

    Raises:
        ValueError: no values, values that are not finite, or a level outside (0, 1).
    """
    x = np.asarray(values, np.float64).ravel()
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"mean_interval: values must be finite and at least one, got {x}")
    _check_level(level)
    n, mean = x.size, float(x.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, "single value", level)
    # Means of equal floats may differ from them by rounding, which the resampling would take for spread.
    if np.ptp(x) <= 8 * np.finfo(np.float64).eps * max(1e-300, float(np.abs(x).max())):
        return Interval(float(x[0]), float(x[0]), float(x[0]), n, ALIKE, level)
    if n < BOOTSTRAP_FROM:
        half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(x.std(ddof=1)) / math.sqrt(n)
        return Interval(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]), n, "Student-t", level)
    from scipy import stats  # takes a second to import, which lists and small runs need not wait for

    found = stats.bootstrap(
        (x,), np.mean, confidence_level=level, n_resamples=_RESAMPLES, method="BCa", vectorized=True,
        rng=np.random.default_rng(_BOOTSTRAP_SEED), batch=max(1, 2_000_000 // n),
    ).confidence_interval  # fmt: skip
    return Interval(
        mean, max(float(found.low), bounds[0]), min(float(found.high), bounds[1]), n, "BCa bootstrap", level
    )


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Share of successes with its Wilson (1927) score interval.

    ``(p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)``, p = successes/n, n = trials, z normal quantile.

    Args:
        successes: 0 to `trials`. trials: at least 1. level: nominal coverage in (0, 1).

    Raises:
        ValueError: counts that make no sense.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"wilson_interval: need 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    _check_level(level)
    z, p, n = float(ndtri(0.5 + level / 2)), successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else centre - half  # exactly, not up to rounding
    high = 1.0 if successes == trials else centre + half
    return Interval(p, low, high, n, "Wilson", level)


def yield_interval(values: npt.ArrayLike, threshold: float, level: float = 0.95) -> Interval:
    """Share of chips whose value reaches `threshold`, with its Wilson interval; `values` (n,) one per chip."""
    x = np.asarray(values, np.float64).ravel()
    return wilson_interval(int((x >= threshold).sum()), x.size, level)


def accuracy(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of rows of `scores` (n, classes) whose largest entry is at the label (n,); nan scores count as wrong.

    Raises:
        ValueError: shapes that do not fit, or no rows.
    """
    s, y = np.asarray(scores), np.asarray(labels)
    if s.ndim != 2 or y.shape != s.shape[:1] or y.size == 0:
        raise ValueError(f"accuracy: need scores (n, classes) and labels (n,) with n >= 1, got {s.shape} and {y.shape}")
    right = s.argmax(axis=1) == y
    return float((right & ~np.isnan(s).any(axis=1)).mean())


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
