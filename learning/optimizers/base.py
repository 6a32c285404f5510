"""What turns a rule's gradient into the step that is written: arithmetic in the digital periphery. It never writes a cell."""

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from analog_sim.config import Part
from analog_sim.writing.proposal import Proposal
from learning.common.memory import Memory

F32 = npt.NDArray[np.float32]


class Optimizer(Part):
    """One kind of step; `learning_rate * step` is what is subtracted from the weights.

    An optimiser with memory keeps a full-precision matrix per tile beside the chip, and writes dense steps instead of outer products.
    """

    @abstractmethod
    def step(self, name: str, gradient: Proposal, memory: Memory) -> Proposal:
        """Step for the weights called `name`."""

    @abstractmethod
    def bias_step(self, name: str, gradient: F32, memory: Memory) -> F32:
        """Step for the digital bias called `name`."""
