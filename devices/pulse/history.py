"""Part of a pulse law: the first pulses after a change of direction do more, or less, than later ones. It never draws a step."""

import math
from typing import Annotated

from pydantic import Field

from analog_sim.cells.cell_model import HistoryModel
from analog_sim.config import StrictModel

Factor = Annotated[float, Field(ge=0, le=1e3)]


class Reversal(StrictModel):
    """What a complete reversal does to the pulses of one direction, and how many of them undo it.

    Attributes:
        factor: mean step of the first pulse after it, over that of a long run at the same state; 1 for no difference.
        noise: the same for the noise of a step; null for as much as the mean.
        pulses: over which the difference falls to 1/e.
    """

    factor: Factor = 1.0
    noise: Factor | None = None
    pulses: Annotated[float, Field(gt=0, le=1e6)] = 1.0

    def compile(self) -> tuple[float, float, float]:
        """Excess of mean and noise, and the share of it that a pulse leaves."""
        noise = self.factor if self.noise is None else self.noise
        return self.factor - 1.0, noise - 1.0, math.exp(-1.0 / self.pulses)


class History(StrictModel):
    """Memory of the direction of the last pulses, a number q of every cell: 1 after many pulses up, 0 after many down.

    ``dg = (1 + (factor - 1) e) mean(u) + (1 + (noise - 1) e) std(u) z`` with e = 1 - q for a pulse up, e = q for one down; the pulse then
    leaves ``exp(-1 / pulses)`` of e. After programming q = 1/2. The n-th pulse after a complete reversal has
    ``e = exp(-(n - 1) / pulses)``, after an incomplete one less.

    An excess that falls exponentially with the number of pulses since RESET is the form of Nandakumar et al., J. Appl. Phys. 124, 152135
    (2018), doi:10.1063/1.5042408 (theirs is a number of siemens, this one a share of the step); the memory of both directions, and what an
    incomplete reversal does, are this model's assumption.

    Attributes:
        up, down: of pulses that potentiate, and that depress.
    """

    up: Reversal = Reversal()
    down: Reversal = Reversal()

    def compile(self) -> HistoryModel:
        """The numbers of the emulator."""
        return HistoryModel(self.up.compile(), self.down.compile())
