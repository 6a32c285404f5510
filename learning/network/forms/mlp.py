"""Dense layers on the flattened sample: `network: {kind: mlp, hidden: [256]}`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from learning.network.layers.activations import Gelu, LeakyReLU, ReLU, Sigmoid, Tanh
from learning.network.layers.base import Layer, Shape
from learning.network.layers.dropout import Dropout
from learning.network.layers.flatten import Flatten
from learning.network.layers.linear import Linear
from learning.network.spec import NetworkSpec, Size

Activation = Literal["relu", "tanh", "sigmoid", "leaky_relu", "gelu"]
_ACTIVATIONS: Mapping[str, Callable[..., Layer]] = MappingProxyType(
    {"relu": ReLU, "tanh": Tanh, "sigmoid": Sigmoid, "leaky_relu": LeakyReLU, "gelu": Gelu}
)


class Mlp(NetworkSpec):
    """Dense layers on the flattened sample.

    Attributes:
        hidden: units of the hidden layers; none for a linear network. activation: after each of them.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Size, ...] = (256,)
    activation: Activation = "relu"

    def listed(self, shape: Shape, outputs: int) -> tuple[Layer, ...]:
        """`flatten`, then `fc1`, activation, ..., and the last layer with one unit per output."""
        return (Flatten(name="flatten"), *dense(self.hidden, outputs, self.activation))


def dense(hidden: Sequence[int], outputs: int, activation: str, dropout: float = 0.0) -> Iterator[Layer]:
    """Dense layers fc1, fc2, ... with an activation, and dropout if any, after all but the last."""
    for k, units in enumerate(hidden, start=1):
        yield Linear(name=f"fc{k}", units=units)
        yield _ACTIVATIONS[activation](name=f"act_fc{k}")
        if dropout:
            yield Dropout(name=f"dropout{k}", share=dropout)
    yield Linear(name=f"fc{len(hidden) + 1}", units=outputs)
