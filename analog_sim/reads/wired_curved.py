"""Reads under wires of cells with a non-linear current-voltage curve, I = g sinh(a v) / a: Newton's method for every input.

Nothing can be cached: an input decides the working points of all cells. Read noise goes through the tangents there, var I_k =
sum_i (x_ik sigma_ik f(v_ik))^2 with x of the array of slopes g f'(v) (`analog_sim.wires`, first order, cells of bit line k).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analog_sim.reads.wired_layout import LineLayout
from analog_sim.threads import in_parts
from analog_sim.wires import Sinh, Topology, factored, reach, solve_nonlinear

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
RESIDUAL = 1e-7
"""Bound of the current missing at the nodes of a bit line, relative to the largest current."""


def curved_read(
    layout: LineLayout, topology: Topology, alpha: float, g: F32, v: F32, std: F32 | None
) -> tuple[F32, F32 | None, float]:
    """Currents (B, outputs) amperes, the variance of their read noise (None for silent cells), and the largest residual.

    Args:
        layout: how cells lie. topology: resistive wires, no selector. alpha: 1/V.
        g: (planes, rows, cols) siemens, small-signal. v: (B, inputs) volts. std: siemens of one read of every cell, as g.

    Raises WiresError where Newton's method does not converge.
    """
    volts, law = layout.driven(v), Sinh(alpha)
    cells = layout.arrays(g)
    noise = [None] * len(cells) if std is None else layout.arrays(std)
    currents = [np.empty((len(v), a.shape[1])) for a in cells]
    variances = [np.empty((len(v), a.shape[1])) for a in cells]
    residuals = np.zeros(len(v))

    def part(first: int, last: int) -> None:
        for b in range(first, last):
            for k, (a, sigma) in enumerate(zip(cells, noise, strict=True)):
                found = solve_nonlinear(a, topology, law, volts[b], RESIDUAL)
                currents[k][b] = found.maps.currents
                residuals[b] = max(residuals[b], found.residual)
                if sigma is not None:
                    across = found.maps.word - found.maps.bit
                    x = reach(factored(a * law.slope(across), topology))
                    variances[k][b] = np.square(x * sigma * law.current(across)).sum(0)

    if len(v):
        in_parts(part, len(v), 1)
    spread = None if std is None else layout.output(variances, 1.0).astype(np.float32)
    return layout.output(currents).astype(np.float32), spread, float(residuals.max(initial=0.0))
