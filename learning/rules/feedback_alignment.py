"""Feedback alignment: the error goes back through fixed random weights. They are drawn once, kept in the checkpoint and never redrawn.

Lillicrap et al., Nat. Commun. 7, 13276 (2016), doi:10.1038/ncomms13276.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.random.streams import Streams
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.base import F32, Proposed, Rule, from_errors


class FeedbackAlignment(Rule):
    """``d_(l-1) = f'(a_(l-1)) gamma R_l^T B_l^T d_l``, B_l (n_out, n_in) fixed, ``dW_l = <d_l y_l^T>``.

    Attributes:
        scale: the entries of B are normal with standard deviation scale / sqrt(n_in).
    """

    kind: Literal["feedback_alignment"] = "feedback_alignment"
    scale: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0

    @property
    def needs(self) -> Needs:
        """Slopes, and the way back through decorrelating matrices."""
        return Needs(transposed_matrices=True, writable=True, derivative=True)

    def init(self, network: Network, streams: Streams) -> Memory:
        """Draw B of every layer but the first from the streams "feedback"/<layer>."""
        memory = super().init(network, streams)
        for layer in network.layers[1:]:
            drawn = streams.stream("feedback", layer.name).normals((layer.tile.shape[0], layer.inputs))
            memory.arrays[layer.name] = drawn * np.float32(self.scale / layer.inputs**0.5)
        return memory

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One pass forward, the error back through B."""
        trace = network.forward(x)
        grad = loss.gradient(trace.output, target)
        errors = network.errors(trace, grad, lambda number, d: d @ memory.arrays[network.layers[number].name])
        value = loss.mean(trace.output, target)
        return Proposed(value, trace, from_errors(network, trace, errors))
