"""Section `network` of an experiment: the layers, where biases live, how weights begin. It never builds anything."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from analog_sim.config import StrictModel, one_of
from analog_sim.random.streams import Stream
from learning.network.layers.base import Layer, WeightedLayer

F32 = npt.NDArray[np.float32]


class NetworkSpec(StrictModel):
    """A feed-forward network.

    Attributes:
        layers: in order; a layer without options may be written by its bare kind, such as `relu`.
        bias: in the digital periphery, on an extra line of the crossbar with a constant input, or none.
        bias_line: the constant input of that line.
        init: distribution of the first weights: uniform in +-1/sqrt(n_in) ("lecun_uniform", torch's default for linear
            layers), normal with variance 2/n_in ("he_normal") or 2/(n_in + n_out) ("xavier_normal"), or zeros ("zeros").
            Biases begin at 0.
        init_scale: factor on the first weights.
    """

    layers: Annotated[tuple[Annotated[Layer, one_of("learning.network.layers", Layer)], ...], Field(min_length=1)]
    bias: Literal["digital", "chip", "none"] = "digital"
    bias_line: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    init: Literal["lecun_uniform", "he_normal", "xavier_normal", "zeros"] = "he_normal"
    init_scale: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0

    @field_validator("layers")
    @classmethod
    def _has_weights(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if not any(isinstance(layer, WeightedLayer) for layer in layers):
            raise ValueError("needs at least one layer with weights (linear or conv2d)")
        return layers

    def draw(self, n_out: int, n_in: int, stream: Stream) -> F32:
        """First weights (n_out, n_in)."""
        if self.init == "zeros":
            return np.zeros((n_out, n_in), np.float32)
        if self.init == "lecun_uniform":
            bound = self.init_scale / n_in**0.5
            return (stream.uniforms((n_out, n_in)) * np.float32(2.0) - np.float32(1.0)) * np.float32(bound)
        variance = 2.0 / n_in if self.init == "he_normal" else 2.0 / (n_in + n_out)
        drawn: F32 = stream.normals((n_out, n_in)) * np.float32(self.init_scale * variance**0.5)
        return drawn
