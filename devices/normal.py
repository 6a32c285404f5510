"""Density and distribution function of the standard normal, without the half second that importing scipy.stats takes."""

from __future__ import annotations

import math

import numpy as np

from devices.window import F64, Values


def density(z: Values) -> F64:
    """phi(z) = exp(-z**2 / 2) / sqrt(2 pi)."""
    return np.exp(-0.5 * np.square(np.asarray(z, float))) / math.sqrt(2.0 * math.pi)


def below(z: Values) -> F64:
    """Phi(z), the probability of a value below z."""
    from scipy.special import ndtr  # a tenth of a second, which most cards need not wait for

    return np.asarray(ndtr(z))
