"""Pooling over square windows of images (B, C, H, W), without padding. It never looks beyond one channel."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from learning.network.layers.base import F32, DigitalLayer, Shape


class Pooling(DigitalLayer):
    """Windows of `size` x `size` pixels, `stride` apart (default: the size, so that they do not overlap).

    Attributes:
        size: edge of the square window, pixels. stride: pixels from one window to the next; null for the size.
    """

    size: Annotated[int, Field(ge=1, le=10**4)]
    stride: Annotated[int, Field(ge=1, le=10**4)] | None = None

    def output_shape(self, shape: Shape) -> Shape:
        """(C, H, W) -> (C, H', W'), H' = (H - size) // stride + 1."""
        if len(shape) != 3:
            raise ValueError(f"{self.kind}: needs samples (channels, height, width), got {shape}")
        if min(shape[1:]) < self.size:
            raise ValueError(f"{self.kind}: windows of {self.size} do not fit into {shape}")
        step = self.stride or self.size
        return (shape[0], (shape[1] - self.size) // step + 1, (shape[2] - self.size) // step + 1)

    def _views(self, x: F32) -> Iterator[F32]:
        """For every place in a window, row by row, the pixels (B, C, H', W') of all windows there."""
        step = self.stride or self.size
        _, height, width = self.output_shape(x.shape[1:])
        for i in range(self.size):
            for j in range(self.size):
                yield x[:, :, i : i + step * height : step, j : j + step * width : step]


class MaxPool(Pooling):
    """Largest value of each window; the first one in row order takes the gradient."""

    kind: Literal["max_pool"] = "max_pool"

    def forward(self, x: F32) -> F32:
        """max over each window."""
        views = self._views(x)
        y = next(views).copy()
        for view in views:
            np.maximum(y, view, out=y)
        return y

    def backward(self, grad: F32, x: F32, y: F32) -> F32:
        """Gradient to the first maximum of each window."""
        result = np.zeros_like(x)
        open_ = np.ones(y.shape, bool)
        for view, target in zip(self._views(x), self._views(result), strict=True):
            hit = open_ & (view == y)
            target += grad * hit
            open_ &= ~hit
        return result


class AvgPool(Pooling):
    """Mean of each window."""

    kind: Literal["avg_pool"] = "avg_pool"

    def forward(self, x: F32) -> F32:
        """mean over each window."""
        views = self._views(x)
        y = next(views).copy()
        for view in views:
            y += view
        return y * np.float32(1.0 / self.size**2)

    def backward(self, grad: F32, x: F32, y: F32) -> F32:
        """The gradient shared equally by a window's pixels."""
        result = np.zeros_like(x)
        share = grad * np.float32(1.0 / self.size**2)
        for target in self._views(result):
            target += share
        return result
