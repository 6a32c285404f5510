"""Read noise law: a polynomial of the conductance, rescaled when the card's g_max is not the one it was measured at."""

from typing import Annotated, Literal

from pydantic import Field

from analog_sim.config import Q
from devices.polynomial import evaluate
from devices.read_noise.law import MOST_RELATIVE, Origin, ReadNoiseLaw
from devices.window import F64, Values, Window


class PolynomialReadNoise(ReadNoiseLaw):
    """``read_std(g) = (g_max / reference_g_max) max(0, sum_k c_k (g / g_max)**k)``, the same at every age; of a cell at most
    g / 3.

    Attributes:
        coefficients: c_0, c_1, ... in siemens. reference_g_max: the g_max at which they were measured, in siemens.
        of: "cell" or "reading", see `devices.read_noise.law.Origin`: whether c_0 holds for a cell at 0 S.

    Source: Nandakumar et al., J. Appl. Phys. 124, 152135 (2018), doi:10.1063/1.5042408 (first order).
    """

    kind: Literal["polynomial"] = "polynomial"
    coefficients: Annotated[tuple[Annotated[float, Q("conductance", "uS")], ...], Field(min_length=1)]
    reference_g_max: Annotated[float, Q("conductance", "uS", gt=0)]
    of: Origin = "cell"

    @property
    def most_relative(self) -> float:
        """A third, of a cell."""
        return MOST_RELATIVE if self.of == "cell" else float("inf")

    def white(self, g: Values, window: Window) -> F64:
        """The polynomial, not below 0, in siemens at this card's g_max."""
        return evaluate(self.coefficients, self.reference_g_max, g, window)
