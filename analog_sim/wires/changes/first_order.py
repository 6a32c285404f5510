"""The effective matrix of cells that change all the time, to the first order of the change: at the price of a few products per cell.

    G(new) ~ G(old) + x dg h + sum_a m_a (sum_i x dg (c^a - h m_a))      (`response`; exact for the smooth inputs m_a, to first order)

The error is measured with one exact solve whenever the cells have moved a quarter further than at the last measurement (it grows with the
square of the change), and the matrix is made anew when it exceeds a share of the IR drop. What is returned follows from the base, how far
the cells had moved at the last measurement, and the cells.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from analog_sim.wires.changes.response import Response, response
from analog_sim.wires.changes.update import Step
from analog_sim.wires.effective import effective_matrix
from analog_sim.wires.kernels.first_order import corrected
from analog_sim.wires.network import Network, factored
from analog_sim.wires.single import currents
from analog_sim.wires.topology import Topology

F64 = npt.NDArray[np.float64]

SHARE = 0.02
"""Bound of the measured error, relative to the IR drop (rms over the bit lines): between measurements it can grow by half."""
_BASE = 1e-4
"""Error of the matrices that corrections start from, relative to the largest current."""
_FURTHER = 1.25
_LEAST = 0.01
"""Relative change of the cells (rms) below which nothing is measured."""


class FirstOrder:
    """Effective matrices of one array whose cells change.

    Args:
        topology: the wires, both lines resistive, without a selector. modes: (modes, rows) orthonormal drives of the response.

    Attributes:
        drop_error: of the last measurement of this base, relative to the IR drop; 0 before. refreshes: matrices made anew.
    """

    def __init__(self, topology: Topology, modes: F64) -> None:
        self.topology, self.modes = topology, modes
        self.drop_error, self.refreshes = 0.0, 0
        self._cells: F64 | None = None
        self._known: F64 = np.zeros((0, 0))
        self._response: Response | None = None
        self._reached = _LEAST
        self._error = 0.0

    @property
    def cells(self) -> F64:
        """The base, not copied. Raises ValueError before the first matrix."""
        return self.response().net.cells

    @property
    def base(self) -> F64 | None:
        """Cells (rows, cols) siemens that corrections start from, None without."""
        return None if self._cells is None else self._cells.copy()

    @property
    def reached(self) -> float:
        """Relative change of the cells up to which the error is known."""
        return self._reached

    def response(self) -> Response:
        """The response of the base. Raises ValueError before the first matrix."""
        if self._response is None:
            raise ValueError("wires: no matrix has been made yet")
        return self._response

    def rebase(self, g: npt.ArrayLike | None, reached: float = _LEAST) -> None:
        """Let corrections start from these cells, measured up to a relative change `reached`."""
        self._cells = None
        if g is not None:
            self._refresh(np.asarray(g, np.float64))
        self._reached = reached

    def matrix(self, g: npt.ArrayLike) -> Step:
        """The matrix of the cells g (rows, cols) siemens. Raises WiresError as `effective` does."""
        cells = np.ascontiguousarray(g, np.float64)
        if self._cells is None or self._response is None or self._cells.shape != cells.shape:
            return self._refresh(cells)
        r, out = self._response, np.empty(cells.shape)
        held = self._cells, self._known, r.reach, r.local, r.fields, self.modes
        moved, total = corrected(cells, *held, np.empty((len(self.modes), cells.shape[1])), out)
        change = float(np.sqrt(moved / total)) if total else 1.0
        if change > self._reached:
            net = factored(cells, self.topology)
            self._error, self.drop_error = self._measured(net, out)
            if self.drop_error > SHARE:
                return self._refresh(cells)
            self._reached = _FURTHER * change
        return Step(out, self._error, False)

    def _measured(self, net: Network, matrix: F64) -> tuple[float, float]:
        """Error for one random input, another one for other cells: over the largest current, and over the IR drop."""
        v = np.random.default_rng(zlib.crc32(net.cells.tobytes())).uniform(-1.0, 1.0, net.rows)
        wanted, ideal = currents(net, v, _BASE)[0], v @ net.cells
        wrong = v @ matrix - wanted
        largest, drop = float(np.abs(wanted).max()), float(np.sqrt(((ideal - wanted) ** 2).mean()))
        return float(np.abs(wrong).max()) / (largest or 1.0), float(np.sqrt((wrong**2).mean())) / (drop or 1.0)

    def _refresh(self, cells: F64) -> Step:
        known = effective_matrix(cells, self.topology, _BASE)
        self._cells, self._known = cells.copy(), known.matrix
        self._response = response(cells, self.topology, self.modes)
        self._reached, self._error, self.drop_error = _LEAST, known.error, 0.0  # of what is returned from now on
        self.refreshes += 1
        return Step(known.matrix, known.error, True)
