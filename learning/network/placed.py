"""The layers of a network with their names and the shapes of their samples: what every builder starts from. It never builds anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analog_sim.config import UserError
from learning.network.layers.base import Layer, Shape, WeightedLayer
from learning.network.layers.batch_norm import BatchNorm
from learning.network.spec import NetworkSpec


@dataclass(frozen=True)
class PlacedLayer:
    """One layer at its place.

    Attributes:
        name: unique in the network. layer: what it computes. before, after: shape of a sample in front of it and behind it.
        bias: whether it has one: a layer with weights, unless the network has none or batch normalisation follows.
    """

    name: str
    layer: Layer
    before: Shape
    after: Shape
    bias: bool


def placed_layers(spec: NetworkSpec, shape: Shape, outputs: int) -> tuple[PlacedLayer, ...]:
    """The layers of a network for samples of `shape`.

    A layer without a name is named by its kind and number: `linear2` is the second layer with weights, `relu_3` the fourth of all.

    Raises:
        UserError: layers that do not fit together, or of one name, or that end in another number of outputs than the data have.
    """
    layers = spec.listed(shape, outputs)
    found: list[PlacedLayer] = []
    for number, (layer, name) in enumerate(zip(layers, _names(layers), strict=True)):
        try:
            after = layer.output_shape(shape)
        except ValueError as error:
            raise UserError(f"network.layers[{number}]: {error}") from error
        normalised = number + 1 < len(layers) and isinstance(layers[number + 1], BatchNorm)
        bias = isinstance(layer, WeightedLayer) and spec.bias != "none" and not normalised
        found.append(PlacedLayer(name, layer, shape, after, bias))
        shape = after
    if shape != (outputs,):
        raise UserError(
            f"network: ends in samples of shape {shape}, the data need ({outputs},): one value per class or target"
        )
    return tuple(found)


def _names(layers: Sequence[Layer]) -> list[str]:
    """A name for every layer. Raises UserError for two of one name."""
    names: list[str] = []
    weighted = 0
    for number, layer in enumerate(layers):
        weighted += isinstance(layer, WeightedLayer)
        own = f"{layer.kind}{weighted}" if isinstance(layer, WeightedLayer) else f"{layer.kind}_{number}"
        names.append(layer.name or own)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"network: two layers of the same name: {', '.join(twice)}")
    return names
