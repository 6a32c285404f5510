"""`AnalogLinear` and `AnalogConv2d`: torch modules whose products run on tiles, with a choice of backward pass.

They compute with whatever tile they are given and never program one unless told to (`write`, `push`).

Backward pass of ``y = W x`` for an incoming gradient d (B, n_out), physics-aware training when it is not ideal
(Wright et al., Nature 601, 549, 2022, doi:10.1038/s41586-021-04223-6: physical forward, modelled backward):

    ideal             dx = d W with W the digital weights that the tile was asked to hold
    straight_through  dx = d W' with W' the weights as read back from the tile
    analog            dx = the tile's own transposed read of d
    all three         dW = d^T x, the gradient of the digital weights
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analog_sim.writing.proposal import Dense
from learning.common.weight_tile import WeightTile
from learning.torch_bridge.arrays import to_numpy, to_torch

F32 = npt.NDArray[np.float32]
Backward = Literal["ideal", "straight_through", "analog"]
BACKWARD: tuple[Backward, ...] = ("ideal", "straight_through", "analog")
PATCH_BYTES = 4 << 20
"""Patches of a convolution are made for as many images at a time as fit into this many bytes (one image at least)."""


class _TileProduct(torch.autograd.Function):
    """``y = W x`` on a tile: (B, n_in) -> (B, n_out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tile: WeightTile, backward: Backward) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.tile, ctx.mode = tile, backward
        return _product(x, tile)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (d,) = grads
        x, weight = ctx.saved_tensors
        dx = dw = None
        if ctx.needs_input_grad[0]:
            if ctx.mode == "ideal":
                dx = d @ weight
            elif ctx.mode == "straight_through":
                dx = d @ to_torch(ctx.tile.read_weights(), d)
            else:
                dx = to_torch(ctx.tile.backward(to_numpy(d)), d)
        if ctx.needs_input_grad[1]:
            dw = d.T @ x
        return dx, dw, None, None


def _product(x: Tensor, tile: WeightTile) -> Tensor:
    if x.shape[0] == 0:
        return x.new_zeros((0, tile.shape[0]))
    return to_torch(tile.forward(to_numpy(x)), x)


class AnalogLayer(nn.Module, abc.ABC):
    """Digital weights, the tiles that hold them, and where the bias is added.

    Attributes:
        weight, bias: the digital weights, parameters that an optimiser may train; `write` or `push` takes them to the
            tiles.
        tiles: one tile, or one per group of a convolution; each holds (n_out, n_in), with a last input for the bias
            when that is on the chip.
        bias_input: what drives the line of a bias on the chip, whose weight is bias / bias_input. None: digital bias.
        backward_pass: see the module's first lines.
        analog: False computes with the digital weights instead.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        tiles: tuple[WeightTile, ...],
        *,
        bias_input: float | None,
        backward: Backward,
    ) -> None:
        super().__init__()
        if backward not in BACKWARD:
            raise ValueError(f"backward: got {backward!r}, allowed: {', '.join(BACKWARD)}")
        if bias_input is not None and not bias_input > 0.0:
            raise ValueError(f"bias_input must be > 0 (got {bias_input})")
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.tiles = tiles
        self.bias_input = bias_input if bias is not None else None
        self.backward_pass: Backward = backward
        self.analog = True
        for tile, wanted in zip(tiles, self._matrices(), strict=True):
            if tile.shape != tuple(wanted.shape):
                raise ValueError(f"tile of shape {tile.shape} where {tuple(wanted.shape)} is needed")
        self._written: list[F32] | None = None

    @abc.abstractmethod
    def rows(self, x: Tensor) -> Iterator[list[Tensor]]:
        """Inputs of the tiles, chunk by chunk: one tensor (B, n_in without bias) per tile."""

    def write(self) -> None:
        """Program the tiles to the digital weights, and remember these as written."""
        self._written = [matrix.copy() for matrix in self.matrices()]
        for tile, w in zip(self.tiles, self._written, strict=True):
            tile.program(w)

    def push(self) -> None:
        """Change the tiles by what the digital weights changed since the last `write`, `push` or `pull`.

        ``W_tile <- W_tile + (W - W_written)`` through the tile's write scheme (pulses); `write` programs anew.
        Raises ValueError when nothing was written yet.
        """
        if self._written is None:
            raise ValueError("push: the tiles hold no weights yet; call write() first")
        new = [matrix.copy() for matrix in self.matrices()]
        for tile, before, after in zip(self.tiles, self._written, new, strict=True):
            tile.update(Dense(before - after), 1.0)
        self._written = new

    def pull(self) -> None:
        """Set the digital weights to what is read back from the tiles."""
        found = [to_torch(tile.read_weights(), self.weight) for tile in self.tiles]
        with torch.no_grad():
            stacked = torch.cat(found)
            if self.bias is not None and self.bias_input is not None:
                self.bias.copy_(stacked[:, -1] * self.bias_input)
                stacked = stacked[:, :-1]
            self.weight.copy_(stacked.reshape(self.weight.shape))
        self._written = [matrix.copy() for matrix in self.matrices()]

    def calibrate(self, rows: list[F32]) -> None:
        """Fix the tiles' converter ranges on their inputs (B, n_in without bias), one array per tile."""
        for tile, x in zip(self.tiles, rows, strict=True):
            tile.calibrate(self.with_bias_line(x))

    def with_bias_line(self, x: F32) -> F32:
        """Append the input of the bias line, if there is one: (B, n) -> (B, n + 1)."""
        if self.bias_input is None:
            return x
        return np.concatenate([x, np.full((len(x), 1), self.bias_input, np.float32)], axis=1)

    def matrices(self) -> list[F32]:
        """Digital weights of every tile (n_out, n_in), with the column of a bias line if there is one."""
        return [to_numpy(matrix) for matrix in self._matrices()]

    def _groups(self) -> int:
        return len(self.tiles)

    def _matrices(self) -> list[Tensor]:
        """Weights of every tile (n_out, n_in), differentiable."""
        flat = self.weight.flatten(1)
        if self.bias is not None and self.bias_input is not None:
            flat = torch.cat([flat, self.bias[:, None] / self.bias_input], dim=1)
        return list(flat.chunk(self._groups()))

    def _run(self, x: Tensor, tile: WeightTile, matrix: Tensor | None) -> Tensor:
        if self.bias_input is not None:
            x = torch.cat([x, x.new_full((x.shape[0], 1), self.bias_input)], dim=1)
        if matrix is None:
            return _product(x, tile)
        result: Tensor = _TileProduct.apply(x, matrix, tile, self.backward_pass)
        return result

    def _on_tiles(self, x: Tensor) -> Tensor:
        """Products of all chunks and groups: (rows, n_out of the layer), the bias added."""
        matrices: list[Tensor | None] = [None] * self._groups()
        if torch.is_grad_enabled():
            matrices = [*self._matrices()]
        chunks = [
            [self._run(x, tile, w) for x, tile, w in zip(parts, self.tiles, matrices, strict=True)]
            for parts in self.rows(x)
        ]
        joined = [parts[0] if len(parts) == 1 else torch.cat(parts, dim=1) for parts in chunks]
        y = joined[0] if len(joined) == 1 else torch.cat(joined)
        if self.bias is None or self.bias_input is not None:
            return y
        return y.add_(self.bias) if not torch.is_grad_enabled() else y + self.bias


@final
class AnalogLinear(AnalogLayer):
    """A linear layer whose product runs on one tile."""

    def __init__(
        self, layer: nn.Linear, tile: WeightTile, *, bias_input: float | None = None, backward: Backward = "ideal"
    ) -> None:
        super().__init__(layer.weight, layer.bias, (tile,), bias_input=bias_input, backward=backward)
        self.in_features = layer.in_features
        self.out_features = layer.out_features

    def rows(self, x: Tensor) -> Iterator[list[Tensor]]:
        """All leading dimensions are the batch."""
        yield [x.reshape(-1, self.in_features)]

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

    def rows(self, x: Tensor) -> Iterator[list[Tensor]]:
        """Patches ordered (channel, kernel row, kernel column), a few images at a time unless gradients are needed."""
        height, width = self._output_size(x)
        per_image = 4 * height * width * self.in_channels * math.prod(self.kernel_size)
        step = x.shape[0] if torch.is_grad_enabled() else max(1, PATCH_BYTES // per_image)
        for start in range(0, max(1, x.shape[0]), max(1, step)):
            images = self._padded(x[start : start + step])
            patches = self._unfold(images) if torch.is_grad_enabled() else self._gather(images)
            yield list(patches.chunk(self.groups, dim=1)) if self.groups > 1 else [patches]

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

    def _unfold(self, images: Tensor) -> Tensor:
        """Differentiable patches (images * positions, channels * kernel)."""
        columns = F.unfold(images, self.kernel_size, dilation=self.dilation, stride=self.stride)
        return columns.transpose(1, 2).reshape(-1, columns.shape[1])

    def _gather(self, images: Tensor) -> Tensor:
        """The same patches by one strided copy, without gradients."""
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(to_numpy(images), spans, axis=(2, 3), writeable=True)
        windows = windows[:, :, :: self.stride[0], :: self.stride[1], :: self.dilation[0], :: self.dilation[1]]
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, self.in_channels * math.prod(self.kernel_size))
        return to_torch(patches, images)


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
