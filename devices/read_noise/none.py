"""Read noise law: none."""

from typing import Literal

import numpy as np

from devices.read_noise.law import DEFAULT_READ_TIME, ReadNoiseLaw
from devices.window import F64, FINE_NODES, Values, Window


class NoReadNoise(ReadNoiseLaw):
    """``read_std = 0``."""

    kind: Literal["none"] = "none"

    def white(self, g: Values, window: Window) -> F64:
        """0 S."""
        return np.zeros(np.shape(g))

    def flicker(self, g: Values, window: Window) -> F64:
        """0 S."""
        return np.zeros(np.shape(g))

    @property
    def read_time(self) -> float:
        """Unused."""
        return DEFAULT_READ_TIME

    @property
    def nodes(self) -> int:
        """`FINE_NODES`; two are kept when all is linear."""
        return FINE_NODES
