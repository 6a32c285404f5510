"""The losses of `learning/losses` as functions of torch tensors, for digital training. A new loss needs nothing here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from learning.losses.base import Loss
from learning.losses.cross_entropy import CrossEntropy
from learning.torch_bridge.arrays import to_numpy


def torch_loss(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """Mean loss of outputs (B, n) and targets, as a scalar with its gradient. Cross entropy is torch's own."""
    if isinstance(loss, CrossEntropy):
        return F.cross_entropy
    return lambda output, target: _MeanLoss.apply(output, target, loss)


class _MeanLoss(torch.autograd.Function):
    """Any loss, by its own arrays: ``L = mean_b l_b`` and ``dL/d output``."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor, loss: Loss) -> Tensor:
        outputs, targets = to_numpy(output), target.numpy()
        ctx.save_for_backward(torch.from_numpy(loss.gradient(outputs, targets)))
        return output.new_tensor(loss.mean(outputs, targets))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grads[0] * gradient, None, None
