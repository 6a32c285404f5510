"""Device-to-device spread: how much cells of one chip differ. The differences are drawn when a chip is fabricated."""

import math
from typing import Annotated

from analog_sim.cells.cell_model import VariationModel
from analog_sim.config import Q, StrictModel

Spread = Annotated[float, Q("fraction", "", ge=0)]


class Variation(StrictModel):
    """Relative standard deviations of normal draws around 1, one draw per cell.

    ``gain_up = max(0, 1 + step z0 + step_up z1)`` and ``gain_down = max(0, 1 + step z0 + step_down z2)`` multiply the
    cell's steps; its bounds are ``g_min + window g_min z3``, ``g_max + window g_max z4``.

    Attributes:
        step: spread of the step size common to both directions. step_up, step_down: own spread of each direction, which is a
            spread of the up/down asymmetry.
        g_min, g_max: spread of the bounds relative to the window.
    """

    step: Spread = 0.0
    step_up: Spread = 0.0
    step_down: Spread = 0.0
    g_min: Spread = 0.0
    g_max: Spread = 0.0

    def gain_std(self, up: bool) -> float:
        """Standard deviation of a cell's gain in one direction, before gains below 0 are cut: ``sqrt(step**2 + step_dir**2)``."""
        return math.hypot(self.step, self.step_up if up else self.step_down)

    def compile(self) -> VariationModel:
        """Return the spreads as the emulator wants them."""
        return VariationModel(
            gain_common=self.step,
            gain_up=self.step_up,
            gain_down=self.step_down,
            g_min=self.g_min,
            g_max=self.g_max,
        )
