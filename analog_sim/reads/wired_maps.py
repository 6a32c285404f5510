"""Voltages and currents of every cell of a crossbar during one read through its wires: for figures. It draws nothing and moves no clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.reads.wired_layout import LineLayout
from analog_sim.wires import Sinh, WiresSpec, solve_maps, solve_nonlinear

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellMaps:
    """One read, cell by cell.

    Attributes:
        volts: (planes, rows, cols) across every cell, word less bit line, a selector's share taken off. amperes: through every cell.
        residual: largest violation of Kirchhoff's current law, relative to the largest current of a terminal.
    """

    volts: F64
    amperes: F64
    residual: float


def cell_maps(spec: WiresSpec, g: npt.NDArray[np.floating], v: npt.ArrayLike, alpha: float = 0.0) -> CellMaps:
    """Solve one read of a crossbar.

    Args:
        spec: the wires. g: (planes, rows, cols) siemens, small-signal. v: (rows,) volts on the word lines.
        alpha: 1/V, of cells with I = g sinh(alpha v) / alpha; 0: ohmic.

    Raises WiresError for volts of another shape or that are not finite, and where no solution is found.
    """
    way = LineLayout(spec, len(g) == 2, False)
    driven = way.driven(np.atleast_2d(np.asarray(v, np.float64)))[0]
    found = []
    for cells in way.arrays(np.asarray(g, np.float32)):
        if alpha:
            found.append(solve_nonlinear(cells, way.topology, Sinh(alpha), driven).maps)
        else:
            found.append(solve_maps(cells, way.topology, driven))
    share = [1.0 / (1.0 + cells * spec.selector) for cells in way.arrays(np.asarray(g, np.float32))]
    volts = [(m.word - m.bit) * s for m, s in zip(found, share, strict=True)]
    return CellMaps(way.planes(volts), way.planes([m.cell for m in found]), max(m.residual for m in found))
