"""Read noise law: the same standard deviation at every state and age, as far as a conductance can bear it. Never an amplifier's noise."""

from typing import Annotated, Literal

import numpy as np

from analog_sim.config import Q
from devices.read_noise.law import MOST_RELATIVE, Origin, ReadNoiseLaw
from devices.window import F64, Values, Window


class ConstantReadNoise(ReadNoiseLaw):
    """``read_std**2 = std**2 + (fraction (g_max - g_min))**2``, of a cell at most g / 3.

    Attributes:
        std: siemens; stays when g_max is changed. fraction: the same relative to the window, instead of std.
        of: "cell" or "reading", see `devices.read_noise.law.Origin`: what fluctuates, and so whether a cell at 0 S is noisy.
    """

    kind: Literal["constant"] = "constant"
    std: Annotated[float, Q("conductance", "uS", ge=0)] = 0.0
    fraction: Annotated[float, Q("fraction", "", ge=0)] = 0.0
    of: Origin = "cell"

    @property
    def most_relative(self) -> float:
        """A third, of a cell."""
        return MOST_RELATIVE if self.of == "cell" else float("inf")

    def white(self, g: Values, window: Window) -> F64:
        """Quadrature of the two parts in siemens."""
        return np.full(np.shape(g), np.hypot(self.std, self.fraction * window.width))
