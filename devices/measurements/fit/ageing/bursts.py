"""Likelihood of relaxation in bursts: changes of many cells at several times against the law's own density. Never a cell's path.

The density of ``mean s + std W(s) + initial z`` is the Fourier transform of its characteristic function, which has a closed form
(`devices/drift/bursts.py`) where the density has none. Changes are counted on the points of the transform, so that one evaluation costs
as many logarithms as there are points, however many cells there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

F64 = npt.NDArray[np.float64]

NAMES = ("mean", "std", "initial_std", "tail", "skew")
FEWEST_POINTS, MOST_POINTS = 1024, 8192
POINTS_PER_SPREAD = 16.0
"""Points per robust standard deviation of the changes that are wanted: the density is smooth at that scale."""
ROOM = 1.5
"""Half of the points' range over the largest change; what the law has beyond would wrap around."""
LEAST, MOST = np.array([-9.0, -9.0, np.log(1e-4), -2.6]), np.array([4.0, 3.0, np.log(1e3), 2.6])
"""Bounds of log(std / unit), log(initial / unit), log(tail), artanh(skew)."""


@dataclass(frozen=True)
class ChangeCounts:
    """Changes of one group of cells at one time, counted on points at equal distances.

    Attributes:
        step: siemens from point to point; the middle one, number N / 2, is no change. seen: (N,) how many changes lie at a point, each
            shared between its two neighbours. gone: (N,) how many cells were read at 0 S, at the change that took them there: these
            may have been cut. unit: siemens, root mean square.
    """

    step: float
    seen: F64
    gone: F64
    unit: float


def counted(change: F64, initial: F64) -> ChangeCounts:
    """Count changes since the first read, (n,) siemens, of cells whose first read was `initial`."""
    unit = max(float(np.sqrt(np.mean(change**2))), 1e-12)
    half = ROOM * max(float(np.abs(change).max()), 6.0 * unit)
    spread = max(float(np.median(np.abs(change - np.median(change)))) / 0.6745, 1e-2 * unit)
    wanted = np.log2(2.0 * half * POINTS_PER_SPREAD / spread)
    points = int(np.clip(2 ** np.ceil(wanted), FEWEST_POINTS, MOST_POINTS))
    step = 2.0 * half / points
    cut = change <= -initial
    place = change / step + points // 2
    below = np.floor(place).astype(np.int64)
    share = place - below
    seen = np.zeros(points)
    np.add.at(seen, below[~cut], 1.0 - share[~cut])
    np.add.at(seen, below[~cut] + 1, share[~cut])
    gone = np.bincount(np.rint(place[cut]).astype(np.int64), minlength=points).astype(np.float64)
    return ChangeCounts(step, seen, gone, unit)


def loglik(theta: F64, s: F64, counts: Sequence[ChangeCounts]) -> tuple[float, F64]:
    """Log-likelihood of a group's changes after s decades, in nats of a density per siemens, and its gradient by theta.

    Args:
        theta: (5,) as `NAMES`: siemens per (square root of a) decade, siemens, decades, no unit. s: (T,). counts: T of them.
    """
    total, gradient = 0.0, np.zeros(5)
    for decades, own in zip(s, counts, strict=True):
        points = len(own.seen)
        w = np.arange(points // 2 + 1, dtype=np.float64) * (2.0 * np.pi / (points * own.step))
        log_cf, slopes = _characteristic(theta, float(decades), w)
        cf = np.exp(log_cf)
        density = np.fft.fftshift(np.fft.irfft(np.conj(cf), points)) / own.step
        floor = 1e-9 / (points * own.step)
        known = density > floor
        density = np.maximum(density, floor)
        total += float(own.seen @ np.log(density))
        weight = np.where(known, own.seen / density, 0.0)
        if own.gone.any():
            under = np.maximum(np.cumsum(density) * own.step, 1e-12)
            total += float(own.gone @ np.log(under))
            weight = weight + own.step * np.cumsum((own.gone / under)[::-1])[::-1]
        # The same transform backwards: the gradient by all parameters costs one more.
        back = np.fft.rfft(np.fft.ifftshift(weight)) / (points * own.step)
        back[1:-1] *= 2.0
        gradient += (back * cf * slopes).real.sum(axis=1)
    return total, gradient


def _characteristic(theta: F64, s: float, w: F64) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128]]:
    """Logarithm of the characteristic function at w, (M,), and its derivatives by theta, (5, M).

    ``i w mean s + s psi(std w) - (initial w)**2 / 2`` with ``psi(x) = -x**2 / (a + sqrt(a**2 + tail x**2))``,
    ``a = 1 - i skew sqrt(tail) x``, w in 1/S.
    """
    mean, std, initial, tail, skew = theta
    root, x = np.sqrt(tail), std * w
    a = 1.0 - 1j * skew * root * x
    radical = np.sqrt(a * a + tail * x * x)
    both = a + radical
    psi = -x * x / both
    by_a = x * x / both**2 * (1.0 + a / radical)  # what a change of a does, its own and that of the radical
    by_root = by_a * (-1j * skew * x) + x**4 * root / (radical * both**2)
    by_x = -2.0 * x / both + by_a * (-1j * skew * root) + x**3 * tail / (radical * both**2)
    slopes = np.stack(
        (
            1j * w * s,
            s * by_x * w,
            -initial * w * w + 0j,
            s * by_root / (2.0 * root),
            s * by_a * (-1j * root * x),
        )
    )
    return 1j * w * mean * s + s * psi - 0.5 * (initial * w) ** 2, slopes


def solve(s: F64, counts: Sequence[ChangeCounts], near: F64, tolerance: float) -> tuple[F64, float]:
    """Most likely parameters of a group, (5,) as `NAMES`, and their log-likelihood.

    Args:
        s, counts: as for `loglik`. near: to begin from. tolerance: relative, of the log-likelihood, that ends the search.
    """
    unit = max(own.unit for own in counts)
    total = sum(float(own.seen.sum() + own.gone.sum()) for own in counts)

    def outward(y: F64) -> F64:
        std, initial, tail = np.exp(y[1:4])
        return np.array([unit * y[0], unit * std, unit * initial, tail, np.tanh(y[4])])

    def cost(y: F64) -> tuple[float, F64]:
        theta = outward(y)
        value, gradient = loglik(theta, s, counts)
        slope = np.array([unit, *theta[1:4], 1.0 - theta[4] ** 2])
        return -value / total, -gradient * slope / total

    begin = np.array([near[0] / unit, *np.log(near[1:3] / unit), np.log(near[3]), np.arctanh(near[4])])
    begin[1:] = np.clip(begin[1:], LEAST, MOST)
    limits = [(None, None), *zip(LEAST, MOST, strict=True)]
    best = optimize.minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=limits, options={"ftol": tolerance})
    return outward(best.x), -float(best.fun) * total
