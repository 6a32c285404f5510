"""Programming error law: a polynomial of the target, rescaled when the card's g_max is not the one it was measured at."""

from typing import Annotated, Literal

from pydantic import Field

from analog_sim.cells.cell_model import VerifyModel
from analog_sim.config import Q
from devices.polynomial import evaluate
from devices.programming.law import ProgrammingLaw
from devices.window import F64, FINE_NODES, Values, Window


class PolynomialProgramming(ProgrammingLaw):
    """``program_std(g) = scale (g_max / reference_g_max) max(0, sum_k c_k (g / g_max)**k)``.

    The coefficients were measured on a device whose largest conductance is `reference_g_max`; on a card with another g_max the
    whole law is scaled with it, so that the error relative to g_max is what was measured.

    Attributes:
        coefficients: c_0, c_1, ... in siemens. reference_g_max: the g_max at which they were measured, in siemens.
        scale: factor on the error.

    Source: Nandakumar et al., ICECS 2019, doi:10.1109/ICECS46596.2019.8964852; Joshi et al., Nat. Commun. 11, 2473 (2020),
    doi:10.1038/s41467-020-16108-9.
    """

    kind: Literal["polynomial"] = "polynomial"
    coefficients: Annotated[tuple[Annotated[float, Q("conductance", "uS")], ...], Field(min_length=1)]
    reference_g_max: Annotated[float, Q("conductance", "uS", gt=0)]
    scale: Annotated[float, Field(ge=0, le=1e6)] = 1.0

    def program_std(self, g: Values, window: Window, read_std: Values = 0.0) -> F64:
        """The polynomial, not below 0, in siemens at this card's g_max."""
        return self.scale * evaluate(self.coefficients, self.reference_g_max, g, window)

    def verify(self, window: Window) -> VerifyModel | None:
        """None."""
        return None

    @property
    def nodes(self) -> int:
        """`FINE_NODES`; two are kept when all is linear."""
        return FINE_NODES
