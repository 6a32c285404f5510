"""Pulse law: step that dies exponentially towards the bound ahead. Never negative."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from devices.pulse.law import ParametricPulse
from devices.window import F64


class ExpStep(ParametricPulse):
    """Exponential step: ``dg = +-s_dir max(0, 1 - A_dir exp(+-gamma_dir z))``, ``z = slope (2 u - 1) + offset``, + up, - down.

    s is the step far from the bound, where the exponential has vanished. A < 0 gives a step that grows instead. The table is off by
    ``max|f''| / (8 * 256**2)``, in the one cell where the step reaches 0 by up to a quarter of a step of the table.

    Attributes:
        A_up, A_down: weight of the exponential. gamma_up, gamma_down: rate of the exponential, > 0.
        slope, offset: map of the state u to the argument z.

    Source: the "exponential step" response by which Gong et al., Nat. Commun. 9, 2102 (2018), doi:10.1038/s41467-018-04485-1,
    is commonly fitted.
    """

    kind: Literal["exp_step"] = "exp_step"
    A_up: Annotated[float, Field(ge=-1e6, le=1e6)]
    A_down: Annotated[float, Field(ge=-1e6, le=1e6)]
    gamma_up: Annotated[float, Field(gt=0, le=100)]
    gamma_down: Annotated[float, Field(gt=0, le=100)]
    slope: Annotated[float, Field(ge=-100, le=100)] = 1.0
    offset: Annotated[float, Field(ge=-100, le=100)] = 0.0

    def shape(self, u: F64, up: bool) -> F64:
        """``max(0, 1 - A exp(+-gamma z))``."""
        z = self.slope * (2.0 * u - 1.0) + self.offset
        if up:
            return np.maximum(0.0, 1.0 - self.A_up * np.exp(self.gamma_up * z))
        return np.maximum(0.0, 1.0 - self.A_down * np.exp(-self.gamma_down * z))
