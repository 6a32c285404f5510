"""Momentum in the digital periphery: one accumulator per weight."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.writing.proposal import Dense, Proposal
from learning.common.memory import Memory
from learning.optimizers.base import F32, Optimizer


class Momentum(Optimizer):
    """``m <- beta m + gradient; step = m``.

    Attributes:
        beta: memory of the accumulator per update; the effective learning rate is larger by 1 / (1 - beta).
    """

    kind: Literal["momentum"] = "momentum"
    beta: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9

    def step(self, name: str, gradient: Proposal, memory: Memory) -> Proposal:
        """Dense step."""
        return Dense(self.bias_step(name, gradient.dense(), memory))

    def bias_step(self, name: str, gradient: F32, memory: Memory) -> F32:
        """The accumulator after this gradient; the memory's own array, not to be changed."""
        if name not in memory.arrays:
            memory.arrays[name] = np.zeros_like(gradient)
        m: F32 = memory.arrays[name]
        m *= np.float32(self.beta)
        m += gradient
        return m
