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
