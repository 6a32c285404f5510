"""Faulty cells and lines: how many a card expects. Which ones is drawn when a chip is fabricated."""

from typing import Annotated, Self

from pydantic import model_validator

from analog_sim.cells.cell_model import FaultModel
from analog_sim.config import Q, StrictModel, at_key

Probability = Annotated[float, Q("fraction", "", ge=0, le=1)]


class Faults(StrictModel):
    """Probability that a cell is stuck at g_min, at g_max or at a random state, and that a whole line is dead (reads 0 S).

    Attributes:
        stuck_low, stuck_high: probability that a cell is stuck at g_min, at g_max. stuck_random: at a state drawn at random.
        dead_rows, dead_cols: probability that a whole word line, a whole bit line is dead: all its cells read 0 S.
    """

    stuck_low: Probability = 0.0
    stuck_high: Probability = 0.0
    stuck_random: Probability = 0.0
    dead_rows: Probability = 0.0
    dead_cols: Probability = 0.0

    @model_validator(mode="after")
    def _sum(self) -> Self:
        total = self.stuck_low + self.stuck_high + self.stuck_random
        if total > 1.0:
            raise at_key("stuck_low", f"stuck_low + stuck_high + stuck_random must be <= 1 (got {total:g})")
        return self

    @property
    def cell_yield(self) -> float:
        """Yield: expected fraction of healthy cells."""
        stuck = self.stuck_low + self.stuck_high + self.stuck_random
        return (1.0 - stuck) * (1.0 - self.dead_rows) * (1.0 - self.dead_cols)

    def compile(self) -> FaultModel:
        """Return the probabilities as the emulator wants them."""
        return FaultModel(self.stuck_low, self.stuck_high, self.stuck_random, self.dead_rows, self.dead_cols)
