"""Node perturbation by measured activity differences: it never needs to know the noise, only what it did to every layer.

Dalm et al., "Effective learning with node perturbation in multi-layer neural networks", arXiv:2310.00965 (ANP).
"""

import warnings
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from learning.common.copies import add_weighted, differences
from learning.common.memory import Memory
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.base import F32, NoiseRule, Proposed, from_errors

NO_NOISE = (
    "activity_node_perturbation: two passes of a batch were the same to the bit, so nothing is learned; sigma: 0 leaves the exploration "
    "to the noise of the chip, and it has none (set rule.sigma, or rule.reread_first where only the first layer is noisy)"
)


class StandingStillWarning(UserWarning):
    """A rule explores by the noise of the chip, and there is none."""


class ActivityNodePerturbation(NoiseRule):
    """``dW_l = N <dl da_l y_l^T / |da|**2>``, da_l = a~_l - a_l measured in every layer, N and |da| over all layers.

    A directional derivative along what the activities truly did, noise of the hardware included. In deeper layers da_l also holds what
    the perturbation of earlier layers did there, so the mean proposal of a sample is its gradient times a positive matrix that grows
    with the weights and with the slopes of the layers before. It is nearly isotropic, and nearly the same for every sample, in wide ReLU
    networks; where units saturate it is not, and the rule may settle far from a minimum of the loss.

    Attributes:
        sigma: standard deviation of the injected noise; 0 leaves the exploration to the noise of the chip (then with
            `reread_first`, or the first layer would never be explored).
    """

    kind: Literal["activity_node_perturbation"] = "activity_node_perturbation"
    alignment: ClassVar[float | None] = 0.99
    sigma: Annotated[float, Field(ge=0.0, le=1e6)] = 1e-3

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One clean pass, then one (two-sided: two) per perturbation."""
        clean = network.forward(x)
        base = loss.per_sample(clean.output, target)
        before = [layer.a for layer in clean.layers]
        errors = [np.zeros_like(a) for a in before]
        scale = network.units / (len(base) * self.perturbations)
        for probed in self.probes(network, loss, target, clean, memory):
            losses = probed.losses
            change = 0.5 * (losses[:, 0] - losses[:, 1]) if self.two_sided else losses[:, 0] - base
            length = np.zeros(change.shape)
            moved = [
                differences(after, None if self.two_sided else a, length)
                for after, a in zip(probed.after, before, strict=True)
            ]
            if self.sigma == 0.0 and not length.any(axis=1).all():
                warnings.warn(NO_NOISE, StandingStillWarning, stacklevel=2)
            factor = (scale * change / np.maximum(length, np.finfo(np.float32).tiny)).astype(np.float32)
            add_weighted(errors, moved, factor)
        return Proposed(float(base.mean()), clean, from_errors(network, clean, errors))
