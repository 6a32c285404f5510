"""Read noise law: none."""

from typing import Literal

import numpy as np

from devices.read_noise.law import ReadNoiseLaw
from devices.window import F64, Values, Window


class NoReadNoise(ReadNoiseLaw):
    """``read_std = 0``."""

    kind: Literal["none"] = "none"

    def white(self, g: Values, window: Window) -> F64:
        """0 S."""
        return np.zeros(np.shape(g))
