"""Moments over cells in closed form: of a normal conductance cut at 0 S, and of drift with a clipped normal exponent. Never a draw."""

import numpy as np

from devices.normal import below, density
from devices.window import F64, Values


def cut_normal(mean: Values, std: Values) -> tuple[F64, F64]:
    """Mean and standard deviation of ``max(0, m + s z)``, z ~ N(0, 1).

    ``E = m Phi(m / s) + s phi(m / s)``, ``E2 = (m**2 + s**2) Phi(m / s) + m s phi(m / s)``; any unit, s > 0.
    """
    m, s = np.asarray(mean, float), np.asarray(std, float)
    ratio = m / s
    first = m * below(ratio) + s * density(ratio)
    second = (m**2 + s**2) * below(ratio) + m * s * density(ratio)
    return first, np.sqrt(np.maximum(second - first**2, 0.0))


def power_moment(mean: Values, std: Values, low: float, high: float, log_age: Values) -> F64:
    """``E[exp(-nu L)]`` for nu a normal clipped to [low, high]: two atoms and the part between them; no unit, L = log_age >= 0."""
    centre, spread, age = np.asarray(mean, float), np.maximum(np.asarray(std, float), 1e-12), np.asarray(log_age, float)
    left, right = (low - centre) / spread, (high - centre) / spread
    atoms = below(left) * np.exp(-low * age) + below(-right) * np.exp(-high * age)
    shift = spread * age
    between = np.exp(-centre * age + 0.5 * shift**2) * (below(right + shift) - below(left + shift))
    return np.asarray(atoms + between)


def reflected_power_moment(mean: Values, std: Values, low: float, high: float, log_age: Values) -> F64:
    """``E[exp(-nu L)]`` for ``nu = min(low + |x - low|, high)``, x normal: below low it is a normal of mean 2 low - mean."""
    centre, spread = np.asarray(mean, float), np.maximum(np.asarray(std, float), 1e-12)
    mirrored = 2.0 * low - centre
    # Each of the two is cut at low by power_moment, which puts an atom there that does not exist.
    atoms = (below((low - centre) / spread) + below((low - mirrored) / spread)) * np.exp(
        -low * np.asarray(log_age, float)
    )
    both = power_moment(centre, spread, low, high, log_age) + power_moment(mirrored, spread, low, high, log_age)
    return np.asarray(both - atoms)


def reflected_median(mean: Values, std: Values, low: float) -> F64:
    """Median of ``low + |x - low|``, x normal: by halving, to 2**-50 of its bracket."""
    centre, spread = np.broadcast_arrays(np.asarray(mean, float) - low, np.maximum(np.asarray(std, float), 1e-12))
    least, most = np.zeros(centre.shape), np.abs(centre) + spread
    for _ in range(50):
        middle = 0.5 * (least + most)
        under = below((middle - centre) / spread) - below((-middle - centre) / spread) < 0.5
        least, most = np.where(under, middle, least), np.where(under, most, middle)
    return low + 0.5 * (least + most)
