"""A network as the list of its layers: `network: {layers: [flatten, {kind: linear, units: 10}]}`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from analog_sim.config import one_of
from learning.network.layers.base import Layer, Shape, WeightedLayer
from learning.network.spec import NetworkSpec


class LayerList(NetworkSpec):
    """Layers in order.

    Attributes:
        layers: a layer without options may be written by its bare kind, such as `relu`. The last one must give one value per output.
    """

    kind: Literal["layers"] = "layers"
    layers: Annotated[tuple[Annotated[Layer, one_of("learning.network.layers", Layer)], ...], Field(min_length=1)]

    @field_validator("layers")
    @classmethod
    def _has_weights(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if not any(isinstance(layer, WeightedLayer) for layer in layers):
            raise ValueError("needs at least one layer with weights (linear or conv2d)")
        return layers

    def listed(self, shape: Shape, outputs: int) -> tuple[Layer, ...]:
        """The list as it is."""
        return self.layers
