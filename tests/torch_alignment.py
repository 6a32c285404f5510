"""True gradients of a torch module, layer by layer, and how well a learning rule's updates point along them.

``cos(g, u) = <g, u> / (|g| |u|)`` over all elements of a weight matrix. It never changes the module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learning.torch_bridge.arrays import to_numpy

F32 = npt.NDArray[np.float32]
Loss = Callable[[Tensor, Tensor], Tensor]


def layer_gradients(
    module: nn.Module, x: npt.ArrayLike, y: npt.ArrayLike, loss: Loss = F.cross_entropy
) -> dict[str, F32]:
    """Gradient of the loss with respect to the weights of every Linear and Conv2d layer that learns, by autograd.

    Args:
        module: the network in torch; evaluated as it is, in training or evaluation mode. x: (B, ...) inputs. y: (B,) labels, or
            targets as `loss` takes them. loss: (outputs, targets) -> scalar.

    Returns:
        layer's name -> (n_out, n_in), for a convolution (n_out, channels * kernel rows * kernel columns): the shape of
        the layer's tile. Parameters' own `.grad` is left alone.
    """
    layers = {
        name: child
        for name, child in module.named_modules()
        if isinstance(child, nn.Linear | nn.Conv2d) and child.weight.requires_grad
    }
    weights = [layer.weight for layer in layers.values()]
    with torch.enable_grad():
        value = loss(module(torch.tensor(np.asarray(x))), torch.tensor(np.asarray(y)))
        found = torch.autograd.grad(value, weights, allow_unused=True)
    return {
        name: np.zeros((w.shape[0], w[0].numel()), np.float32) if g is None else to_numpy(g.flatten(1)).copy()
        for name, w, g in zip(layers, weights, found, strict=True)
    }


def cosine(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Cosine of the angle between two arrays of the same shape; nan when one of them is zero.

    Raises:
        ValueError: different shapes.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"cosine: shapes differ, {first.shape} and {second.shape}")
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.vdot(first, second)) / size if size > 0.0 else float("nan")


def alignment(updates: Mapping[str, npt.ArrayLike], gradients: Mapping[str, npt.ArrayLike]) -> dict[str, float]:
    """Layer -> cosine between its update and the descent direction, minus the gradient: 1 is perfect, 0 is random.

    Raises:
        ValueError: a layer of `updates` is not in `gradients`, or shapes differ.
    """
    if unknown := [name for name in updates if name not in gradients]:
        raise ValueError(f"alignment: no gradient for {', '.join(unknown)} (have {', '.join(gradients)})")
    return {name: cosine(update, -np.asarray(gradients[name])) for name, update in updates.items()}
