"""A digital layer of `learning.network.layers` as a torch module, by its own arithmetic. A new layer needs nothing here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from learning.network.layers.base import DigitalLayer
from learning.torch_bridge.arrays import to_numpy


class OwnLayer(nn.Module):
    """``y = f(x)`` and ``dL/dx`` as the layer computes them on arrays; for layers that torch has no module of."""

    def __init__(self, layer: DigitalLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        y = _ByArrays.apply(x, self.layer)
        assert isinstance(y, Tensor)
        return y


class _ByArrays(torch.autograd.Function):
    """A layer's `forward` and `backward`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: DigitalLayer) -> Tensor:
        y = torch.from_numpy(layer.forward(to_numpy(x)))
        ctx.save_for_backward(x, y)
        ctx.layer = layer
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        x, y = ctx.saved_tensors
        return torch.from_numpy(ctx.layer.backward(to_numpy(grads[0]), to_numpy(x), to_numpy(y))), None
