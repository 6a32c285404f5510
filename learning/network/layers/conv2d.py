"""Convolution: every patch of the input is one vector for the crossbar. Never more than one image per tile row.

Weights are (channels_out, channels_in * kernel * kernel) in the order of torch's `weight.reshape(channels_out, -1)`.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from learning.network.layers.base import F32, Shape, WeightedLayer


class Conv2d(WeightedLayer):
    """``a[o, y, x] = sum_{c, i, j} W[o, c, i, j] z[c, y s + i - p, x s + j - p] + b[o]``.

    channels: outputs o. kernel: i, j in 0 ... kernel - 1. stride: s. padding: p zeros on every side.
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
        k, p = self.kernel, self.padding
        if p:
            x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))[:, :, :: self.stride, :: self.stride]
        batch, channels, height, width = windows.shape[:4]
        return windows.transpose(0, 2, 3, 1, 4, 5).reshape(batch * height * width, channels * k * k)

    def scatter(self, rows: F32, shape: Shape) -> F32:
        """Patch gradients (B * H' * W', C * kernel**2) added up at their pixels: (B, C, H, W)."""
        k, p, s = self.kernel, self.padding, self.stride
        channels, height, width = shape
        _, out_h, out_w = self.output_shape(shape)
        batch = rows.shape[0] // (out_h * out_w)
        patches = rows.reshape(batch, out_h, out_w, channels, k, k).transpose(0, 3, 4, 5, 1, 2)
        image = np.zeros((batch, channels, height + 2 * p, width + 2 * p), np.float32)
        for i in range(k):
            for j in range(k):
                image[:, :, i : i + s * out_h : s, j : j + s * out_w : s] += patches[:, :, i, j]
        return image[:, :, p : p + height, p : p + width] if p else image

    def assemble(self, rows: F32, shape: Shape) -> F32:
        """Rows (B * H' * W', channels) -> (B, channels, H', W')."""
        channels, height, width = self.output_shape(shape)
        return np.ascontiguousarray(rows.reshape(-1, height, width, channels).transpose(0, 3, 1, 2))

    def disassemble(self, grad: F32) -> F32:
        """(B, channels, H', W') -> rows (B * H' * W', channels)."""
        return np.ascontiguousarray(grad.transpose(0, 2, 3, 1)).reshape(-1, grad.shape[1])
