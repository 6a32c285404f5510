"""A conductance given as a polynomial measured at one g_max, on a card with another. Used by several laws; never by kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from devices.window import F64, Values, Window


def evaluate(
    coefficients: Sequence[float], reference_g_max: float, g: Values, window: Window, *, signed: bool = False
) -> F64:
    """Return ``(g_max / reference_g_max) max(0, sum_k c_k (g / g_max)**k)`` in siemens; without the max when `signed`.

    Everything in the law scales with the device: its state is relative to g_max and so is its value.

    Args:
        coefficients: c_0, c_1, ... in siemens, stated for a largest conductance of `reference_g_max` siemens.
        reference_g_max: siemens.
        g: conductances in siemens.
        window: the card's window, for its g_max.
        signed: keep negative values.
    """
    x = np.asarray(g, float) / window.g_max
    value = np.polynomial.polynomial.polyval(x, np.asarray(coefficients, float))
    if not signed:
        value = np.maximum(0.0, value)
    result: F64 = (window.g_max / reference_g_max) * value
    return result
