"""Fully connected layer ``a = W y + b``. It never reshapes an image: put `flatten` before it."""

from typing import Annotated, Literal

from pydantic import Field

from learning.network.layers.base import F32, Shape, WeightedLayer


class Linear(WeightedLayer):
    """`units` outputs, one row per sample.

    Attributes:
        units: number of outputs.
    """

    kind: Literal["linear"] = "linear"
    units: Annotated[int, Field(ge=1, le=10**6)]

    def output_shape(self, shape: Shape) -> Shape:
        """(n_in,) -> (units,)."""
        if len(shape) != 1:
            raise ValueError(f"linear: needs flat samples (n,), got {shape}; put 'flatten' before it")
        return (self.units,)

    def matrix(self, shape: Shape) -> tuple[int, int]:
        """(units, n_in)."""
        self.output_shape(shape)
        return self.units, shape[0]

    def patches(self, shape: Shape) -> int:
        """One row per sample."""
        return 1

    def gather(self, x: F32) -> F32:
        """Samples are rows already."""
        return x

    def scatter(self, rows: F32, shape: Shape) -> F32:
        """Rows are samples already."""
        return rows

    def assemble(self, rows: F32, shape: Shape) -> F32:
        """Rows are outputs already."""
        return rows

    def disassemble(self, grad: F32) -> F32:
        """Outputs are rows already."""
        return grad
