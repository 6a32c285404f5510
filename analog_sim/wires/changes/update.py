"""The effective matrix of cells that change a little from read to read: corrected, measured, and made anew when that no longer suffices.

    G(new) ~ G(old) + B(new) - B(old),    B a series of one order less with a small basis, the same for both

B misses the same small part of both matrices, so the difference is far better than B itself. The base stays the same until it is
replaced: errors of many small steps do not add up.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analog_sim.wires.basis import Modes, modes, outliers
from analog_sim.wires.effective import TOLERANCE, Effective, effective_matrix
from analog_sim.wires.network import Network, factored
from analog_sim.wires.series import deflation, polynomials, series_matrix
from analog_sim.wires.single import currents
from analog_sim.wires.topology import Topology

F64 = npt.NDArray[np.float64]
_FEW, _SMOOTH = 8, 16
_MISSED = 8e-5
"""Error of a correction with the few fields over rho^(order + 1), for changes of about 1 % of the cells by 1 %."""


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
    def basis(self) -> Modes:
        """Of the series of low order, the same for every change: few smooth fields where they are likely to suffice."""
        few = modes(self.net, _FEW, self.single)
        likely = _MISSED * few.rho ** (self.order + 1) <= self.tolerance
        return few if likely else modes(self.net, _SMOOTH, self.single)

    @property
    def order(self) -> int:
        """Of the series of low order."""
        return max(1, self.known.order - 1)

    def low_order(self, net: Network) -> F64:
        """B of an array with the wires and the basis of this one."""
        # A change of the cells moves less of the strongest fields outside the basis than the matrix holds of them: half of rho is
        # better (256 x 256, 1 ohm, 8 fields, 1 % of the cells changed by 1 %: 6e-9, with rho itself 2e-8).
        c = polynomials(self.order, 0.5 * self.basis.rho)
        left, right = deflation(net, self.basis, self.order, 1).factors(net, c)
        return series_matrix(net, c.c, left, right)

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
        topology: the wires. tolerance: bound of the measured error, relative to the largest current of the probe input.
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
        error = self._measured(net, matrix)
        return Step(matrix, error, False) if error <= self.tolerance else self._refresh(g)

    def _measured(self, net: Network, matrix: F64) -> float:
        """Error for one random input, another one for other cells."""
        seed = zlib.crc32(net.cells.sum(0).tobytes())
        v = np.random.default_rng(seed).uniform(-1.0, 1.0, net.rows)
        wanted = currents(net, v, min(1e-6, self.tolerance))[0]
        scale = float(np.abs(wanted).max())
        return float(np.abs(v @ matrix - wanted).max()) / (scale if scale > 0.0 else 1.0)

    def _refresh(self, g: npt.ArrayLike) -> Step:
        known = effective_matrix(g, self.topology, self.tolerance)
        self.refreshes += 1
        if known.method == "closed form":  # costs less than a correction
            self._base = self._cells = None
        else:
            self._cells = np.array(g, np.float64)
            net = factored(g, self.topology)
            self._base = Base(net, known, outliers(net, 64), self.tolerance)
        return Step(known.matrix, known.error, True)
