"""Node perturbation: noise on every pre-activation at once, and the change of the loss that it makes. It never needs a slope.

Williams, Mach. Learn. 8, 229 (1992), doi:10.1007/BF00992696; Dalm et al., arXiv:2310.00965.
"""

from typing import ClassVar, Literal

import numpy as np

from learning.common.copies import add_weighted
from learning.common.memory import Memory
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.base import F32, NoiseRule, Proposed, from_errors


class NodePerturbation(NoiseRule):
    """``dW_l = <dl xi_l y_l^T> / sigma**2``, xi_l ~ N(0, sigma**2) added to a_l, dl the change of each sample's loss."""

    kind: Literal["node_perturbation"] = "node_perturbation"
    alignment: ClassVar[float | None] = 0.99

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One clean pass, then one (two-sided: two) per perturbation."""
        clean = network.forward(x)
        base = loss.per_sample(clean.output, target)
        errors = [np.zeros_like(layer.a) for layer in clean.layers]
        scale = 1.0 / (self.sigma**2 * len(base) * self.perturbations)
        for probed in self.probes(network, loss, target, clean, memory):
            losses = probed.losses
            change = 0.5 * (losses[:, 0] - losses[:, 1]) if self.two_sided else losses[:, 0] - base
            add_weighted(errors, probed.noise, (scale * change).astype(np.float32))
        return Proposed(float(base.mean()), clean, from_errors(network, clean, errors))
