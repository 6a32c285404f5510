"""Read noise law: the same standard deviation at every state and age."""

from typing import Annotated, Literal

import numpy as np

from analog_sim.config import Q
from devices.read_noise.law import ReadNoiseLaw
from devices.window import F64, Values, Window


class ConstantReadNoise(ReadNoiseLaw):
    """``read_std**2 = std**2 + (fraction (g_max - g_min))**2``.

    Attributes:
        std: siemens; stays when g_max is changed. fraction: relative to the window.
    """

    kind: Literal["constant"] = "constant"
    std: Annotated[float, Q("conductance", "uS", ge=0)] = 0.0
    fraction: Annotated[float, Q("fraction", "", ge=0)] = 0.0

    def white(self, g: Values, window: Window) -> F64:
        """Quadrature of the two parts in siemens."""
        return np.full(np.shape(g), np.hypot(self.std, self.fraction * window.width))
