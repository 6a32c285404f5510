"""No ageing law: the card has no retention model, a state stays as written."""

from typing import Literal

import numpy as np

from devices.drift.law import AgeingTables, DriftLaw
from devices.window import F64, Values, Window


class NoDrift(DriftLaw):
    """``g(t) = g_prog``."""

    kind: Literal["none"] = "none"

    def drift_factor(self, u: Values, t: Values, window: Window) -> F64:
        """1."""
        return np.ones(np.broadcast_shapes(np.shape(u), np.shape(t)))

    def aged_mean(self, u: Values, t: Values, window: Window) -> F64:
        """The conductance as written."""
        return window.conductance(u) * self.drift_factor(u, t, window)

    def aged_std(self, u: Values, t: Values, window: Window) -> F64:
        """0 S."""
        return 0.0 * self.drift_factor(u, t, window)

    def initial_std(self, u: Values, window: Window) -> F64:
        """0 S."""
        return np.zeros(np.shape(u))

    def compile(self, window: Window) -> AgeingTables:
        """Nothing ages."""
        return AgeingTables(None, None)
