"""Backpropagation through the chip: the error goes back by transposed reads of the very weights that are learned."""

from typing import ClassVar, Literal

from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.base import F32, Proposed, Rule, from_errors


class Backprop(Rule):
    """``d_(l-1) = f'(a_(l-1)) gamma R_l^T W_l^T d_l``, ``dW_l = <d_l y_l^T>``."""

    kind: Literal["backprop"] = "backprop"
    alignment: ClassVar[float | None] = 0.99999

    @property
    def needs(self) -> Needs:
        """Transposed reads and slopes."""
        return Needs(transposed_read=True, transposed_matrices=True, writable=True, derivative=True)

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One pass forward, one back."""
        trace = network.forward(x)
        grad = loss.gradient(trace.output, target)

        def transport(number: int, d: F32) -> F32:
            layer = network.layers[number]
            return layer.tile.backward(d)[:, : layer.inputs]

        errors = network.errors(trace, grad, transport)
        value = loss.mean(trace.output, target)
        return Proposed(value, trace, from_errors(network, trace, errors))
