"""Whether cells return: what a cell's change until one time says of its change after it. It never fits the change at a single time.

With x the change of a cell about the law's mean, in units of the law's spread of a decade, and a share r of cells that return
(`RelaxationModel`), two times a decade or more apart have

    -E[x_i (x_j - x_i)] = r s_i + n

n is what only one of the two reads holds: their noise. So r is the slope over the decades s_i, n the value at none.
"""

import numpy as np
import numpy.typing as npt

from devices.measurements.data.histories import Histories
from devices.measurements.fit.ageing.groups import states
from devices.measurements.fit.parameters import Estimate

F64 = npt.NDArray[np.float64]

FEWEST = 100
"""Cells from which on a returning share is looked for."""
APART = 1.0
"""Decades between two times from which on a cell that returns is on another path."""
PARTS, BLOCKS = 5, 20
"""Parts of the cells that are held out in turn; blocks of cells that the standard error is from."""
CLEAR, STEEP = 2.0, 3.0
"""Standard errors by which the change after a time is predicted better, and by which the share is above 0."""
MOST = 0.95


def returning_share(histories: Histories, g: F64, mean: F64, std: F64, t_0: float) -> Estimate | None:
    """The share r with its 95 % interval; None where held-out cells do not ask for it, or where times or cells are too few.

    Args:
        histories: C cells at T times. g: (B,) siemens, ascending; mean, std: (B,) siemens, of the relaxation there. t_0: seconds.
    """
    start = float(np.nanmin(histories.nominal))
    s = np.log10(1.0 + histories.nominal / t_0) - np.log10(1.0 + start / t_0)
    state = states(histories)
    x = histories.g - histories.initial[:, None] - np.interp(state, g, mean)[:, None] * s
    x = x / np.maximum(np.interp(state, g, std), 1e-3 * std.max())[:, None]
    pairs = [(i, j) for i in range(1, len(s)) for j in range(i + 1, len(s)) if s[j] - s[i] >= APART]
    if len({i for i, _ in pairs}) < 2 or len(x) < FEWEST:
        return None
    x = x - np.nanmedian(x, axis=0)
    early, late = np.array(pairs).T
    before, after = x[:, early], x[:, late] - x[:, early]
    product = -before * after
    value = _slope(product, s[early])
    block = np.arange(len(x)) % BLOCKS
    left = np.array([_slope(product[block != k], s[early]) for k in range(BLOCKS)])  # jackknife
    error = float(np.sqrt((BLOCKS - 1) / BLOCKS * np.sum((left - left.mean()) ** 2)))
    if value <= STEEP * error or not _predicts(before, after, product, s[early]):
        return None
    low, high = value - 1.96 * error, value + 1.96 * error
    return Estimate("returning", min(value, MOST), error, max(0.0, low), min(high, 1.0), "")


def _line(product: F64, s: F64) -> tuple[float, float]:
    """Slope and intercept, not below 0, of the mean products (pairs,) over the decades; a pair counts by its cells over its spread."""
    mean = np.nanmean(product, axis=0)
    weight = 1.0 / np.maximum(np.nanvar(product, axis=0) / np.maximum(np.isfinite(product).sum(axis=0), 1), 1e-12)
    design = np.stack([s, np.ones(len(s))], axis=1) * np.sqrt(weight)[:, None]
    slope, level = np.linalg.lstsq(design, mean * np.sqrt(weight), rcond=None)[0]
    if level < 0.0:
        return float((weight * s) @ mean / ((weight * s) @ s)), 0.0
    return float(slope), float(level)


def _slope(product: F64, s: F64) -> float:
    return _line(product, s)[0]


def _predicts(before: F64, after: F64, product: F64, s: F64) -> bool:
    """Whether the changes after a time of held-out cells are predicted better by a returning share than by noise of the reads alone."""
    part = np.arange(len(before)) % PARTS
    gained = np.zeros(len(before))
    for k in range(PARTS):
        out = part == k
        slope, level = _line(product[~out], s)
        noise = max(0.0, float(np.nanmean(product[~out])))
        variance = np.nanvar(before[~out], axis=0)
        errors = [after[out] + np.minimum(size / variance, 1.0) * before[out] for size in (slope * s + level, noise)]
        gained[out] = np.nanmean(errors[1] ** 2 - errors[0] ** 2, axis=1)
    gained = gained[np.isfinite(gained)]
    return bool(gained.mean() > CLEAR * gained.std(ddof=1) / np.sqrt(len(gained)))
