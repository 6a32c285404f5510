"""LeNet-5: `network: lenet`."""

from typing import Literal

from analog_sim.config import UserError
from learning.network.forms.mlp import dense
from learning.network.layers.activations import ReLU
from learning.network.layers.base import Layer, Shape
from learning.network.layers.conv2d import Conv2d
from learning.network.layers.flatten import Flatten
from learning.network.layers.pooling import MaxPool
from learning.network.spec import NetworkSpec, Size


class Lenet(NetworkSpec):
    """LeNet-5 (LeCun et al., Proc. IEEE 86, 2278, 1998, doi:10.1109/5.726791) with ReLU and max pooling.

    Two 5 x 5 convolutions, each with 2 x 2 pooling, then dense layers; 28 x 28 images are padded to 32 x 32 as in the paper.

    Attributes:
        channels: of the two convolutions. hidden: units of the dense hidden layers.
    """

    kind: Literal["lenet"] = "lenet"
    channels: tuple[Size, Size] = (6, 16)
    hidden: tuple[Size, ...] = (120, 84)

    def listed(self, shape: Shape, outputs: int) -> tuple[Layer, ...]:
        """conv1, pooling, conv2, pooling, flatten, fc1, ...; images below 32 x 32 are padded by 2."""
        if len(shape) != 3:
            raise UserError(f"network: lenet needs images (channels, height, width) (got samples of shape {shape})")
        padding = 2 if min(shape[1:]) < 32 else 0
        out = [((n + 2 * padding - 4) // 2 - 4) // 2 for n in shape[1:]]
        if min(out) < 1:
            raise UserError(f"network: lenet needs images of at least 12 x 12 (got {shape[1]} x {shape[2]})")
        first, second = self.channels
        return (
            Conv2d(name="conv1", channels=first, kernel=5, padding=padding),
            ReLU(name="act_conv1"),
            MaxPool(name="pool1", size=2),
            Conv2d(name="conv2", channels=second, kernel=5),
            ReLU(name="act_conv2"),
            MaxPool(name="pool2", size=2),
            Flatten(name="flatten"),
            *dense(self.hidden, outputs, "relu"),
        )
