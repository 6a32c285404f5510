"""The effective matrix of cells that change a little from read to read: corrected, measured, and made anew when that no longer suffices.

    G(new) ~ G(old) + B(new) - B(old),    B a series of low order with a small basis, the same for both

B misses the same small part of both matrices, so the difference is far better than B itself. The base stays the same until it is
replaced: errors of many small steps do not add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analog_sim.wires.basis import Modes, modes, outliers
from analog_sim.wires.effective import TOLERANCE, Effective, effective_matrix, series_work
from analog_sim.wires.network import Network, factored
from analog_sim.wires.series import deflation, polynomials, series_matrix
from analog_sim.wires.single import currents
from analog_sim.wires.topology import Topology

F64 = npt.NDArray[np.float64]
_FEW, _SMOOTH = 8, (16, 32, 64)
_MISSED = 3e-4
"""Error of a correction with the few fields over rho^(order + 1) on the worst word line, for 1 % of the cells changed by 1 %."""
_INTERVAL = {_FEW: (0.0, 0.5), **dict.fromkeys(_SMOOTH, (-0.05, 0.95))}
"""Where the remainder of a correction is smallest, in rho. A change of cells is rougher than the cells: its fields have eigenvalues near 0,
and less of them near rho than a matrix has (docs/wires.md has the errors)."""
_ROUGH, _STRENGTH, _CELLS = 9e-9, 5.05e-5, 256**2
"""Error of order 1 on the worst word line that no basis of smooth fields lowers, at g r of _STRENGTH and so many cells. A thirtieth of it
with every further order."""
_LARGEST_ORDER = 12
_KNOWN = 0.1
"""Tolerance of the matrix that is corrected over that of the corrected ones: the errors of both add up."""
_ROUNDED = 0.3
"""Error that rounding may add to a correction, of its tolerance: it is part of what every check measures."""
_CHECKED = 10.0
"""Tolerance of the solves of a check over that of the matrix: currents are then known a hundred times better than they need to be."""


@dataclass(frozen=True, eq=False)
class Base:
    """An array whose matrix is known, from which changed ones are corrected.

    Attributes:
        net: its network. known: its matrix. single: outlying cells of its basis. tolerance: of corrected matrices.
    """

    net: Network
    known: Effective
    single: npt.NDArray[np.int64]
    tolerance: float

    @cached_property
    def plan(self) -> tuple[int, int, Modes]:
        """Order, smooth fields and basis of the series of low order, the same for every change: what is likely to suffice."""
        top = self.net.topology
        strength = float(self.net.cells.mean()) * float(np.sqrt(top.word.segment * top.bit.segment)) / _STRENGTH
        rough = _ROUGH * strength**1.5 * (self.net.cells.size / _CELLS) ** 0.5  # as measured, 1 to 20 ohm
        bases = {smooth: modes(self.net, smooth, self.single) for smooth in (_FEW, *_SMOOTH)}
        plans = [
            (series_work(self.net, basis.size, order, 1), order, smooth)
            for smooth, basis in bases.items()
            for order in range(1, _LARGEST_ORDER)
            if max(_MISSED * basis.rho ** (order + 1), rough * 30.0 ** (1 - order)) <= self.tolerance
        ]
        _, order, smooth = min(plans, default=(0.0, _LARGEST_ORDER, _SMOOTH[-1]))
        return order, smooth, bases[smooth]

    def low_order(self, net: Network) -> F64:
        """B of an array with the wires and the basis of this one."""
        order, smooth, basis = self.plan
        low, high = _INTERVAL[smooth]
        c = polynomials(order, high * basis.rho, low * basis.rho)
        left, right = deflation(net, basis, order, 1).factors(net, c)
        return series_matrix(net, c.c, left, right, _ROUNDED * self.tolerance)

    @cached_property
    def offset(self) -> F64:
        """G(old) - B(old)."""
        return self.known.matrix - self.low_order(self.net)


@dataclass(frozen=True)
class Step:
    """What became of one change of the cells.

    Attributes:
        matrix: G_eff (rows, cols) siemens. error: measured, as in `effective`. refreshed: the matrix was made anew.
    """

    matrix: F64
    error: float
    refreshed: bool


class Tracker:
    """Effective matrices of one array whose cells change.

    Args:
        topology: the wires. tolerance: bound of the measured error of the word line whose cells have changed most, driven alone, relative
            to its largest current.
    """

    def __init__(self, topology: Topology, tolerance: float = TOLERANCE) -> None:
        self.topology, self.tolerance = topology, tolerance
        self._base: Base | None = None
        self._cells: F64 | None = None
        self.reads, self.refreshes = 0, 0

    @property
    def base(self) -> F64 | None:
        """Cells (rows, cols) siemens that corrections start from, None without; the bits of a step follow from them and its g."""
        return None if self._cells is None else self._cells.copy()

    def rebase(self, g: npt.ArrayLike | None) -> None:
        """Let corrections start from these cells."""
        self._base = self._cells = None
        if g is not None:
            self._refresh(g)

    def matrix(self, g: npt.ArrayLike) -> Step:
        """The matrix of the cells g (rows, cols) siemens. Raises WiresError as `effective` does."""
        self.reads += 1
        if self._base is None or self._base.net.cells.shape != np.shape(g):
            return self._refresh(g)
        if np.array_equal(np.asarray(g, np.float64), self._cells):  # type: ignore[arg-type]
            return Step(self._base.known.matrix, self._base.known.error, False)
        net = factored(g, self.topology)
        matrix = self._base.offset + self._base.low_order(net)
        error = self._measured(net, self._base, matrix)
        return Step(matrix, error, False) if error <= self.tolerance else self._refresh(g)

    def _measured(self, net: Network, base: Base, matrix: F64) -> float:
        """Error for 1 V on the word line that has changed most: of all inputs, single lines have the largest."""
        moved = net.cells - base.net.cells
        scale = net.cells.sum(1)
        line = int((np.einsum("ij,ij->i", moved, moved) / np.maximum(scale * scale, np.finfo(float).tiny)).argmax())
        v = np.zeros(net.rows)
        v[line] = 1.0
        wanted = currents(net, v, min(1e-6, _CHECKED * self.tolerance))[0]
        largest = float(np.abs(wanted).max())
        return float(np.abs(matrix[line] - wanted).max()) / (largest if largest > 0.0 else 1.0)

    def _refresh(self, g: npt.ArrayLike) -> Step:
        known = effective_matrix(g, self.topology, max(_KNOWN * self.tolerance, 1e-12))
        self.refreshes += 1
        if known.method == "closed form":  # costs less than a correction
            self._base = self._cells = None
        else:
            self._cells = np.array(g, np.float64)
            net = factored(g, self.topology)
            self._base = Base(net, known, outliers(net, 64), self.tolerance)
        return Step(known.matrix, known.error, True)
