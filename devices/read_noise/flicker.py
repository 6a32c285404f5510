"""Read noise law: 1/f noise integrated from the read time to the age of the state, so it grows while the cell waits."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.config import Q
from devices.read_noise.law import ReadNoiseLaw
from devices.window import F64, Values, Window


class FlickerReadNoise(ReadNoiseLaw):
    """``read_std(t) = g(t) Q(g_T) sqrt(log((t + t_read) / (2 t_read)))``, ``Q(g) = min(coefficient / (g / g_max)**exponent, cap)``.

    Plus a white part `relative` * g(t) in quadrature. g(t) is the conductance now, g_T the target that was programmed (after a pulse the
    state that it left), so that a cell that drifts keeps its relative noise. Q depends on g / g_max only, so the law scales with the
    card's g_max.

    The table is off by up to 1 % of the largest g Q where the cap ends (u of a few thousandths), by 2e-4 of g Q above u = 0.05.

    Attributes:
        coefficient: Q at g = g_max. exponent: its fall with the state, in [0, 1). cap: largest Q, reached near g = 0.
        t_read: duration of one read, seconds. relative: white noise over conductance.
        state: that Q is a function of: "target", as the source has it, or "now" for Q(g(t)).

    Source: Nandakumar et al., ICECS 2019, doi:10.1109/ICECS46596.2019.8964852; Joshi et al., Nat. Commun. 11, 2473 (2020),
    doi:10.1038/s41467-020-16108-9.
    """

    kind: Literal["flicker"] = "flicker"
    coefficient: Annotated[float, Field(ge=0, le=100)]
    exponent: Annotated[float, Field(ge=0, lt=1)] = 0.0
    cap: Annotated[float, Field(gt=0, le=10)] = 1.0
    t_read: Annotated[float, Q("time", "s", gt=0)] = 250e-9
    relative: Annotated[float, Field(ge=0, le=10)] = 0.0
    state: Literal["target", "now"] = "target"

    @property
    def flicker_state(self) -> Literal["target", "now"]:
        """`state`; with an exponent of 0 there is nothing to remember."""
        return self.state if self.exponent > 0.0 else "now"

    def white(self, g: Values, window: Window) -> F64:
        """``relative g`` in siemens."""
        return self.relative * np.asarray(g, float)

    def flicker(self, g: Values, window: Window) -> F64:
        """``g Q(g)`` in siemens; exactly 0 at g = 0."""
        g = np.asarray(g, float)
        # (g / g_max)**exponent <= coefficient / cap is where the cap rules; written so that nothing divides by 0.
        power = (g / window.g_max) ** self.exponent
        return g * self.coefficient / np.maximum(power, max(self.coefficient / self.cap, 1e-300))

    @property
    def read_time(self) -> float:
        """``t_read``."""
        return self.t_read
