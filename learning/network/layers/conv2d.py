"""Convolution: every patch of the input is one vector for the crossbar. Never more than one image per tile row.

Weights are (channels_out, channels_in * kernel * kernel) in the order of torch's `weight.reshape(channels_out, -1)`.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from learning.common.patches.windows import Windows
from learning.network.layers.base import F32, Shape, WeightedLayer


class Conv2d(WeightedLayer):
    """``a[o, y, x] = sum_{c, i, j} W[o, c, i, j] z[c, y s + i - p, x s + j - p] + b[o]``.

    Attributes:
        channels: number of outputs o. kernel: edge of the square kernel: i, j in 0 ... kernel - 1.
        stride: s, pixels from one place to the next. padding: p zeros on every side.
    """

    kind: Literal["conv2d"] = "conv2d"
    channels: Annotated[int, Field(ge=1, le=10**6)]
    kernel: Annotated[int, Field(ge=1, le=10**4)]
    stride: Annotated[int, Field(ge=1, le=10**4)] = 1
    padding: Annotated[int, Field(ge=0, le=10**4)] = 0

    def output_shape(self, shape: Shape) -> Shape:
        """(C, H, W) -> (channels, H', W'), H' = (H + 2 padding - kernel) // stride + 1."""
        if len(shape) != 3:
            raise ValueError(f"conv2d: needs samples (channels, height, width), got {shape}")
        size = tuple((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in shape[1:])
        if min(size) < 1:
            raise ValueError(f"conv2d: kernel {self.kernel} does not fit into {shape} with padding {self.padding}")
        return (self.channels, *size)

    def matrix(self, shape: Shape) -> tuple[int, int]:
        """(channels, C * kernel**2)."""
        return self.channels, shape[0] * self.kernel**2

    def patches(self, shape: Shape) -> int:
        """H' * W' rows per sample."""
        _, height, width = self.output_shape(shape)
        return height * width

    def gather(self, x: F32) -> F32:
        """Images (B, C, H, W) -> patches (B * H' * W', C * kernel**2)."""
        return self._windows.patches(x).all()

    def scatter(self, rows: F32, shape: Shape) -> F32:
        """Patch gradients (B * H' * W', C * kernel**2) added up at their pixels: (B, C, H, W)."""
        channels, height, width = shape
        return self._windows.scatter(rows, (len(rows) // self.patches(shape), channels, height, width))

    @property
    def _windows(self) -> Windows:
        k, s, p = self.kernel, self.stride, self.padding
        return Windows((k, k), (s, s), above=p, below=p, left=p, right=p)

    def assemble(self, rows: F32, shape: Shape) -> F32:
        """Rows (B * H' * W', channels) -> (B, channels, H', W')."""
        channels, height, width = self.output_shape(shape)
        return np.ascontiguousarray(rows.reshape(-1, height, width, channels).transpose(0, 3, 1, 2))

    def disassemble(self, grad: F32) -> F32:
        """(B, channels, H', W') -> rows (B * H' * W', channels)."""
        return np.ascontiguousarray(grad.transpose(0, 2, 3, 1)).reshape(-1, grad.shape[1])
