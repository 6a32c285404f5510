"""Whether cells differ in their read noise at equal states: what a cell's first reads say of its later ones. Never a cell's own noise.

The variance of a cell's reads scatters by chance, the more the slower the noise. So the two halves of every series are compared: what
they share beyond what the state explains is the cell's; what they do not share is chance.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.fit.noise.series import FEWEST, Series
from devices.measurements.fit.parameters import Estimate

F64 = npt.NDArray[np.float64]

FEWEST_CELLS = 12
"""Series from which on a spread can be known."""
FALSE_ALARM = 1e-3
"""Probability with which a spread is found where there is none."""
DEGREE = 2
"""Of the polynomial in the logarithm of the conductance that the logarithm of the variance is, for all cells alike."""
SAME_STATE = 1e-4
"""Relative spread of the states below which all series are of one state."""
MOST = 1.0
"""Largest spread that a card can have."""


def noise_spread(series: Sequence[Series]) -> Estimate | None:
    """Standard deviation s of the logarithm of the cells' read noise at equal states; None where the data do not show one.

    With the logarithms x, y of the variance of the reads in the first and the second half of N series, and their residuals about a
    polynomial in the logarithm of the conductance of P coefficients, ``4 s**2 = sum(x y) / (N - P)``: the errors of the halves are
    independent and drop out. It is shown when the correlation of x and y is above 0 with a probability of error of `FALSE_ALARM`. The
    interval is that of a correlation (Fisher's z) at the variances found.
    """
    halves = [(one.g[: len(one.g) // 2], one.g[len(one.g) // 2 :]) for one in series if len(one.g) >= 2 * FEWEST]
    moved = [pair for pair in halves if min(part.std() for part in pair) > 0.0]
    if len(moved) < FEWEST_CELLS:
        return None
    g = np.array([0.5 * (one.mean() + other.mean()) for one, other in moved])
    log = np.log([[part.var() for part in pair] for pair in moved])
    rest, free = _about_state(g, log)
    if free < FEWEST_CELLS // 2:
        return None
    x, y = rest.T
    shared, size = float(x @ y), float(np.sqrt((x @ x) * (y @ y)))
    correlation = min(shared / size, 1.0 - 1e-9) if size > 0 else 0.0
    t = correlation * np.sqrt((free - 1) / (1.0 - correlation**2))
    if float(stats.t.sf(t, free - 1)) > FALSE_ALARM:
        return None
    half = 1.959963984540054 / np.sqrt(max(free - 2, 1))
    ends = np.tanh(np.arctanh(correlation) + np.array([-half, half]))
    # The variance of a half has its own error: (free degrees) relative sqrt(2 / free), half of it on s.
    low, high = 0.5 * np.sqrt(np.maximum(ends, 0.0) * size / free)
    value = 0.5 * np.sqrt(shared / free)
    wide = value / np.sqrt(2.0 * free) * 1.959963984540054
    low, high = value - np.hypot(value - low, wide), value + np.hypot(high - value, wide)
    return Estimate("read_noise", value, (high - low) / 3.919927969, max(low, 0.0), high, "")


def _about_state(g: F64, values: F64) -> tuple[F64, int]:
    """(N, 2) values about their polynomial in the logarithm of the conductance, and the degrees of freedom that are left.

    A power law is then a straight line; where cells reach 0 S it is a polynomial in the conductance itself.
    """
    x = np.log(g) if g.min() > 0.0 else g
    x = (x - x.mean()) / x.std() if x.std() > SAME_STATE * np.abs(x).max() else np.zeros(len(g))
    design = np.vander(x, DEGREE + 1) if x.any() else np.ones((len(g), 1))
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    return values - design @ solution, len(g) - int(rank)
