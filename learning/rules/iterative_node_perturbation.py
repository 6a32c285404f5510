"""Node perturbation of one layer at a time: less variance, one pass per layer. Layers before the perturbed one are never read again.

Dalm et al., "Effective learning with node perturbation in multi-layer neural networks", arXiv:2310.00965 (INP).
"""

from typing import ClassVar, Literal

import numpy as np

from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.base import F32, PerturbationRule, Proposed, from_errors, per_row


class IterativeNodePerturbation(PerturbationRule):
    """``dW_l = N_l <dl v_l y_l^T> / s_l``, a_l moved by s_l v_l, v_l a random unit vector over the N_l units of layer l alone.

    s_l = sigma sqrt(N_l), so that sigma is the perturbation of one unit as in the other forms.

    Attributes:
        two_sided: compare +v with -v (half the difference) instead of +v with no perturbation.
    """

    kind: Literal["iterative_node_perturbation"] = "iterative_node_perturbation"
    alignment: ClassVar[float | None] = 0.99
    two_sided: bool = False

    @property
    def needs(self) -> Needs:
        """Further passes with injected noise."""
        return Needs(writable=True, second_pass=True, noise_injection=True)

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One clean pass, then for every perturbation one (two-sided: two) per layer from that layer on."""
        clean = network.forward(x)
        base = loss.per_sample(clean.output, target)
        batch = len(base)
        errors = []
        for number, layer in enumerate(clean.layers):
            units = network.layers[number].units
            error = np.zeros_like(layer.a)
            length = self.sigma * units**0.5
            for _ in range(self.perturbations):
                direction = memory.stream.normals((batch, units))
                direction /= np.sqrt(np.einsum("bi,bi->b", direction, direction))[:, None]
                move = (direction * np.float32(length)).reshape(layer.a.shape)
                change = loss.per_sample(network.resume(clean, number, layer.a + move).output, target)
                if self.two_sided:
                    opposite = network.resume(clean, number, layer.a - move).output
                    change = 0.5 * (change - loss.per_sample(opposite, target))
                else:
                    change = change - base
                # N v / s = N (s v) / s**2 = (s v) / sigma**2
                error += move * per_row(change / (self.sigma**2 * batch * self.perturbations), move)
            errors.append(error)
        return Proposed(float(base.mean()), clean, from_errors(network, clean, errors))
