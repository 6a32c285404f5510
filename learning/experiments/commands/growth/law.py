"""The exponent of a measured growth and the point where it bends. It never measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

LEAST_CHANGE = 0.25
"""Change of the exponent from which on a growth is said to bend: a time that is 20 % off at one end of a factor of ten moves it by 0.1."""


@dataclass(frozen=True)
class Growth:
    """``y ~ x**exponent``.

    Attributes:
        exponent: slope of log y against log x by least squares over all points, or, where the growth bends, above the bend.
        bend: x of the bend, None without one. before: exponent below it.
    """

    exponent: float
    bend: float | None = None
    before: float | None = None


def growth(x: Sequence[float], y: Sequence[float]) -> Growth:
    """The growth of y > 0 with x > 0, which ascend.

    Two lines that meet at one of the inner points are fitted by least squares for every such point; the best of them is the bend, where
    its exponents differ by at least `LEAST_CHANGE`. With fewer than four points there is none.

    Raises:
        ValueError: fewer than two points.
    """
    if len(x) < 2:
        raise ValueError(f"a growth needs two points (got {len(x)})")
    a, b = np.log(np.asarray(x, np.float64)), np.log(np.asarray(y, np.float64))
    straight = float(np.polyfit(a, b, 1)[0])
    if len(a) < 4:
        return Growth(straight)
    fits = [(*_broken(a, b, a[k]), float(x[k])) for k in range(1, len(a) - 1)]
    _, before, after, at = min(fits)
    if abs(after - before) < LEAST_CHANGE:
        return Growth(straight)
    return Growth(after, at, before)


def _broken(a: F64, b: F64, knee: float) -> tuple[float, float, float]:
    """Squared error and the slopes below and above the knee of the best continuous line that bends there."""
    columns = np.stack([np.ones_like(a), np.minimum(a - knee, 0.0), np.maximum(a - knee, 0.0)], axis=1)
    found = np.linalg.lstsq(columns, b, rcond=None)[0]
    return float(np.square(columns @ found - b).sum()), float(found[1]), float(found[2])
