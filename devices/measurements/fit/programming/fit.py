"""Programming error: what a cell reads right after it was programmed to a target. Never the way there."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.window import Window

F64 = npt.NDArray[np.float64]

GROUPS, CELLS_PER_GROUP, NODES = 16, 30, 33
FAR = 8.0
"""A cell whose error exceeds this many robust standard deviations, and a tenth of the window, is taken as stuck."""


@dataclass(frozen=True)
class ProgrammingFit:
    """Error against target.

    Attributes:
        centres: (B,) siemens, mean target of a group. bias, std: (B,) siemens. low, high: (B,) 95 % interval of std (chi-squared).
        excess: (B,) excess kurtosis: 0 for a normal error, -1.2 for a uniform one (write-verify with a hard tolerance).
        table: (K,) siemens over the window. stuck: indices of cells that missed their target by far. cells: how many were fitted.
    """

    centres: F64
    bias: F64
    std: F64
    low: F64
    high: F64
    excess: F64
    table: F64
    stuck: npt.NDArray[np.int64]
    cells: int


def fit_programming(target: F64, result: F64, window: Window) -> ProgrammingFit | None:
    """Standard deviation of result - target (about its mean) in groups of the target; None with fewer than three pairs.

    Args:
        target, result: (C,) siemens; pairs with a NaN are left out.
        window: of the table.
    """
    known = np.isfinite(target) & np.isfinite(result)
    if known.sum() < 3:
        return None
    error = result - target
    centre = float(np.median(error[known]))
    robust = float(stats.median_abs_deviation(error[known], scale="normal"))
    far = known & (np.abs(error - centre) > max(FAR * robust, 0.1 * window.width))
    used = np.flatnonzero(known & ~far)
    order = used[np.argsort(target[used], kind="stable")]
    groups = np.array_split(order, int(np.clip(len(order) // CELLS_PER_GROUP, 1, GROUPS)))
    rows = []
    for part in groups:
        e = error[part]
        n = len(e)
        spread = float(e.std(ddof=1)) if n > 1 else 0.0
        low, high = (
            (spread * np.sqrt((n - 1) / stats.chi2.ppf(q, n - 1)) for q in (0.975, 0.025)) if n > 1 else (0.0, np.inf)
        )
        rows.append(
            (target[part].mean(), e.mean(), spread, low, high, stats.kurtosis(e) if n > 3 and spread > 0 else 0.0)
        )
    centres, bias, std, low, high, excess = np.array(rows, np.float64).T
    return ProgrammingFit(
        centres=centres,
        bias=bias,
        std=std,
        low=low,
        high=high,
        excess=excess,
        table=np.interp(window.grid(NODES), centres, std),
        stuck=np.flatnonzero(far),
        cells=len(used),
    )
