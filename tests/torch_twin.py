"""The torch twin of a network that learns on a chip: the same architecture, the weights that the cells truly hold, autograd.

An independent check of what the network and its backpropagation compute, and a start for digital training from the same first
weights. Decorrelating matrices are frozen layers of the twin. It never touches the chip.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from learning.network.layers.activations import IdentityActivation, LeakyReLU, ReLU, Sigmoid, Tanh
from learning.network.layers.base import DigitalLayer
from learning.network.layers.conv2d import Conv2d
from learning.network.layers.flatten import Flatten
from learning.network.layers.linear import Linear
from learning.network.layers.pooling import AvgPool, MaxPool, Pooling
from learning.network.network import Network, WeightLayer, matrix_name

F32 = npt.NDArray[np.float32]
M = TypeVar("M", nn.Linear, nn.Conv2d)

_PLAIN: Mapping[type[DigitalLayer], Callable[[], nn.Module]] = MappingProxyType(
    {IdentityActivation: nn.Identity, ReLU: nn.ReLU, Tanh: nn.Tanh, Sigmoid: nn.Sigmoid, Flatten: nn.Flatten}
)


def torch_twin(network: Network) -> nn.Sequential:
    """Return the network in torch; its weighted layers have the names of the network's, their weights want gradients.

    With a decorrelating matrix, the layer `<name>_R` before gives ``g R (z - mean)`` and the layer `<name>` is W (for a
    convolution a 1 x 1 convolution over the decorrelated patches), so that gradients are those of W in both.

    Raises:
        ValueError: a digital layer that has no counterpart here.
    """
    layers: list[tuple[str, nn.Module]] = [(f"head{k}", digital_layer(layer)) for k, layer in enumerate(network.head)]
    for weighted in network.layers:
        layers += _weighted(weighted)
        layers += [(f"{weighted.name}_tail{k}", digital_layer(layer)) for k, layer in enumerate(weighted.tail)]
    return nn.Sequential(OrderedDict(layers))


def digital_layer(layer: DigitalLayer) -> nn.Module:
    """The torch module of a digital layer. Raises ValueError when there is none."""
    if type(layer) in _PLAIN:
        return _PLAIN[type(layer)]()
    if isinstance(layer, LeakyReLU):
        return nn.LeakyReLU(layer.leak)
    if isinstance(layer, MaxPool | AvgPool):
        return _pooling(layer)
    raise ValueError(f"torch twin: no counterpart of a layer of kind '{layer.kind}'")


def _pooling(layer: Pooling) -> nn.Module:
    made = nn.MaxPool2d if isinstance(layer, MaxPool) else nn.AvgPool2d
    return made(layer.size, layer.stride or layer.size)


def _weighted(layer: WeightLayer) -> list[tuple[str, nn.Module]]:
    w = layer.tile.read_weights(exact=True)
    bias = layer.bias
    if layer.bias_line is not None:
        w, bias = w[:, :-1], w[:, -1] * np.float32(layer.bias_line)
    if layer.decorrelator is None:
        return [(layer.name, _product(layer, w, bias))]
    effective = layer.decorrelator.matrix.effective().astype(np.float32)
    shift = (-effective @ layer.decorrelator.mean).astype(np.float32)
    before = _product(layer, effective, shift).requires_grad_(False)
    after = _linear(w, bias) if isinstance(layer.kind, Linear) else _convolution(w[:, :, None, None], bias, 1, 0)
    return [(matrix_name(layer.name), before), (layer.name, after)]


def _product(layer: WeightLayer, w: F32, bias: F32 | None) -> nn.Module:
    """The layer's arithmetic with weights (n_out, n_in)."""
    if isinstance(layer.kind, Linear):
        return _linear(w, bias)
    if isinstance(layer.kind, Conv2d):
        kernel = w.reshape(len(w), layer.shape[0], layer.kind.kernel, layer.kind.kernel)
        return _convolution(kernel, bias, layer.kind.stride, layer.kind.padding)
    raise ValueError(f"torch twin: no counterpart of a layer of kind '{layer.kind.kind}'")


def _linear(w: F32, bias: F32 | None) -> nn.Linear:
    return _filled(nn.Linear(w.shape[1], w.shape[0], bias is not None), w, bias)


def _convolution(w: F32, bias: F32 | None, stride: int, padding: int) -> nn.Conv2d:
    size = (w.shape[2], w.shape[3])
    return _filled(nn.Conv2d(w.shape[1], w.shape[0], size, stride, padding, bias=bias is not None), w, bias)


def _filled(made: M, w: F32, bias: F32 | None) -> M:
    with torch.no_grad():
        made.weight.copy_(torch.tensor(w))
        if bias is not None and made.bias is not None:
            made.bias.copy_(torch.tensor(bias))
    return made
