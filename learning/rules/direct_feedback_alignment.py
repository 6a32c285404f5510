"""Direct feedback alignment: the output error goes to every layer at once through fixed random weights, never redrawn.

Nokland, "Direct feedback alignment provides learning in deep neural networks", NeurIPS (2016), arXiv:1609.01596.
"""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.random.streams import Streams
from learning.common.memory import Memory
from learning.common.needs import Needs
from learning.losses.base import Loss, Target
from learning.network.network import Network
from learning.rules.base import F32, Proposed, Rule, from_errors


class DirectFeedbackAlignment(Rule):
    """``d_l = f'(a_l) B_l^T e``, e = dL/d output, B_l (classes, units of h_l) fixed, ``dW_l = <d_l y_l^T>``.

    Attributes:
        scale: the entries of B are normal with standard deviation scale / sqrt(units of h_l).
    """

    kind: Literal["direct_feedback_alignment"] = "direct_feedback_alignment"
    scale: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0

    @property
    def needs(self) -> Needs:
        """Slopes."""
        return Needs(writable=True, derivative=True)

    def init(self, network: Network, streams: Streams) -> Memory:
        """Draw B of every layer but the last from the streams "feedback"/<layer>."""
        memory = super().init(network, streams)
        classes = math.prod(network.layers[-1].tail_shape())
        for layer in network.layers[:-1]:
            units = math.prod(layer.tail_shape())
            drawn = streams.stream("feedback", layer.name).normals((classes, units))
            memory.arrays[layer.name] = drawn * np.float32(self.scale / units**0.5)
        return memory

    def propose(self, network: Network, loss: Loss, x: F32, target: Target, memory: Memory) -> Proposed:
        """One pass forward, the error to every layer through its B."""
        trace = network.forward(x)
        error = loss.gradient(trace.output, target)
        errors = []
        for layer, passed in zip(network.layers[:-1], trace.layers, strict=False):
            sent = (error @ memory.arrays[layer.name]).reshape(len(error), *layer.tail_shape())
            errors.append(layer.backward_tail(sent, passed))
        errors.append(network.layers[-1].backward_tail(error, trace.layers[-1]))
        value = loss.mean(trace.output, target)
        return Proposed(value, trace, from_errors(network, trace, errors))
