"""Programming error law: a constant part and a part proportional to the target. Never skewed."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.cells.cell_model import VerifyModel
from analog_sim.config import Q
from devices.programming.law import ProgrammingLaw
from devices.window import F64, FINE_NODES, Values, Window


class GaussianProgramming(ProgrammingLaw):
    """``program_std(g)**2 = std**2 + (fraction (g_max - g_min))**2 + (relative g)**2``.

    Attributes:
        std: constant part in siemens; stays when g_max is changed. fraction: constant part relative to the window.
        relative: part proportional to the target.
    """

    kind: Literal["gaussian"] = "gaussian"
    std: Annotated[float, Q("conductance", "uS", ge=0)] = 0.0
    fraction: Annotated[float, Q("fraction", "", ge=0)] = 0.0
    relative: Annotated[float, Field(ge=0, le=10)] = 0.0

    def program_std(self, g: Values, window: Window, read_std: Values = 0.0) -> F64:
        """Quadrature of the three parts in siemens."""
        constant = np.hypot(self.std, self.fraction * window.width)
        return np.hypot(constant, self.relative * np.asarray(g, float))

    def verify(self, window: Window) -> VerifyModel | None:
        """None."""
        return None

    @property
    def nodes(self) -> int:
        """`FINE_NODES`; two are kept when all is linear."""
        return FINE_NODES
