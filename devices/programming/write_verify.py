"""Programming error law: the write-verify loop itself, attempt by attempt. Use it to study tolerance and iterations."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.cells.cell_model import VerifyModel
from analog_sim.config import Q
from devices.normal import below, density
from devices.programming.law import ProgrammingLaw
from devices.window import F64, FINE_NODES, Values, Window, tabulate


class WriteVerifyProgramming(ProgrammingLaw):
    """Write until the reading is within the tolerance: attempts ``e ~ N(0, shot_std**2)``, accepted when ``|e + n| <= tolerance``.

    n ~ N(0, read_std**2) is the noise of the verifying read; the last attempt is kept whatever it is. With N attempts,
    ``s**2 = shot_std**2 + read_std**2``, ``rho = (shot_std / s)**2``, ``a = tolerance / s``, ``q = 2 Phi(-a)`` (refused):

    ``program_std**2 = (1 - q**(N-1)) [rho**2 s**2 (1 - 2 a phi(a) / (1 - q)) + shot_std**2 (1 - rho)] + q**(N-1) shot_std**2``.

    Attributes:
        shot_std, shot_relative: error of one attempt, ``shot_std(g)**2 = shot_std**2 + (shot_relative g)**2``; siemens.
        tolerance: half-width of the band around the target that counts as reached, siemens.
        max_iterations: N, attempts after which a cell is left as it is.

    Source: variance of a truncated normal; the loop is that of Wan et al., Nature 608, 504 (2022), doi:10.1038/s41586-022-04992-8,
    Extended Data Fig. 3.
    """

    kind: Literal["write_verify"] = "write_verify"
    shot_std: Annotated[float, Q("conductance", "uS", ge=0)] = 0.0
    shot_relative: Annotated[float, Field(ge=0, le=10)] = 0.0
    tolerance: Annotated[float, Q("conductance", "uS", gt=0)]
    max_iterations: Annotated[int, Field(ge=1, le=1000)] = 20

    def attempt_std(self, g: Values) -> F64:
        """Standard deviation of one attempt in siemens at the target g."""
        return np.hypot(self.shot_std, self.shot_relative * np.asarray(g, float))

    def program_std(self, g: Values, window: Window, read_std: Values = 0.0) -> F64:
        """Standard deviation of what the loop leaves, in siemens."""
        shot = np.maximum(self.attempt_std(g), 1e-30)
        total = np.hypot(shot, read_std)
        rho = (shot / total) ** 2
        a = self.tolerance / total
        refused = 2.0 * below(-a)
        accepted = np.maximum(1.0 - refused, 1e-300)
        inside = rho**2 * total**2 * (1.0 - 2.0 * a * density(a) / accepted) + shot**2 * (1.0 - rho)
        last = refused ** (self.max_iterations - 1)
        return np.sqrt((1.0 - last) * inside + last * shot**2)

    def verify(self, window: Window) -> VerifyModel | None:
        """The loop."""
        (shot_std,) = tabulate(window.grid(), self.attempt_std)
        return VerifyModel(shot_std, self.tolerance, self.max_iterations)

    @property
    def nodes(self) -> int:
        """`FINE_NODES`; two are kept when all is linear."""
        return FINE_NODES
