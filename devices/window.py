"""The nominal conductance window of a card, and the tables sampled over it. Never draws a random number, never reads a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Values = float | F64
"""What every claim accepts: one number or an array of any shape; it returns an array of that shape."""

FINE_NODES = 257
"""Nodes of the table of a curved law; a law f with bounded curvature is off by at most max|f''| / (8 * 256**2) between them."""

LARGEST_S, LEAST_S = 1.0, 1e-15
"""Siemens within which the upper end of a window lies: what is outside is a mistaken unit."""

NARROWEST = 1e-4
"""Least width of a window in units of g_max: float32 still has a thousand states in it."""

STRAIGHT = 1e-6
"""A table this close to a straight line, relative to its largest value, is kept as its two ends: a linear law is exact."""


@dataclass(frozen=True)
class Window:
    """Nominal conductance window: ``u = (g - g_min) / (g_max - g_min)``.

    Attributes:
        g_min, g_max: siemens, 0 <= g_min < g_max.
    """

    g_min: float
    g_max: float

    @property
    def width(self) -> float:
        """``g_max - g_min`` in siemens."""
        return self.g_max - self.g_min

    @property
    def misfit(self) -> str | None:
        """Why no card can have this window; None for one that a card can have."""
        got = f"(got {self.g_min:g} S and {self.g_max:g} S)"
        if self.width < NARROWEST * self.g_max:
            return f"must leave a window of at least {NARROWEST:g} of g_max, which 32-bit numbers resolve {got}"
        if not LEAST_S <= self.g_max <= LARGEST_S:
            return f"must end between {LEAST_S:g} and {LARGEST_S:g} S {got}"
        return None

    def state(self, g: Values) -> F64:
        """Normalised state u of a conductance g in siemens, not clipped."""
        return (np.asarray(g, float) - self.g_min) / self.width

    def conductance(self, u: Values) -> F64:
        """Conductance in siemens of a state u."""
        return self.g_min + np.asarray(u, float) * self.width

    def grid(self, nodes: int = FINE_NODES) -> F64:
        """Conductances in siemens of the uniform grid of `nodes` states, ends included."""
        return self.conductance(np.linspace(0.0, 1.0, nodes))


def tabulate(points: F64, *laws: Callable[[F64], F64]) -> list[F32]:
    """Sample laws at the nodes of one grid: a (1, K) float32 table for each, as `CellModel` wants them.

    K is the number of points, or 2 when every law is a straight line.

    Args:
        points: (n,) at equal distances, what the laws are functions of.
        laws: functions of an array of points.

    Raises ValueError when a law is not finite somewhere, with the first such point.
    """
    sampled = [np.broadcast_to(np.asarray(law(points), float), points.shape) for law in laws]
    for values in sampled:
        bad = ~(np.abs(values) <= np.finfo(np.float32).max)  # NaN, infinite, or what float32 makes infinite
        if bad.any():
            raise ValueError(f"a table is not finite at {points[bad][0]:g} (got {values[bad][0]:.3g})")
    if all(_straight(values) for values in sampled):
        sampled = [values[[0, -1]] for values in sampled]
    return [values[None, :].astype(np.float32) for values in sampled]


def _straight(values: F64) -> bool:
    line = np.linspace(values[0], values[-1], values.size)
    return bool(np.abs(values - line).max() <= STRAIGHT * np.abs(values).max())
