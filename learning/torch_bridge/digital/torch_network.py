"""A network in torch, from its list of layers: untrained, as it was trained, or as it is on a chip now. It never touches the chip.

Decorrelating matrices are layers of their own, `<name>_R`, in front of their layer.
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

from analog_sim.random.streams import Streams
from learning.network.layers.activations import Gelu, IdentityActivation, LeakyReLU, ReLU, Sigmoid, Tanh
from learning.network.layers.base import DigitalLayer, Layer, Shape, WeightedLayer
from learning.network.layers.batch_norm import BatchNorm
from learning.network.layers.conv2d import Conv2d
from learning.network.layers.dropout import Dropout
from learning.network.layers.flatten import Flatten
from learning.network.layers.linear import Linear
from learning.network.layers.pooling import AvgPool, MaxPool, Pooling
from learning.network.learned import GAIN, MATRIX, MEAN, LearnedNetwork
from learning.network.network import Network, WeightLayer, matrix_name
from learning.network.placed import PlacedLayer, placed_layers
from learning.network.spec import NetworkSpec
from learning.torch_bridge.digital.own_layer import OwnLayer

F32 = npt.NDArray[np.float32]
M = TypeVar("M", nn.Linear, nn.Conv2d)

_PLAIN: Mapping[type[DigitalLayer], Callable[[], nn.Module]] = MappingProxyType(
    {
        IdentityActivation: nn.Identity,
        ReLU: nn.ReLU,
        Tanh: nn.Tanh,
        Sigmoid: nn.Sigmoid,
        Flatten: nn.Flatten,
        Gelu: nn.GELU,
    }
)


def torch_network(spec: NetworkSpec, shape: Shape, outputs: int, seed: int = 0) -> nn.Sequential:
    """An untrained network, its weights and biases from torch's global generator, or as `spec.init` says.

    Args:
        spec: section `network`. shape: of a sample. outputs: that the data ask for. seed: of weights drawn as `spec.init` says.

    Raises:
        UserError: layers that do not fit together or the data.
    """
    layers = [(place.name, _untrained(place)) for place in placed_layers(spec, shape, outputs)]
    with torch.no_grad():
        for name, made in layers:
            if isinstance(made, nn.Linear | nn.Conv2d):
                _begin(spec, name, made, seed)
    return nn.Sequential(OrderedDict(layers))


def _untrained(place: PlacedLayer) -> nn.Module:
    layer, before = place.layer, place.before
    if isinstance(layer, Linear):
        return nn.Linear(before[0], layer.units, place.bias)
    if isinstance(layer, Conv2d):
        return nn.Conv2d(before[0], layer.channels, layer.kernel, layer.stride, layer.padding, bias=place.bias)
    if isinstance(layer, BatchNorm):
        return nn.BatchNorm2d(before[0]) if len(before) == 3 else nn.BatchNorm1d(before[0])
    if isinstance(layer, Dropout):
        return nn.Dropout(layer.share)
    if isinstance(layer, DigitalLayer):
        return digital_layer(layer)
    raise _unknown(layer)


def _begin(spec: NetworkSpec, name: str, made: nn.Linear | nn.Conv2d, seed: int) -> None:
    """First weights as the configuration says; torch's own where it says nothing."""
    if spec.init == "auto":
        made.weight *= spec.init_scale
        return
    drawn = spec.draw(len(made.weight), made.weight[0].numel(), Streams(seed).stream("init", name))
    made.weight.copy_(torch.tensor(drawn).reshape(made.weight.shape))
    if made.bias is not None:
        made.bias.zero_()


def torch_learned(learned: LearnedNetwork) -> nn.Sequential:
    """A trained network, in evaluation mode; where inputs are only centred, the mean is in the bias of their layer."""
    for place in learned.placed():
        if learned.decorrelated(place.name) and learned.get(place.name, MATRIX) is None:
            learned = learned.folded(place.name)
    layers: list[tuple[str, nn.Module]] = []
    for place in learned.placed():
        if isinstance(place.layer, WeightedLayer):
            w, bias = learned.weights(place.name), learned.get(place.name, "bias")
            matrix, gain = learned.get(place.name, MATRIX), learned.get(place.name, GAIN)
            mean = learned.get(place.name, MEAN)
            if matrix is None or gain is None or mean is None:
                layers.append((place.name, _product(place.layer, place.before, w, bias)))
            else:
                layers += _decorrelated(place.name, place.layer, place.before, w, bias, gain[:, None] * matrix, mean)
        else:
            layers.append((place.name, _untrained(place)))
    made = nn.Sequential(OrderedDict(layers))
    rest = {key: torch.tensor(value) for key, value in learned.arrays.items() if key in made.state_dict()}
    rest = {key: value for key, value in rest.items() if value.shape == made.state_dict()[key].shape}
    made.load_state_dict(rest, strict=False)  # what batch normalisation has beside the weights
    return made.eval()


def torch_copy(network: Network) -> nn.Sequential:
    """Return the network as it is now in torch; its weighted layers have the names of the network's, their weights want gradients.

    With a decorrelating matrix, the layer `<name>_R` before gives ``g R (z - mean)`` and the layer `<name>` is W (for a
    convolution a 1 x 1 convolution over the decorrelated patches), so that gradients are those of W in both.
    """
    layers: list[tuple[str, nn.Module]] = [(f"head{k}", digital_layer(layer)) for k, layer in enumerate(network.head)]
    for weighted in network.layers:
        layers += _weighted(weighted)
        layers += [(f"{weighted.name}_tail{k}", digital_layer(layer)) for k, layer in enumerate(weighted.tail)]
    return nn.Sequential(OrderedDict(layers))


def digital_layer(layer: DigitalLayer) -> nn.Module:
    """The torch module of a digital layer, or its own arithmetic where torch has none."""
    if type(layer) in _PLAIN:
        return _PLAIN[type(layer)]()
    if isinstance(layer, LeakyReLU):
        return nn.LeakyReLU(layer.leak)
    if isinstance(layer, MaxPool | AvgPool):
        return _pooling(layer)
    return OwnLayer(layer)


def _pooling(layer: Pooling) -> nn.Module:
    made = nn.MaxPool2d if isinstance(layer, MaxPool) else nn.AvgPool2d
    return made(layer.size, layer.stride or layer.size)


def _weighted(layer: WeightLayer) -> list[tuple[str, nn.Module]]:
    w = layer.tile.read_weights(exact=True)
    bias = layer.bias
    if layer.bias_line is not None:
        w, bias = w[:, :-1], w[:, -1] * np.float32(layer.bias_line)
    if layer.decorrelator is None:
        return [(layer.name, _product(layer.kind, layer.shape, w, bias))]
    effective = layer.decorrelator.matrix.effective().astype(np.float32)
    return _decorrelated(layer.name, layer.kind, layer.shape, w, bias, effective, layer.decorrelator.mean)


def _decorrelated(
    name: str, kind: WeightedLayer, shape: Shape, w: F32, bias: F32 | None, effective: F32, mean: F32
) -> list[tuple[str, nn.Module]]:
    """``g R (x - mean)`` as a layer that wants no gradient, then W on its outputs."""
    shift = (-effective @ mean).astype(np.float32)
    before = _product(kind, shape, effective, shift).requires_grad_(False)
    after = _linear(w, bias) if isinstance(kind, Linear) else _convolution(w[:, :, None, None], bias, 1, 0)
    return [(matrix_name(name), before), (name, after)]


def _product(kind: WeightedLayer, shape: Shape, w: F32, bias: F32 | None) -> nn.Module:
    """A layer's arithmetic with weights (n_out, n_in)."""
    if isinstance(kind, Linear):
        return _linear(w, bias)
    if isinstance(kind, Conv2d):
        kernel = w.reshape(len(w), shape[0], kind.kernel, kind.kernel)
        return _convolution(kernel, bias, kind.stride, kind.padding)
    raise _unknown(kind)


def _unknown(layer: Layer) -> ValueError:
    return ValueError(f"torch: no counterpart of a layer of kind '{layer.kind}'")


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
