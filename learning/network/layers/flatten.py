"""Image to vector. It never changes a value."""

import math
from typing import Literal

from learning.network.layers.base import F32, DigitalLayer, Shape


class Flatten(DigitalLayer):
    """(B, C, H, W) -> (B, C * H * W), channels slowest."""

    kind: Literal["flatten"] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        """(C, H, W) -> (C * H * W,)."""
        return (math.prod(shape),)

    def forward(self, x: F32) -> F32:
        """Flatten every sample."""
        return x.reshape(x.shape[0], -1)

    def backward(self, grad: F32, x: F32, y: F32) -> F32:
        """Back to the input's shape."""
        return grad.reshape(x.shape)
