"""Ageing law: diffusion in the logarithm of time, as filamentary ReRAM shows. No exponent per cell: every write is a new path."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.cell import RelaxationModel
from analog_sim.config import Q
from devices.drift.law import AgeingTables, DriftLaw
from devices.drift.moments import cut_normal
from devices.polynomial import evaluate
from devices.window import F64, Values, Window, tabulate

Coefficients = Annotated[tuple[Annotated[float, Q("conductance", "uS")], ...], Field(min_length=1)]


class Relaxation(DriftLaw):
    """``g(t) = max(0, g_prog + mean(g) s + std(g) W(s))``, ``s = log10(1 + t / t_0)``, W a Brownian path per write.

    mean, std and initial_std are polynomials ``(g_max / reference_g_max) sum_k c_k (g / g_max)**k``, the last two not below 0:
    stated at one g_max, they are scaled to the card's.

    Attributes:
        mean: siemens per decade. std: siemens per square root of a decade, so that the variance grows by std**2 per decade.
        initial: standard deviation in siemens of relaxation that is over before t_0, added to the programming error.
        reference_g_max: siemens. t_0: seconds.

    Source: Wan et al., Nature 608, 504 (2022), doi:10.1038/s41586-022-04992-8, Extended Data Fig. 3d (growth of the spread with
    time); the Brownian path in log time is this model's assumption.
    """

    kind: Literal["relaxation"] = "relaxation"
    mean: Coefficients = (0.0,)
    std: Coefficients = (0.0,)
    initial: Coefficients = (0.0,)
    reference_g_max: Annotated[float, Q("conductance", "uS", gt=0)]
    t_0: Annotated[float, Q("time", "s", gt=0)] = 1.0

    def drift_factor(self, u: Values, t: Values, window: Window) -> F64:
        """``max(0, 1 + mean s / g_prog)``; 1 at t = 0."""
        g = window.conductance(u)
        change = self._mean(g, window) * self._decades(t)
        return np.maximum(0.0, 1.0 + np.divide(change, g, out=np.zeros(np.shape(change)), where=g > 0.0))

    def aged_mean(self, u: Values, t: Values, window: Window) -> F64:
        """Mean of a normal cut at 0 S."""
        return cut_normal(*self._normal(u, t, window))[0]

    def aged_std(self, u: Values, t: Values, window: Window) -> F64:
        """Standard deviation of a normal cut at 0, in siemens."""
        return cut_normal(*self._normal(u, t, window))[1]

    def initial_std(self, u: Values, window: Window) -> F64:
        """`initial` at this card's g_max, in siemens."""
        return evaluate(self.initial, self.reference_g_max, window.conductance(u), window)

    def compile(self, window: Window) -> AgeingTables:
        """Sample the three polynomials over the window."""
        mean, std, initial = tabulate(
            window.grid(),
            lambda g: self._mean(g, window),
            lambda g: evaluate(self.std, self.reference_g_max, g, window),
            lambda g: evaluate(self.initial, self.reference_g_max, g, window),
        )
        return AgeingTables(None, RelaxationModel(mean=mean, std=std, t_0=self.t_0, initial_std=initial))

    def _mean(self, g: F64, window: Window) -> F64:
        return evaluate(self.mean, self.reference_g_max, g, window, signed=True)

    def _decades(self, t: Values) -> F64:
        return np.log10(1.0 + np.asarray(t, float) / self.t_0)

    def _normal(self, u: Values, t: Values, window: Window) -> tuple[F64, F64]:
        """Mean and standard deviation in siemens before the cut at 0."""
        g, s = window.conductance(u), self._decades(t)
        std = evaluate(self.std, self.reference_g_max, g, window) * np.sqrt(s)
        return g + self._mean(g, window) * s, np.maximum(std, 1e-30)
