"""Adam in the digital periphery: two accumulators per weight.

Kingma & Ba, "Adam: a method for stochastic optimization", ICLR (2015), arXiv:1412.6980.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.writing.proposal import Dense, OuterProduct, Proposal
from learning.common.memory import Memory
from learning.optimizers.base import F32, Optimizer
from learning.optimizers.kernels import adam


class Adam(Optimizer):
    """``m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g**2; step = m / (1 - b1**t) / (sqrt(v / (1 - b2**t)) + eps)``.

    Attributes:
        beta1, beta2: memories b1, b2 per update. eps: keeps the step finite.
    """

    kind: Literal["adam"] = "adam"
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    eps: Annotated[float, Field(gt=0.0, le=1)] = 1e-8

    def step(self, name: str, gradient: Proposal, memory: Memory) -> Proposal:
        """Dense step."""
        dense = np.ascontiguousarray(gradient.dense(), np.float32)
        # The product of an outer product is an array of our own, and takes the step: a large new one costs more than the arithmetic.
        out = dense if isinstance(gradient, OuterProduct) else np.empty_like(dense)
        return Dense(self._step(name, dense, memory, out))

    def bias_step(self, name: str, gradient: F32, memory: Memory) -> F32:
        """Step of one array."""
        gradient = np.ascontiguousarray(gradient, np.float32)
        return self._step(name, gradient, memory, np.empty_like(gradient))

    def _step(self, name: str, gradient: F32, memory: Memory, out: F32) -> F32:
        for part in ("m", "v"):
            if f"{name}.{part}" not in memory.arrays:
                memory.arrays[f"{name}.{part}"] = np.zeros(gradient.shape, np.float32)
        t = int(memory.numbers.get(f"{name}.t", 0)) + 1
        memory.numbers[f"{name}.t"] = t
        adam(
            gradient.reshape(-1),
            memory.arrays[f"{name}.m"].reshape(-1),
            memory.arrays[f"{name}.v"].reshape(-1),
            out.reshape(-1),
            np.float32(self.beta1),
            np.float32(1.0 - self.beta1),
            np.float32(self.beta2),
            np.float32(1.0 - self.beta2),
            np.float32(1.0 / (1.0 - self.beta2**t) ** 0.5),
            np.float32(self.eps),
            np.float32(1.0 / (1.0 - self.beta1**t)),
        )
        return out
