"""Pulse law: step proportional to the distance from the bound ahead. Never reaches the bound on average."""

from typing import Literal

from devices.pulse.law import ParametricPulse
from devices.window import F64


class SoftBounds(ParametricPulse):
    """Soft bounds: ``dg = s_up (1 - u)`` up, ``dg = -s_down u`` down; u after n pulses from 0: ``1 - (1 - s_up / window)**n``.

    Up and down cancel on average at the symmetry point ``u* = s_up / (s_up + s_down)``.

    Source: Fusi and Abbott, Nat. Neurosci. 10, 485 (2007), doi:10.1038/nn1859; Frascaroli et al., Sci. Rep. 8, 7178 (2018),
    doi:10.1038/s41598-018-25376-x (analogue HfO2 cells).
    """

    kind: Literal["soft_bounds"] = "soft_bounds"

    def shape(self, u: F64, up: bool) -> F64:
        """Distance to the bound ahead, in windows."""
        return 1.0 - u if up else u.copy()
