"""Multiplexed gradient descent: perturbations, samples and updates each with a time constant. It needs no model of the hardware.

McCaughan et al., APL Mach. Learn. 1, 026118 (2023), doi:10.1063/5.0157645.
"""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from analog_sim.config import at_key
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss, Target
from learning.network.network import Network, Shift, Trace
from learning.rules.base import F32, PerturbationRule, Proposed
from learning.rules.weight_perturbing import (
    Perturb,
    add_up,
    mean_loss,
    parameters,
    random_shifts,
    single_shift,
    take,
    write,
)


class Multiplexed(PerturbationRule):
    """``G <- G + (L(W + D) - L(W)) D / sigma**2`` in every time step; every tau_theta steps ``dW = G / steps``, G = 0.

    Every tau_p steps a new perturbation D; every tau_x = perturbations * tau_p steps a new input (a batch; batch size 1 is the
    paper's form). L(W) is measured anew for every input and after every update. Dividing by the number of steps makes the learning rate
    independent of the time constants.

    Attributes:
        perturbations: perturbations per input, tau_x / tau_p.
        tau_p: steps for which a perturbation stays; more steps average read noise.
        tau_theta: steps between updates: a multiple of tau_p, and a multiple or a divisor of tau_x.
        code: "simultaneous": random signs on all parameters; "sequential": one parameter after the other (finite differences).
        perturb: "write" moves the cells (pulses are counted), "overlay" modulates them for the moment of a read.
    """

    kind: Literal["multiplexed"] = "multiplexed"
    alignment: ClassVar[float | None] = 0.99
    tau_p: Annotated[int, Field(ge=1, le=10**9)] = 1
    tau_theta: Annotated[int, Field(ge=1, le=10**9)] = 1
    code: Literal["simultaneous", "sequential"] = "simultaneous"
    perturb: Perturb = "write"

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        tau_x = self.perturbations * self.tau_p
        if self.tau_theta % self.tau_p:
            raise at_key("tau_theta", f"must be a multiple of tau_p = {self.tau_p} (got {self.tau_theta})")
        if self.tau_theta % tau_x and tau_x % self.tau_theta:
            raise at_key(
                "tau_theta",
                f"must be a multiple or a divisor of tau_x = perturbations * tau_p = {tau_x} (got {self.tau_theta})",
            )
        return self

    @property
    def needs(self) -> Needs:
        """Further passes, and cells that can be moved or modulated."""
        writes = self.perturb == "write"
        return Needs(writable=True, second_pass=True, immediate_write=writes, weight_modulation=not writes)

    @property
    def rounds(self) -> int:
        """Updates per input, at least one round."""
        return max(1, self.perturbations * self.tau_p // self.tau_theta)

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """Perturb until the input or the update period ends."""
        clean = network.forward(x)
        base = loss.mean(clean.output, target)
        done = int(memory.numbers.get("done", 0))
        per_update = self.tau_theta // self.tau_p
        for _ in range(self.perturbations // self.rounds):
            shifts, weight = self._perturbation(network, memory)
            change = self._mean_change(network, loss, clean, target, base, shifts)
            add_up(memory, shifts, weight * change / (self.sigma**2 * per_update))
            done += 1
        memory.numbers["done"] = done % per_update
        return Proposed(base, clean, take(memory, network) if done == per_update else None)

    def _perturbation(self, network: Network, memory: Memory) -> tuple[tuple[Shift, ...], float]:
        """The next perturbation, and the inverse of the share of parameters that it moves."""
        if self.code == "simultaneous":
            return random_shifts(network, memory.stream, self.sigma), 1.0
        count = parameters(network)
        index = int(memory.numbers.get("next", 0))
        memory.numbers["next"] = (index + 1) % count
        return single_shift(network, index, self.sigma), float(count)

    def _mean_change(
        self, network: Network, loss: Loss, clean: Trace, target: Target, base: float, shifts: tuple[Shift, ...]
    ) -> float:
        """Mean over tau_p steps of the change of the loss under one perturbation."""
        if self.perturb == "overlay":
            return float(np.mean([mean_loss(network, loss, clean, target, shifts) - base for _ in range(self.tau_p)]))
        write(network, shifts, 1.0)
        change = float(np.mean([mean_loss(network, loss, clean, target) - base for _ in range(self.tau_p)]))
        write(network, shifts, -1.0)
        return change
