"""Plain stochastic gradient descent: what the rule proposes is what is written, outer products included."""

from typing import Literal

from analog_sim.writing.proposal import Proposal
from learning.common.memory import Memory
from learning.optimizers.base import F32, Optimizer


class SGD(Optimizer):
    """``step = gradient``."""

    kind: Literal["sgd"] = "sgd"

    def step(self, name: str, gradient: Proposal, memory: Memory) -> Proposal:
        """The proposal itself."""
        return gradient

    def bias_step(self, name: str, gradient: F32, memory: Memory) -> F32:
        """The gradient itself."""
        return gradient
