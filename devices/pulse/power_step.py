"""Pulse law: step that falls as a power of the distance from the bound ahead. Never negative."""

from typing import Annotated, Literal

from pydantic import Field

from devices.pulse.law import ParametricPulse
from devices.window import F64


class PowerStep(ParametricPulse):
    """Power step: ``dg = s_up (1 - u)**gamma_up`` up, ``dg = -s_down u**gamma_down`` down.

    gamma = 1 is soft bounds; gamma > 1 saturates earlier. The table's error is largest next to the bound: ``0.25 s 256**-gamma``
    for gamma in (0, 1) and below ``gamma (gamma - 1) s / (8 * 256**2)`` for gamma >= 2.

    Attributes:
        gamma_up, gamma_down: exponent of the step's fall towards the bound, > 0.

    Source: Fusi and Abbott, Nat. Neurosci. 10, 485 (2007), doi:10.1038/nn1859 (bounds of general order).
    """

    kind: Literal["power_step"] = "power_step"
    gamma_up: Annotated[float, Field(gt=0, le=100)]
    gamma_down: Annotated[float, Field(gt=0, le=100)]

    def shape(self, u: F64, up: bool) -> F64:
        """Distance to the bound ahead, in windows, to the power gamma."""
        result: F64 = (1.0 - u) ** self.gamma_up if up else u**self.gamma_down
        return result
