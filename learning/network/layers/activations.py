"""Point-wise non-linearities and their derivatives. They never change a shape."""

from abc import abstractmethod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import ndtr

from analog_sim.threads import team_for
from learning.common.kernels import rectify, where_positive
from learning.network.layers.base import F32, DigitalLayer, Shape

WORTH_A_THREAD = 2**16
"""Numbers that are only passed through."""


class Activation(DigitalLayer):
    """``y = f(x)`` element by element."""

    def output_shape(self, shape: Shape) -> Shape:
        """The input's shape."""
        return shape

    def backward(self, grad: F32, x: F32, y: F32) -> F32:
        """``grad * f'(x)``."""
        return grad * self.slope(x, y)

    @abstractmethod
    def slope(self, x: F32, y: F32) -> F32:
        """f'(x), where y = f(x) is at hand; float32 or bool."""


class IdentityActivation(Activation):
    """``f(x) = x``."""

    kind: Literal["identity"] = "identity"

    def forward(self, x: F32) -> F32:
        """Return x."""
        return x

    def slope(self, x: F32, y: F32) -> F32:
        """1."""
        return np.ones_like(x)


class ReLU(Activation):
    """``f(x) = max(x, 0)``, slope 0 at 0."""

    kind: Literal["relu"] = "relu"

    def forward(self, x: F32) -> F32:
        """max(x, 0). NumPy's takes four times as long with a number as with an array."""
        if x.dtype != np.float32 or not x.flags.c_contiguous:
            return np.maximum(x, np.float32(0.0))
        y = np.empty_like(x)
        rectify(0, x.size, team_for(x.size, WORTH_A_THREAD), x.reshape(-1), y.reshape(-1))
        return y

    def backward(self, grad: F32, x: F32, y: F32) -> F32:
        """``grad`` where x > 0, elsewhere ``0 grad``."""
        if any(part.dtype != np.float32 or not part.flags.c_contiguous for part in (grad, x)):
            return super().backward(grad, x, y)
        out = np.empty_like(grad)
        team = team_for(x.size, WORTH_A_THREAD)
        where_positive(0, x.size, team, x.reshape(-1), grad.reshape(-1), out.reshape(-1))
        return out

    def slope(self, x: F32, y: F32) -> F32:
        """1 where x > 0, else 0."""
        return (x > 0).astype(np.float32)


class LeakyReLU(Activation):
    """``f(x) = x`` for x > 0, ``leak * x`` otherwise.

    Attributes:
        leak: slope for negative x.
    """

    kind: Literal["leaky_relu"] = "leaky_relu"
    leak: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01

    def forward(self, x: F32) -> F32:
        """max(x, leak * x)."""
        return np.maximum(x, np.float32(self.leak) * x)

    def slope(self, x: F32, y: F32) -> F32:
        """1 or leak."""
        return np.where(x > 0, np.float32(1.0), np.float32(self.leak))


class Tanh(Activation):
    """``f(x) = tanh(x)``."""

    kind: Literal["tanh"] = "tanh"

    def forward(self, x: F32) -> F32:
        """tanh(x)."""
        return np.tanh(x)

    def slope(self, x: F32, y: F32) -> F32:
        """``1 - y**2``."""
        return np.float32(1.0) - y * y


class Sigmoid(Activation):
    """``f(x) = 1 / (1 + exp(-x))``, computed as ``(1 + tanh(x / 2)) / 2``, which cannot overflow."""

    kind: Literal["sigmoid"] = "sigmoid"

    def forward(self, x: F32) -> F32:
        """1 / (1 + exp(-x))."""
        return np.float32(0.5) * (np.float32(1.0) + np.tanh(np.float32(0.5) * x))

    def slope(self, x: F32, y: F32) -> F32:
        """``y (1 - y)``."""
        return y * (np.float32(1.0) - y)


class Gelu(Activation):
    """``f(x) = x Phi(x)``, Phi the distribution function of the normal distribution (Hendrycks & Gimpel, arXiv:1606.08415, Eq. 1)."""

    kind: Literal["gelu"] = "gelu"

    def forward(self, x: F32) -> F32:
        """x Phi(x)."""
        return x * ndtr(x)

    def slope(self, x: F32, y: F32) -> F32:
        """``Phi(x) + x phi(x)``, phi the normal density."""
        density = np.exp(np.float32(-0.5) * x * x) * np.float32(1.0 / (2.0 * np.pi) ** 0.5)
        return ndtr(x) + x * density
