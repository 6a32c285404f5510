"""What a change of one cell does to the currents, for all cells and all inputs at once: approximate, at the price of a few solves.

A change dg_ij adds the current dg_ij c_ij(v), c the voltage across the cell, between the nodes of the cell; the share x_ij of it
reaches the sense amplifier of its bit line (shares of the others are left out, docs/wires.md says what that costs). Bit lines smooth what
all inputs do to a cell, so c is known from the response to a few smooth inputs and, for the rest, from the cell's own word line:

    v = sum_a alpha_a m_a + rest,    c_ij(v) ~ sum_a alpha_a c^a_ij + h_ij rest_i

It draws nothing, caches nothing, and knows neither noise nor updates: both are made of it in `reads`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.wires.kernels import factor
from analog_sim.wires.network import Network, factored, line_profile
from analog_sim.wires.single import Solver, solve_words
from analog_sim.wires.topology import Line, Topology

F64 = npt.NDArray[np.float64]
MODES = 4
"""Smooth inputs of a response: with 8 the error is hardly smaller (docs/wires.md)."""
_SOLVED = 1e-5


@dataclass(frozen=True, eq=False)
class Response:
    """Of one state of the cells of an array.

    Attributes:
        net: the factored array.
        reach: x_ij (rows, cols), 1: share of a current through cell ij that reaches the sense amplifier of bit line j.
        local: h_ij (rows, cols), 1: volts across the cell for 1 V on its word line alone.
        fields: c^a_ij (modes, rows, cols), volts across the cells for the drives.
    """

    net: Network
    reach: F64
    local: F64
    fields: F64


def smooth_modes(n: int, count: int = MODES) -> F64:
    """The smoothest orthonormal vectors over n lines (cosines), (min(count, n), n)."""
    k, i = np.arange(min(count, n)), np.arange(n)
    found = np.cos(np.pi * np.outer(k, i + 0.5) / n)
    return np.asarray(found / np.sqrt((found * found).sum(1))[:, None], np.float64)


def cell_voltage(net: Network, solver: Solver, v: F64, tolerance: float) -> F64:
    """Volts across the cells (rows, cols) for an input v (rows,); the solver must keep w."""
    w = solver.read(v, tolerance).w
    b, word = net.cells * w, net.topology.word
    b[:, 0] += word.first.active_conductance * v
    b[:, -1] += word.last.active_conductance * v
    return solve_words(net, b) - w


def line_resistance(d: F64, line: Line) -> F64:
    """(L^-1)_kk of lines along axis 1, ohm, (lines, positions): from a node to the terminals and through all cells d of its line."""

    cells = np.ascontiguousarray(d.T)
    left, right = np.empty_like(cells), np.empty_like(cells)
    factor.seen_from(cells, line.segment, line.first.conductance, 1, left)
    factor.seen_from(cells, line.segment, line.last.conductance, -1, right)
    return np.ascontiguousarray((1.0 / (left + right + cells)).T)


def reach(net: Network) -> F64:
    """x_ij to the first order of the lines, p_ij (1 - d_ij (T_i^-1)_jj)."""
    return net.profile[: net.rows, : net.cols] * (1.0 - net.cells * line_resistance(net.cells, net.topology.word))


def response(g: npt.ArrayLike, topology: Topology, drives: npt.ArrayLike) -> Response:
    """The response of an array.

    Args:
        g: (rows, cols) siemens. topology: resistive wires, no selector. drives: (modes, rows) volts.
    """
    net = factored(g, topology)
    solver = Solver(net, keep=True)
    fields = np.stack([cell_voltage(net, solver, v, _SOLVED) for v in np.asarray(drives, np.float64)])
    own = 1.0 - net.cells * line_resistance(np.ascontiguousarray(net.cells.T), topology.bit).T
    along = line_profile(np.ascontiguousarray((net.cells * own).T), topology.word).T
    return Response(net, reach(net), along * own, fields)
