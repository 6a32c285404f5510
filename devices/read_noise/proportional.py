"""Read noise law: proportional to the conductance, on top of a floor. The same at every age."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.config import Q
from devices.read_noise.law import MOST_RELATIVE, Origin, ReadNoiseLaw
from devices.window import F64, Values, Window


class ProportionalReadNoise(ReadNoiseLaw):
    """``read_std(g)**2 = (relative g)**2 + floor**2``; of a cell with a floor at most g / 3.

    Attributes:
        relative: standard deviation over conductance. floor: least standard deviation, in siemens.
        of: "cell" or "reading", see `devices.read_noise.law.Origin`: whether the floor holds for a cell at 0 S.
    """

    kind: Literal["proportional"] = "proportional"
    relative: Annotated[float, Field(ge=0, le=10)]
    floor: Annotated[float, Q("conductance", "uS", ge=0)] = 0.0
    of: Origin = "cell"

    @property
    def most_relative(self) -> float:
        """A third, of a cell with a floor; what is in proportion to the conductance vanishes with it by itself."""
        return max(MOST_RELATIVE, self.relative) if self.of == "cell" and self.floor else float("inf")

    def white(self, g: Values, window: Window) -> F64:
        """Quadrature of the two parts in siemens."""
        return np.hypot(self.relative * np.asarray(g, float), self.floor)
