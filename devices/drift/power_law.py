"""Ageing law: power-law drift with an exponent of its own for every cell. Nothing happens before the reference time."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.cells.cell_model import DriftModel
from analog_sim.config import Q, StrictModel, at_key
from devices.drift.law import AgeingTables, DriftLaw
from devices.drift.moments import power_moment, reflected_median, reflected_power_moment
from devices.window import F64, FINE_NODES, Values, Window, tabulate

SMALLEST_STATE = 1e-12
"""g / g_max below which the logarithm is no longer followed; `low` and `high` rule there in every published law."""


Coefficient = Annotated[float, Field(ge=-10, le=10)]
"""Of a drift exponent: those of cells are below 1."""


class Exponent(StrictModel):
    """``clip(slope ln(g / g_max) + level, low, high)``; with slope = 0 the same for every state.

    Attributes:
        level: value at g = g_max. slope: change per factor e in conductance. low, high: bounds of the value.
    """

    level: Coefficient
    slope: Coefficient = 0.0
    low: Coefficient = -1.0
    high: Coefficient = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise at_key("low", f"must be <= high (got {self.low} and {self.high})")
        return self

    def at(self, g: Values, window: Window) -> F64:
        """Value for cells at g siemens on a card with this window; follows g / g_max, so it scales with the card."""
        x = np.maximum(np.asarray(g, float) / window.g_max, SMALLEST_STATE)
        return np.clip(self.slope * np.log(x) + self.level, self.low, self.high)


class PowerLawDrift(DriftLaw):
    """``g(t) = g_prog (max(t, t_ref) / t_ref)**(-nu)``, ``nu = clip(mean(g_T) + std(g_T) z, low, high)``, z ~ N(0, 1) per cell.

    g_T is the target that was programmed (after a pulse the state that it left), g_prog the state as written, with its error.
    With ``L = ln(t / t_ref)`` the moments over cells are those of exp(-nu L) of a clipped normal nu, in closed form.
    The tables are off where a bound sets in, by up to 4e-4 in nu and 6e-4 in its spread (card pcm); elsewhere by 1e-5 above u = 0.05.

    Attributes:
        mean: nu of the average cell against its state. std: spread of nu from cell to cell against state, not
            below 0.
        low, high: bounds of a cell's nu.
        below: what becomes of a draw below `low`: "clip" sets it to low, "reflect" mirrors it there (for low = 0: nu = |mean + std z|).
        state: that mean and std are functions of: "target", as the source has it, or "written".
        t_ref: seconds after writing at which g_prog was measured.

    Source: Joshi et al., Nat. Commun. 11, 2473 (2020), doi:10.1038/s41467-020-16108-9; state dependence: Nandakumar et al.,
    ICECS 2019, doi:10.1109/ICECS46596.2019.8964852.
    """

    kind: Literal["power_law"] = "power_law"
    mean: Exponent
    std: Exponent = Exponent(level=0.0)
    low: Annotated[float, Field(ge=-1, le=1)] = -1.0
    high: Annotated[float, Field(ge=-1, le=1)] = 1.0
    below: Literal["clip", "reflect"] = "clip"
    state: Literal["target", "written"] = "target"
    t_ref: Annotated[float, Q("time", "s", gt=0)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.low > self.high:
            raise at_key("low", f"must be <= high (got {self.low} and {self.high})")
        if self.std.high < 0.0 or (self.std.slope == 0.0 and self.std.level < 0.0):
            raise at_key("std", f"a spread cannot be negative (got level {self.std.level}, high {self.std.high})")
        return self

    def exponent(self, u: Values, window: Window) -> tuple[F64, F64]:
        """Mean and standard deviation of nu before clipping to [low, high]."""
        g = window.conductance(u)
        return self.mean.at(g, window), np.maximum(0.0, self.std.at(g, window))

    def drift_factor(self, u: Values, t: Values, window: Window) -> F64:
        """``(max(t, t_ref) / t_ref)**(-median(nu))``: the median cell, whose nu is ``clip(mean, low, high)`` unless draws are mirrored."""
        nu, std = self.exponent(u, window)
        if self.below == "reflect":
            nu = reflected_median(nu, std, self.low)
        return np.exp(-np.clip(nu, self.low, self.high) * self._log_age(t))

    def aged_mean(self, u: Values, t: Values, window: Window) -> F64:
        """``g_prog E[exp(-nu L)]``."""
        return window.conductance(u) * self._moment(u, self._log_age(t), window)

    def aged_std(self, u: Values, t: Values, window: Window) -> F64:
        """``g_prog sqrt(E[exp(-2 nu L)] - E[exp(-nu L)]**2)``."""
        age = self._log_age(t)
        variance = self._moment(u, 2.0 * age, window) - self._moment(u, age, window) ** 2
        return window.conductance(u) * np.sqrt(np.maximum(variance, 0.0))

    def initial_std(self, u: Values, window: Window) -> F64:
        """0 S."""
        return np.zeros(np.shape(u))

    def compile(self, window: Window) -> AgeingTables:
        """Sample mean and spread of nu over the window."""
        nu_mean, nu_std = tabulate(
            np.linspace(0.0, 1.0, FINE_NODES),
            lambda u: self.exponent(u, window)[0],
            lambda u: self.exponent(u, window)[1],
        )
        drift = DriftModel(
            nu_mean=nu_mean,
            nu_std=nu_std,
            t_ref=self.t_ref,
            nu_low=self.low,
            nu_high=self.high,
            state=self.state,
            reflect=self.below == "reflect",
        )
        return AgeingTables(drift, None)

    def _log_age(self, t: Values) -> F64:
        return np.log(np.maximum(np.asarray(t, float), self.t_ref) / self.t_ref)

    def _moment(self, u: Values, age: F64, window: Window) -> F64:
        """E[exp(-nu age)]."""
        mean, std = self.exponent(u, window)
        moment = power_moment if self.below == "clip" else reflected_power_moment
        return moment(mean, std, self.low, self.high, age)
