"""Reads of cells whose current is no multiple of their voltage, I = g f(v): Newton's method around the linear solver.

At voltages v each cell is replaced by its tangent, a conductance g f'(v) beside a current source, and the ohmic array is solved. The step
is shortened until the currents missing at the nodes decrease. It converges or says that it did not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from analog_sim.wires.maps import Maps, books, node_voltages
from analog_sim.wires.network import checked_cells, factored
from analog_sim.wires.single import Solver, checked_inputs, solve_words
from analog_sim.wires.topology import Topology, WiresError

F64 = npt.NDArray[np.float64]


class Law(Protocol):
    """A cell's current per siemens of its small-signal conductance."""

    def current(self, v: F64) -> F64:
        """f(v), volts: the current is g f(v)."""

    def slope(self, v: F64) -> F64:
        """f'(v), 1, not negative."""


@dataclass(frozen=True)
class Sinh:
    """f(v) = sinh(a v) / a: hopping and tunnelling cells (`iv_alpha` of the cell model).

    Attributes:
        a: 1/V; 0 is ohmic.
    """

    a: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.a <= 100.0:
            raise WiresError(f"wires: sinh law: a: got {self.a} 1/V, allowed: 0 ... 100 1/V")

    def current(self, v: F64) -> F64:
        """f(v), volts."""
        return np.sinh(self.a * v) / self.a if self.a else v

    def slope(self, v: F64) -> F64:
        """f'(v), 1."""
        return np.cosh(self.a * v)


@dataclass(frozen=True)
class Table:
    """f(v) by straight lines between points, and on along the outermost lines.

    Attributes:
        v: volts, increasing. f: volts, not decreasing.
    """

    v: tuple[float, ...]
    f: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.v) != len(self.f) or len(self.v) < 2:
            raise WiresError(
                f"wires: current table: got {len(self.v)} voltages and {len(self.f)} currents, allowed: two or more of each"
            )
        if not (
            np.isfinite([*self.v, *self.f]).all() and (np.diff(self.v) > 0.0).all() and (np.diff(self.f) >= 0.0).all()
        ):
            raise WiresError("wires: current table: voltages must increase and currents must not decrease, all finite")

    def _line(self, v: F64) -> npt.NDArray[np.int64]:
        return np.clip(np.searchsorted(self.v, v, "right") - 1, 0, len(self.v) - 2)

    def current(self, v: F64) -> F64:
        """f(v), volts."""
        k = self._line(v)
        return np.asarray(self.f)[k] + self.slope(v) * (v - np.asarray(self.v)[k])

    def slope(self, v: F64) -> F64:
        """f'(v), 1."""
        return (np.diff(self.f) / np.diff(self.v))[self._line(v)]


@dataclass(frozen=True)
class NonlinearRead:
    """A read and how it was found.

    Attributes:
        maps: voltages and currents, with the books balanced.
        iterations: Newton steps. residual: current missing at the nodes of a bit line, over the largest current.
    """

    maps: Maps
    iterations: int
    residual: float


def solve(
    g: npt.ArrayLike, topology: Topology, law: Law, v: npt.ArrayLike, tolerance: float = 1e-8, most: int = 60
) -> NonlinearRead:
    """Solve for one input.

    Args:
        g: (rows, cols) siemens, small-signal. topology: wires, without a selector, both lines resistive.
        law: the same for all cells. v: (rows,) volts. tolerance: bound of the residual. most: Newton steps.

    Raises WiresError when the residual does not come down to the tolerance.
    """
    cells = checked_cells(g)
    volts = checked_inputs(v, len(cells))[0]
    if topology.selector:
        raise WiresError(
            "wires: non-linear cells: a selector in series is not supported; make it part of the current table"
        )
    if topology.word.ideal or topology.bit.ideal:
        return _ideal(cells, topology, law, volts, tolerance)
    u, w = node_voltages(cells, topology, volts, 1e-10)
    lines = cells * (u - w)  # what the lines deliver at each cell; what the cells draw is g f(u - w)
    missing = lines - cells * law.current(u - w)
    for step in range(most):
        residual = _residual(missing, lines)
        if residual <= tolerance:
            return NonlinearRead(books(cells * law.current(u - w), topology, volts, u, w), step, residual)
        slope = cells * law.slope(u - w)
        source = cells * law.current(u - w) - slope * (u - w)
        u_next, w_next = _tangent(slope, source, topology, volts)
        taken = slope * (u_next - w_next) + source
        size, before = 1.0, float((missing * missing).sum())
        while True:
            u_try, w_try = u + size * (u_next - u), w + size * (w_next - w)
            lines_try = lines + size * (taken - lines)
            with np.errstate(over="ignore", invalid="ignore"):
                missing_try = lines_try - cells * law.current(u_try - w_try)
                after = float((missing_try * missing_try).sum())
            if after <= (1.0 - 1e-4 * size) * before:
                break
            size /= 2.0
            if size < 1e-8:
                raise WiresError(_failed(step, residual, tolerance))
        u, w, lines, missing = u_try, w_try, lines_try, missing_try
    raise WiresError(_failed(most, _residual(missing, lines), tolerance))


def _failed(steps: int, residual: float, tolerance: float) -> str:
    return (
        f"wires: non-linear cells: residual {residual:.1e} after {steps} Newton steps, wanted "
        f"{tolerance:.1e}: lower the voltages or the tolerance"
    )


def _residual(missing: F64, lines: F64) -> float:
    scale = float(np.abs(lines.sum(0)).max()) or float(np.abs(lines).max()) or 1.0
    return float(np.abs(missing).sum(0).max()) / scale


def _tangent(slope: F64, source: F64, topology: Topology, v: F64) -> tuple[F64, F64]:
    """Voltages with cells that draw slope (u - w) + source."""
    net = factored(slope, topology)
    word = topology.word
    b = -source
    b[:, 0] += word.first.active_conductance * v
    b[:, -1] += word.last.active_conductance * v
    f = source + slope * solve_words(net, b)
    w = Solver(net, keep=True).inject(f, 1e-10).w
    return solve_words(net, b + slope * w), w


def _ideal(cells: F64, topology: Topology, law: Law, v: F64, tolerance: float) -> NonlinearRead:
    if not (topology.word.ideal and topology.bit.ideal):
        raise WiresError(
            "wires: non-linear cells: one kind of line without resistance beside a resistive one is not supported; give it some"
        )
    u = np.repeat(v[:, None], cells.shape[1], 1)
    return NonlinearRead(books(cells * law.current(u), topology, v, u, np.zeros_like(u)), 0, 0.0)
