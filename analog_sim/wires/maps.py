"""Voltages and currents everywhere in an array for one input, with the books balanced: Kirchhoff's law and power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.wires.network import checked_cells, factored, line_profile
from analog_sim.wires.single import Solver, checked_inputs, solve_words
from analog_sim.wires.topology import Line, Topology

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Maps:
    """One read of an array.

    Attributes:
        word, bit: (rows, cols) volts at the nodes of the lines.
        cell: (rows, cols) ampere from the word to the bit line.
        currents: (cols,) ampere into the sense amplifiers.
        residual: largest violation of Kirchhoff's current law at a node (of a line, where segments are 0 ohm) over the largest current of a
            terminal.
        supplied: watts from the drivers. dissipated: watts in cells, segments and terminals.
    """

    word: F64
    bit: F64
    cell: F64
    currents: F64
    residual: float
    supplied: float
    dissipated: float


@dataclass(frozen=True)
class _Balance:
    """Of all lines of one kind: ampere through their ends into them, ampere missing at nodes (positions along axis 1), watts
    lost in wires.
    """

    first: F64
    last: F64
    missing: F64
    lost: float


def _balance(x: F64, line: Line, v: F64, into: F64) -> _Balance:
    """x: (lines, positions) volts; v: (lines,) volts of the active terminals; into: (lines, positions) ampere from cells into the nodes."""

    def through(k: int, conductance: float, active: bool) -> F64:
        if conductance == np.inf:
            return np.zeros(len(x))
        return conductance * ((v if active else 0.0) - x[:, k])

    first = through(0, line.first.conductance, line.first.active)
    last = through(-1, line.last.conductance, line.last.active)
    if line.ideal:  # the terminals take what the cells bring, through no resistance; two of them share it
        both = line.first.resistance == line.last.resistance == 0.0
        total = -into.sum(1) / (2.0 if both else 1.0)
        return _Balance(
            total if line.first.resistance == 0.0 else first,
            total if line.last.resistance == 0.0 else last,
            np.zeros(1),
            0.0,
        )
    ends = sum(
        float((i * i).sum()) * end.resistance for i, end in ((first, line.first), (last, line.last)) if end.conductance
    )
    if line.segment == 0.0:
        return _Balance(first, last, first + last + into.sum(1), ends)
    right = (x[:, :-1] - x[:, 1:]) / line.segment  # current to the next node
    missing = into.copy()
    missing[:, :-1] -= right
    missing[:, 1:] += right
    missing[:, 0] += first
    missing[:, -1] += last
    return _Balance(first, last, missing, ends + float((right * right).sum()) * line.segment)


def _active(line: Line, balance: _Balance) -> F64:
    """Ampere from the active terminals into the lines."""
    return (
        (balance.first if line.first.active else 0.0)
        + (balance.last if line.last.active else 0.0)
        + np.zeros(len(balance.first))
    )


def solve(g: npt.ArrayLike, topology: Topology, v: npt.ArrayLike, tolerance: float = 1e-10) -> Maps:
    """Solve for one input.

    Args:
        g: (rows, cols) siemens. topology: the wires. v: (rows,) volts. tolerance: relative residual of the solve.
    """
    d = checked_cells(g, topology.selector)
    volts = checked_inputs(v, len(d))[0]
    u, w = node_voltages(d, topology, volts, tolerance)
    return books(d * (u - w), topology, volts, u, w)


def node_voltages(d: F64, topology: Topology, v: F64, tolerance: float) -> tuple[F64, F64]:
    """u and w (rows, cols) volts for cells d with their selectors and an input v (rows,)."""
    word, bit = topology.word, topology.bit
    if word.ideal:
        u = np.repeat(v[:, None], d.shape[1], 1)
        return u, np.zeros_like(u) if bit.ideal else _lines(d, bit, d * u)
    if bit.ideal:
        return line_profile(np.ascontiguousarray(d.T), word).T * v[:, None], np.zeros_like(d)
    net = factored(d, Topology(word, bit))
    w = Solver(net, keep=True).read(v, tolerance).w
    b = d * w
    b[:, 0] += word.first.active_conductance * v
    b[:, -1] += word.last.active_conductance * v
    return solve_words(net, b), w


def _lines(d: F64, bit: Line, b: F64) -> F64:
    """Volts on bit lines for currents b into their nodes, word lines ideal: the word-line solve of the transposed array."""
    turned = Topology(bit, bit)
    return np.ascontiguousarray(solve_words(factored(np.ascontiguousarray(d.T), turned), np.ascontiguousarray(b.T)).T)


def books(cell: F64, topology: Topology, v: F64, u: F64, w: F64) -> Maps:
    """Balance the books of a solution; cell: (rows, cols) ampere."""
    word = _balance(u, topology.word, v, -cell)
    bit = _balance(np.ascontiguousarray(w.T), topology.bit, np.zeros(cell.shape[1]), np.ascontiguousarray(cell.T))
    driven, currents = _active(topology.word, word), -_active(topology.bit, bit)
    scale = max(float(np.abs(x).max()) for x in (word.first, word.last, bit.first, bit.last)) or 1.0
    residual = max(float(np.abs(word.missing).max()), float(np.abs(bit.missing).max())) / scale
    dissipated = float((cell * (u - w)).sum()) + word.lost + bit.lost
    return Maps(u, w, cell, currents, residual, float(driven @ v), dissipated)
