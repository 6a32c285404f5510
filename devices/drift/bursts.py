"""Relaxation in closed form, its path normal or in bursts: moments and median of the conductance cut at 0 S. Never a draw.

The change after s decades is ``mean s + std W(s)``, ``W(s) = skew (T - s) / sqrt(tail) + sqrt(1 - skew**2) B(T)``, B Brownian and T
inverse Gaussian of mean s and variance tail s: a normal inverse Gaussian law of mean 0, variance s, skewness ``3 skew sqrt(tail / s)`` and
excess kurtosis ``3 tail (1 + 4 skew**2) / s``. Given T it is normal, so that everything is a mean over T. With tail 0, W is Brownian.

Source: Barndorff-Nielsen, Finance Stoch. 2, 41 (1998), doi:10.1007/s007800050032.
"""

import numpy as np

from devices.drift.moments import cut_normal
from devices.normal import below
from devices.window import F64, Values

NODES = 160
"""Points of the mean over T. The integrand is smooth in log T and falls doubly exponentially, so that equal steps are exact to 1e-9."""
REACH = 45.0
"""Exponent of the density of T at the last point."""
HALVINGS = 45
"""Of the interval that holds the median."""
LEAST_TAIL, LEAST_DECADES = 1e-9, 1e-12
"""Below these the path is normal, and no time has passed."""
MOST_SKEW = 0.99
"""Limit of the skew on a card: at 1 all of the path would be the clock's."""


def aged_moments(g: Values, mean: Values, std: Values, tail: Values, skew: Values, s: Values) -> tuple[F64, F64]:
    """Mean and standard deviation of ``max(0, g + mean s + std W(s))``; g in siemens, mean and std per decade as on the card."""
    if not np.any(tail):
        return cut_normal(g + np.multiply(mean, s), np.maximum(np.multiply(std, np.sqrt(s)), 1e-30))
    shift, spread, weight = _given_clock(g, mean, std, tail, skew, s)
    first, own = cut_normal(shift, spread)
    average = (weight * first).sum(axis=-1)
    variance = (weight * (own**2 + (first - average[..., None]) ** 2)).sum(axis=-1)
    return average, np.sqrt(variance)


def aged_median(g: Values, mean: Values, std: Values, tail: Values, skew: Values, s: Values) -> F64:
    """Median of the same, in siemens."""
    middle, reach = np.asarray(g + np.multiply(mean, s), float), np.asarray(np.multiply(std, np.sqrt(s)), float)
    if not np.any(tail):
        return np.maximum(0.0, middle)
    shift, spread, weight = _given_clock(g, mean, std, tail, skew, s)
    # No median is farther from its mean than a standard deviation.
    low, high = np.broadcast_arrays(middle - reach, middle + reach)
    for _ in range(HALVINGS):
        x = 0.5 * (low + high)
        under = (weight * below((x[..., None] - shift) / spread)).sum(axis=-1) < 0.5
        low, high = np.where(under, x, low), np.where(under, high, x)
    return np.maximum(0.0, 0.5 * (low + high))


def aged_factor(g: Values, mean: Values, std: Values, tail: Values, skew: Values, s: Values) -> F64:
    """The median over g; 1 where g is 0 S."""
    median = aged_median(g, mean, std, tail, skew, s)
    g = np.broadcast_to(g, np.shape(median))
    return np.divide(median, g, out=np.ones(g.shape), where=g > 0.0)


def _given_clock(g: Values, mean: Values, std: Values, tail: Values, skew: Values, s: Values) -> tuple[F64, F64, F64]:
    """Mean and standard deviation in siemens at NODES readings of the clock (last axis), and the weights of these."""
    g, mean, std, tail, skew, s = (np.asarray(x, float)[..., None] for x in (g, mean, std, tail, skew, s))
    tail, s = np.maximum(tail, LEAST_TAIL), np.maximum(s, LEAST_DECADES)
    # T = s e**x has a density in x that is proportional to exp(-x / 2 - 2 (s / tail) sinh(x / 2)**2).
    x = np.linspace(-1.0, 1.0, NODES) * 2.0 * np.arcsinh(np.sqrt(0.5 * REACH * tail / s))
    weight = np.exp(-0.5 * x - 2.0 * (s / tail) * np.sinh(0.5 * x) ** 2)
    weight /= weight.sum(axis=-1, keepdims=True)
    shift = g + mean * s + std * skew * s * np.expm1(x) / np.sqrt(tail)
    return shift, np.maximum(std * np.sqrt((1.0 - skew**2) * s * np.exp(x)), 1e-30), weight
