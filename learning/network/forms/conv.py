"""A small convolutional network: `network: {kind: conv, channels: [32, 64]}`."""

from typing import Annotated, Literal

from pydantic import Field

from analog_sim.config import Q, UserError
from learning.network.forms.mlp import dense
from learning.network.layers.activations import ReLU
from learning.network.layers.base import Layer, Shape
from learning.network.layers.batch_norm import BatchNorm
from learning.network.layers.conv2d import Conv2d
from learning.network.layers.flatten import Flatten
from learning.network.layers.pooling import MaxPool
from learning.network.spec import NetworkSpec, Size


class ConvStages(NetworkSpec):
    """Stages of 3 x 3 convolution, optional batch normalisation, ReLU and 2 x 2 max pooling, then dense layers.

    Attributes:
        channels: of the stages. hidden: units of the dense hidden layers. batch_norm: after each convolution.
        dropout: share of the dense hidden units dropped in training.
    """

    kind: Literal["conv"] = "conv"
    channels: Annotated[tuple[Size, ...], Field(min_length=1)] = (32, 64)
    hidden: tuple[Size, ...] = (128,)
    batch_norm: bool = True
    dropout: Annotated[float, Q("fraction", "", ge=0, lt=1)] = 0.0

    def listed(self, shape: Shape, outputs: int) -> tuple[Layer, ...]:
        """conv1, norm1, act_conv1, pool1, conv2, ..., flatten, fc1, ..."""
        if len(shape) != 3:
            raise UserError(f"network: conv needs images (channels, height, width) (got samples of shape {shape})")
        found: list[Layer] = []
        height, width = shape[1:]
        for k, channels in enumerate(self.channels, start=1):
            if min(height, width) < 2:
                stages = len(self.channels)
                raise UserError(f"network: {stages} stages of pooling are too many for {shape[1]} x {shape[2]}")
            found.append(Conv2d(name=f"conv{k}", channels=channels, kernel=3, padding=1))
            if self.batch_norm:
                found.append(BatchNorm(name=f"norm{k}"))
            found += [ReLU(name=f"act_conv{k}"), MaxPool(name=f"pool{k}", size=2)]
            height, width = height // 2, width // 2
        return (*found, Flatten(name="flatten"), *dense(self.hidden, outputs, "relu", self.dropout))
