"""Pulse law: step constant in the state, or falling linearly with it. Never saturates beyond the window: the emulator clips."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from devices.pulse.law import ParametricPulse
from devices.window import F64


class LinearStep(ParametricPulse):
    """Linear step: ``dg = s_up (1 - gamma_up u)`` up, ``dg = -s_down (1 - gamma_down (1 - u))`` down.

    gamma = 0 is a constant step, gamma = 1 soft bounds; s is the step at the end where the direction starts.

    Attributes:
        gamma_up, gamma_down: relative loss of step over the window, in [0, 1].

    Source: Fusi and Abbott, Nat. Neurosci. 10, 485 (2007), doi:10.1038/nn1859 (hard and soft bounds); Gokmen and Vlasov,
    Front. Neurosci. 10, 333 (2016), doi:10.3389/fnins.2016.00333 (constant step on cross-point devices).
    """

    kind: Literal["linear_step"] = "linear_step"
    gamma_up: Annotated[float, Field(ge=0, le=1)] = 0.0
    gamma_down: Annotated[float, Field(ge=0, le=1)] = 0.0

    def shape(self, u: F64, up: bool) -> F64:
        """``1 - gamma x``, x the way already gone in that direction."""
        return 1.0 - self.gamma_up * u if up else 1.0 - self.gamma_down * (np.ones_like(u) - u)
