"""`AnalogLinear` and `AnalogConv2d`: torch modules whose products run on tiles, in the place of torch's own layers.

What they share, the choice of backward pass included, is in `learning.torch_bridge.analog_layer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learning.common.kernels import add_to_rows
from learning.common.patches.windows import Patches, Windows
from learning.common.weight_tile import WeightTile
from learning.torch_bridge.analog_layer import BACKWARD, AnalogLayer, Backward, analog_layers, digitally
from learning.torch_bridge.arrays import to_numpy, to_torch

__all__ = [
    "BACKWARD",
    "PATCH_BYTES",
    "AnalogConv2d",
    "AnalogLayer",
    "AnalogLinear",
    "Backward",
    "analog_layers",
    "digitally",
]

F32 = npt.NDArray[np.float32]

PATCH_BYTES = 1 << 20
"""Patches of a convolution are made and read as many at a time as fit into this many bytes, about a second-level cache.

Ranges that follow a batch (`per_batch`, `dynamic`) follow such a strip.
"""
FEWEST = 128
"""Patches of a strip, however long they are: fewer are not worth their Python."""


@final
class AnalogLinear(AnalogLayer):
    """A linear layer whose product runs on one tile."""

    def __init__(
        self, layer: nn.Linear, tile: WeightTile, *, bias_input: float | None = None, backward: Backward = "ideal"
    ) -> None:
        super().__init__(layer.weight, layer.bias, (tile,), bias_input=bias_input, backward=backward)
        self.in_features = layer.in_features
        self.out_features = layer.out_features

    def rows(self, x: Tensor) -> list[Tensor]:
        """All leading dimensions are the batch."""
        return [x.reshape(-1, self.in_features)]

    def some_rows(self, x: Tensor, most: int) -> list[F32]:
        """Every so many-th."""
        (rows,) = self.rows(x)
        return [to_numpy(rows[:: max(1, -(-len(rows) // most))])]

    def forward(self, x: Tensor) -> Tensor:
        """``y = W x + b`` over the last dimension of x."""
        if not self.analog:
            return F.linear(x, self.weight, self.bias)
        if x.shape[-1] != self.in_features:
            raise ValueError(f"AnalogLinear: the input's last dimension must be {self.in_features} (got {x.shape[-1]})")
        return self._on_tiles(x).reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Sizes and modes, as torch prints them."""
        return f"{self.in_features}, {self.out_features}, bias={_where(self)}, backward={self.backward_pass}"


@final
class AnalogConv2d(AnalogLayer):
    """A two-dimensional convolution whose products run on one tile per group, patch by patch."""

    def __init__(
        self,
        layer: nn.Conv2d,
        tiles: tuple[WeightTile, ...],
        *,
        bias_input: float | None = None,
        backward: Backward = "ideal",
    ) -> None:
        if len(tiles) != layer.groups:
            raise ValueError(f"a convolution of {layer.groups} groups needs as many tiles (got {len(tiles)})")
        super().__init__(layer.weight, layer.bias, tiles, bias_input=bias_input, backward=backward)
        self.in_channels, self.out_channels, self.groups = layer.in_channels, layer.out_channels, layer.groups
        self.kernel_size, self.stride, self.dilation = (
            _pair(layer.kernel_size),
            _pair(layer.stride),
            _pair(layer.dilation),
        )
        self.padding, self.padding_mode = layer.padding, layer.padding_mode
        self._pads = _pads(layer)
        self._pad_mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        left, right, above, below = self._pads if self._pad_mode == "constant" else [0] * 4
        self._windows = Windows(self.kernel_size, self.stride, self.dilation, above, below, left, right)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) or (C, H, W)."""
        if x.dim() == 3:
            return self.forward(x[None])[0]
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"AnalogConv2d: must get (N, {self.in_channels}, H, W) (got {tuple(x.shape)})")
        if not self.analog:
            padded = self._padded(x)
            return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        height, width = self._output_size(x)
        y = self._on_tiles(x)
        return y.reshape(x.shape[0], height, width, self.out_channels).permute(0, 3, 1, 2)

    def rows(self, x: Tensor) -> list[Tensor]:
        """Patches ordered (channel, kernel row, kernel column), differentiable."""
        columns = F.unfold(self._padded(x), self.kernel_size, dilation=self.dilation, stride=self.stride)
        return list(columns.transpose(1, 2).reshape(-1, columns.shape[1]).chunk(self.groups, dim=1))

    def some_rows(self, x: Tensor, most: int) -> list[F32]:
        """Every so many-th patch."""
        return [patches.some(max(1, -(-len(patches) // most))) for patches in self._patches(x)]

    def _products(self, x: Tensor) -> Tensor:
        """As any layer; without gradients strip by strip through the same memory, so that patches stay in the cache."""
        if torch.is_grad_enabled():
            return super()._products(x)
        groups = self._patches(x)
        y = np.empty((len(groups[0]), self.out_channels), np.float32)
        outputs = np.split(y, self.groups, axis=1)
        strips = list(self._strips(groups[0]))
        longest = max((count for _, count in strips), default=0)
        room = [self.with_bias_line(np.empty((longest, patches.length), np.float32)) for patches in groups]
        bias = self.bias if self.bias_input is None else None
        at_once = bias is not None and x.dtype == torch.float32  # while the outputs of a strip are in the cache
        biases = np.split(to_numpy(bias), self.groups) if bias is not None and at_once else [None] * self.groups
        for first, count in strips:
            for patches, rows, tile, added, out in zip(groups, room, self.tiles, biases, outputs, strict=True):
                found, part = tile.forward(patches.read(first, rows[:count])), out[first : first + count]
                if added is None:
                    part[...] = found
                else:
                    add_to_rows(found, added, part)
        result = to_torch(y, x)
        return result if bias is None or at_once else result.add_(bias.to(x.dtype))

    def _patches(self, x: Tensor) -> list[Patches]:
        """Patches of each group's channels."""
        images = x if self._pad_mode == "constant" else self._padded(x)
        found: F32 = images.detach().to("cpu", torch.float32).numpy()  # in its own memory order
        return [self._windows.patches(part) for part in np.split(found, self.groups, axis=1)]

    @staticmethod
    def _strips(patches: Patches) -> Iterator[tuple[int, int]]:
        """First patch and number of patches, strip by strip."""
        step = max(FEWEST, PATCH_BYTES // (4 * patches.length))
        for first in range(0, len(patches), step):
            yield first, min(step, len(patches) - first)

    def extra_repr(self) -> str:
        """Sizes and modes, as torch prints them."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, bias={_where(self)}, "
            f"backward={self.backward_pass}"
        )

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, self._pads, mode=self._pad_mode) if any(self._pads) else x

    def _output_size(self, x: Tensor) -> tuple[int, int]:
        left, right, top, bottom = self._pads
        padded = (x.shape[-2] + top + bottom, x.shape[-1] + left + right)
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        sizes = [(n - span) // s + 1 for n, span, s in zip(padded, spans, self.stride, strict=True)]
        if min(sizes) < 1:
            raise ValueError(f"AnalogConv2d: kernel of span {tuple(spans)} is larger than the padded image {padded}")
        return sizes[0], sizes[1]


def _pair(value: tuple[int, ...]) -> tuple[int, int]:
    return value[0], value[1]


def _pads(layer: nn.Conv2d) -> list[int]:
    """Left, right, top and bottom padding."""
    pads: list[int] = []
    for axis in (1, 0):
        if layer.padding == "same":
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            pads += [total // 2, total - total // 2]
        elif isinstance(layer.padding, str):  # "valid"
            pads += [0, 0]
        else:
            pads += [layer.padding[axis]] * 2
    return pads


def _where(layer: AnalogLayer) -> str:
    if layer.bias is None:
        return "none"
    return "digital" if layer.bias_input is None else "on chip"
