"""Section `network` of an experiment, the same in `estimate/1` and `train/1`: the layers, biases, first weights. It never builds anything.

Every form is a list of layers: `layers` is the list itself, `mlp`, `lenet` and `conv` are short for lists that depend on the samples.
"""

from abc import abstractmethod
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from analog_sim.config import Part, one_of, refuse
from analog_sim.random.streams import Stream
from learning.network.layers.base import Layer, Shape

F32 = npt.NDArray[np.float32]
Size = Annotated[int, Field(ge=1, le=10**6)]


class NetworkSpec(Part):
    """A feed-forward network.

    Attributes:
        bias: in the digital periphery, on an extra line of the crossbar with a constant input, or none.
        bias_line: the constant input of that line; "auto" is 1 where a network learns on the chip, and the largest input of the layer in
            an estimate.
        init: distribution of the first weights: uniform in +-1/sqrt(n_in) ("lecun_uniform"), normal with variance 2/n_in ("he_normal")
            or 2/(n_in + n_out) ("xavier_normal"), or zeros ("zeros"), with biases 0. "auto" is he_normal where a network learns on
            the chip, and torch's own first weights and biases, uniform in +-1/sqrt(n_in), in digital training.
        init_scale: factor on the first weights.
    """

    bias: Literal["digital", "chip", "none"] = "digital"
    bias_line: Annotated[float, Field(gt=0.0, le=1e6)] | Literal["auto"] = "auto"
    init: Literal["auto", "lecun_uniform", "he_normal", "xavier_normal", "zeros"] = "auto"
    init_scale: Annotated[float, Field(ge=1e-12, le=1e6)] = 1.0

    @abstractmethod
    def listed(self, shape: Shape, outputs: int) -> tuple[Layer, ...]:
        """The layers for samples of `shape` and so many outputs. Raises UserError when the form does not fit the samples."""

    def draw(self, n_out: int, n_in: int, stream: Stream) -> F32:
        """First weights (n_out, n_in)."""
        if self.init == "zeros":
            return np.zeros((n_out, n_in), np.float32)
        if self.init == "lecun_uniform":
            bound = self.init_scale / n_in**0.5
            return (stream.uniforms((n_out, n_in)) * np.float32(2.0) - np.float32(1.0)) * np.float32(bound)
        variance = 2.0 / (n_in + n_out) if self.init == "xavier_normal" else 2.0 / n_in
        drawn: F32 = stream.normals((n_out, n_in)) * np.float32(self.init_scale * variance**0.5)
        return drawn


def _not_a_bare_list(value: object) -> object:
    """A list of layers has a key, because others may stand beside it."""
    if isinstance(value, list | tuple):
        raise refuse("write a list of layers as {layers: [...]}, or {kind: mlp, ...}, {kind: lenet}, {kind: conv, ...}")
    return value


AnyNetwork = Annotated[
    NetworkSpec, one_of("learning.network.forms", NetworkSpec, default="layers"), BeforeValidator(_not_a_bare_list)
]
"""Field of an experiment that holds a network in any form."""
