"""What a layer of a network is: a pure description with its arithmetic. It never holds a weight and never sees a tile.

A weighted layer turns its input into rows that a crossbar multiplies (`gather`), and the crossbar's rows into its output
(`assemble`); a digital layer (activation, pooling, reshaping) is a function with a derivative; a training layer (batch normalisation,
dropout) exists while a network is trained digitally.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import Part

F32 = npt.NDArray[np.float32]
Shape = tuple[int, ...]


class Layer(Part):
    """One layer of the YAML list `network.layers`.

    Attributes:
        name: of the layer and of its tiles, in tables and files; null for its kind and number. It is the place of its tiles on the chip,
            so that another name gives other cells.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)] | None = None

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one output sample for one input sample of `shape`. Raises ValueError when it does not fit."""


class DigitalLayer(Layer):
    """A layer computed beside the crossbars, ``y = f(x)``."""

    @abstractmethod
    def forward(self, x: F32) -> F32:
        """Return f(x), x (B, ...)."""

    @abstractmethod
    def backward(self, grad: F32, x: F32, y: F32) -> F32:
        """Return ``dL/dx`` from grad = dL/dy (B, ...), the input x and the output y."""


class TrainingLayer(Layer):
    """A layer that only digital training has: a network that learns on a chip is refused with it. Its samples keep their shape.

    Attributes:
        reason: why it cannot be in a network that learns on a chip, and what to write.
    """

    reason: ClassVar[str]

    def output_shape(self, shape: Shape) -> Shape:
        """The input's shape."""
        return shape


class WeightedLayer(Layer):
    """A layer whose product runs on a tile: rows (B * P, n_in) -> (B * P, n_out), P rows (patches) per sample."""

    @abstractmethod
    def matrix(self, shape: Shape) -> tuple[int, int]:
        """Return (n_out, n_in) of the weight matrix for input samples of `shape`."""

    @abstractmethod
    def patches(self, shape: Shape) -> int:
        """Rows P per sample."""

    @abstractmethod
    def gather(self, x: F32) -> F32:
        """Input (B, *shape) -> rows (B * P, n_in)."""

    @abstractmethod
    def scatter(self, rows: F32, shape: Shape) -> F32:
        """Transpose of `gather`: gradient of rows (B * P, n_in) -> gradient of the input (B, *shape)."""

    @abstractmethod
    def assemble(self, rows: F32, shape: Shape) -> F32:
        """Rows (B * P, n_out) -> output (B, *output_shape(shape))."""

    @abstractmethod
    def disassemble(self, grad: F32) -> F32:
        """Inverse of `assemble`: gradient of the output -> gradient of the rows (B * P, n_out)."""
