"""Programming error law: none. Targets are met exactly."""

from typing import Literal

import numpy as np

from analog_sim.cells.cell_model import VerifyModel
from devices.programming.law import ProgrammingLaw
from devices.window import F64, FINE_NODES, Values, Window


class NoProgrammingError(ProgrammingLaw):
    """``program_std = 0``."""

    kind: Literal["none"] = "none"

    def program_std(self, g: Values, window: Window, read_std: Values = 0.0) -> F64:
        """0 S."""
        return np.zeros(np.shape(g))

    def verify(self, window: Window) -> VerifyModel | None:
        """None."""
        return None

    @property
    def nodes(self) -> int:
        """`FINE_NODES`; two are kept when all is linear."""
        return FINE_NODES
