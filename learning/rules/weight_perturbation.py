"""Weight perturbation (SPSA): all weights move at once by a random sign. One perturbation serves a whole batch, not a sample.

Spall, IEEE Trans. Autom. Control 37, 332 (1992), doi:10.1109/9.119632.
"""

from typing import ClassVar, Literal

from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.base import F32, PerturbationRule, Proposed
from learning.rules.weight_perturbing import Perturb, add_up, flipped, mean_loss, random_shifts, take, write


class WeightPerturbation(PerturbationRule):
    """``dW = (L(W + D) - L(W - D)) / 2 * D / sigma**2``, D = +-sigma on every parameter; one-sided: ``(L(W + D) - L(W)) D / sigma**2``.

    Attributes:
        two_sided: SPSA proper; otherwise one-sided.
        perturb: "write" moves the cells (pulses are counted), "overlay" modulates them for the moment of a read.
    """

    kind: Literal["weight_perturbation"] = "weight_perturbation"
    alignment: ClassVar[float | None] = 0.99
    two_sided: bool = True
    perturb: Perturb = "write"

    @property
    def needs(self) -> Needs:
        """Further passes, and cells that can be moved or modulated."""
        writes = self.perturb == "write"
        return Needs(writable=True, second_pass=True, immediate_write=writes, weight_modulation=not writes)

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One clean pass, then one (two-sided: two) per perturbation."""
        clean = network.forward(x)
        base = loss.mean(clean.output, target)
        for _ in range(self.perturbations):
            shifts = random_shifts(network, memory.stream, self.sigma)
            if self.perturb == "overlay":
                change = mean_loss(network, loss, clean, target, shifts) - base
                if self.two_sided:
                    change = 0.5 * (change - (mean_loss(network, loss, clean, target, flipped(shifts)) - base))
            else:
                write(network, shifts, 1.0)
                change = mean_loss(network, loss, clean, target) - base
                if self.two_sided:
                    write(network, shifts, -2.0)
                    change = 0.5 * (change - (mean_loss(network, loss, clean, target) - base))
                    write(network, shifts, 1.0)
                else:
                    write(network, shifts, -1.0)
            add_up(memory, shifts, change / (self.sigma**2 * self.perturbations))
        return Proposed(base, clean, take(memory, network))
