"""Ageing law: diffusion in the logarithm of time, as filamentary ReRAM shows. No exponent per cell: every write is a new path."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.cells.cell_model import RelaxationModel
from analog_sim.config import Q
from devices.drift.bursts import MOST_SKEW, aged_factor, aged_moments
from devices.drift.law import AgeingTables, DriftLaw
from devices.polynomial import evaluate
from devices.window import F64, Values, Window, tabulate

Coefficients = Annotated[tuple[Annotated[float, Q("conductance", "uS")], ...], Field(min_length=1)]
Numbers = Annotated[tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...], Field(min_length=1)]


class Relaxation(DriftLaw):
    """``g(t) = max(0, g_prog + mean(g_T) s + std(g_T) W(s))``, ``s = log10(1 + t / t_0)``, W a path per write of variance s.

    g_prog is the state as written, with its error; g_T the target that was programmed (after a pulse the state that it left).

    mean, std and initial_std are polynomials ``(g_max / reference_g_max) sum_k c_k (g / g_max)**k``, the last two not below 0:
    stated at one g_max, they are scaled to the card's. tail and skew are ``sum_k c_k (g / g_max)**k``.

    W is Brownian, or in bursts where there is a tail: few cells move far and most stay, anew in every decade (`RelaxationModel`). After
    s decades the change then has the skewness ``3 skew sqrt(tail / s)`` and the excess kurtosis ``3 tail (1 + 4 skew**2) / s``.

    Attributes:
        mean: of the change, siemens per decade of time.
        std: of the change, siemens per square root of a decade, so that the variance grows by std**2 per decade.
        initial: standard deviation in siemens of relaxation that is over before t_0, added to the programming error.
        tail: decades after which the excess kurtosis has fallen to 3 (without skew), not below 0; 0 for normal increments.
        skew: of the change, cut to [-0.99, 0.99]; nothing without a tail.
        reference_g_max: the g_max at which the polynomials were measured, in siemens.
        t_0: seconds after writing from which the change counts.
        returning: share of the cells that return, drawn at every write: in every decade such a cell is on another path of the same law
            (`RelaxationModel`). The distribution at any single time stays what it is.
        state: that the polynomials are functions of: "target", as the source has it, or "written" for g_prog.

    Source: Wan et al., Nature 608, 504 (2022), doi:10.1038/s41586-022-04992-8, Extended Data Fig. 3d (growth of the spread with
    time); the path of independent increments in log time is this model's assumption. Bursts: Barndorff-Nielsen, Finance Stoch. 2, 41
    (1998), doi:10.1007/s007800050032.
    """

    kind: Literal["relaxation"] = "relaxation"
    mean: Coefficients = (0.0,)
    std: Coefficients = (0.0,)
    initial: Coefficients = (0.0,)
    tail: Numbers = (0.0,)
    skew: Numbers = (0.0,)
    reference_g_max: Annotated[float, Q("conductance", "uS", gt=0)]
    t_0: Annotated[float, Q("time", "s", gt=0)] = 1.0
    returning: Annotated[float, Q("fraction", "", ge=0, le=0.99)] = 0.0
    state: Literal["target", "written"] = "target"

    def drift_factor(self, u: Values, t: Values, window: Window) -> F64:
        """``max(0, 1 + mean s / g_prog)`` without a tail; 1 at t = 0."""
        return aged_factor(*self._law(u, t, window))

    def aged_mean(self, u: Values, t: Values, window: Window) -> F64:
        """Mean of what is cut at 0 S."""
        return aged_moments(*self._law(u, t, window))[0]

    def aged_std(self, u: Values, t: Values, window: Window) -> F64:
        """Standard deviation of what is cut at 0 S, in siemens."""
        return aged_moments(*self._law(u, t, window))[1]

    def initial_std(self, u: Values, window: Window) -> F64:
        """`initial` at this card's g_max, in siemens."""
        return evaluate(self.initial, self.reference_g_max, window.conductance(u), window)

    def compile(self, window: Window) -> AgeingTables:
        """Sample the polynomials over the window."""
        mean, std, initial, tail, skew = tabulate(
            window.grid(),
            lambda g: self._mean(g, window),
            lambda g: evaluate(self.std, self.reference_g_max, g, window),
            lambda g: evaluate(self.initial, self.reference_g_max, g, window),
            lambda g: self._tail(g, window),
            lambda g: self._skew(g, window),
        )
        return AgeingTables(None, RelaxationModel(mean, std, self.t_0, initial, tail, skew, self.state, self.returning))

    def _mean(self, g: F64, window: Window) -> F64:
        return evaluate(self.mean, self.reference_g_max, g, window, signed=True)

    def _tail(self, g: F64, window: Window) -> F64:
        return np.maximum(0.0, np.polynomial.polynomial.polyval(g / window.g_max, self.tail))

    def _skew(self, g: F64, window: Window) -> F64:
        return np.clip(np.polynomial.polynomial.polyval(g / window.g_max, self.skew), -MOST_SKEW, MOST_SKEW)

    def _law(self, u: Values, t: Values, window: Window) -> tuple[F64, F64, F64, F64, F64, F64]:
        """g, mean, std, tail, skew and decades."""
        g = window.conductance(u)
        std = evaluate(self.std, self.reference_g_max, g, window)
        s = np.log10(1.0 + np.asarray(t, float) / self.t_0)
        return g, self._mean(g, window), std, self._tail(g, window), self._skew(g, window), s
