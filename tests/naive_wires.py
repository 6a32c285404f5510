"""Slow, obvious twins of the kernels and solvers of the wires: every node an unknown, Gaussian elimination in extended precision.

They share no formula with `analog_sim.wires`. Resistors of 0 ohm join their nodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.wires import Topology

F64 = npt.NDArray[np.float64]
Node = tuple[Any, ...]


def resistors(g: F64, topology: Topology) -> list[tuple[Node, Node, float]]:
    """(node, node, ohm) of the whole array; drivers are ("v", i), sense amplifiers ("i", j), ground is ("0",)."""
    rows, cols = g.shape
    found: list[tuple[Node, Node, float]] = []
    for i in range(rows):
        for j in range(cols):
            if g[i, j] > 0.0:
                found.append((("u", i, j), ("w", i, j), 1.0 / g[i, j] + topology.selector))
            if j > 0:
                found.append((("u", i, j - 1), ("u", i, j), topology.word.segment))
            if i > 0:
                found.append((("w", i - 1, j), ("w", i, j), topology.bit.segment))
    for i in range(rows):
        for j, end in ((0, topology.word.first), (cols - 1, topology.word.last)):
            if np.isfinite(end.resistance):
                found.append((("u", i, j), ("v", i) if end.active else ("0",), end.resistance))
    for j in range(cols):
        for i, end in ((0, topology.bit.first), (rows - 1, topology.bit.last)):
            if np.isfinite(end.resistance):
                found.append((("w", i, j), ("i", j) if end.active else ("0",), end.resistance))
    return found


def eliminate(a: Any, b: Any) -> Any:
    """Solve a x = b without pivoting (diagonally dominant) in extended precision."""
    a, b = a.copy(), b.copy()
    n = len(a)
    for k in range(n):
        for i in range(k + 1, n):
            if a[i, k]:
                factor = a[i, k] / a[k, k]
                a[i] -= factor * a[k]
                b[i] -= factor * b[k]
    for k in range(n - 1, -1, -1):
        b[k] = (b[k] - a[k, k + 1 :] @ b[k + 1 :]) / a[k, k]
    return b


def nodal(g: F64, topology: Topology, v: F64) -> tuple[F64, dict[Node, F64]]:
    """Currents (inputs, cols) into the sense amplifiers and the voltage (inputs,) of every node, for inputs v (inputs, rows)."""
    parts = resistors(g, topology)
    chief: dict[Node, Node] = {}

    def find(node: Node) -> Node:
        while chief.setdefault(node, node) != node:
            node = chief[node]
        return node

    fixed: dict[Node, Any] = {("0",): np.zeros(len(v), np.longdouble)}
    fixed |= {("v", i): v[:, i].astype(np.longdouble) for i in range(g.shape[0])}
    fixed |= {("i", j): np.zeros(len(v), np.longdouble) for j in range(g.shape[1])}
    for a, b, ohm in parts:
        a, b = find(a), find(b)
        if ohm == 0.0 and a != b:
            assert not (a in fixed and b in fixed), "a short between terminals"
            chief[b if a in fixed else a] = a if a in fixed else b
    unknown = {node: k for k, node in enumerate(sorted({find(n) for p in parts for n in p[:2]} - set(fixed), key=str))}
    matrix = np.zeros((len(unknown), len(unknown)), np.longdouble)
    right = np.zeros((len(unknown), len(v)), np.longdouble)
    for a, b, ohm in parts:
        a, b = find(a), find(b)
        if a == b:
            continue
        for one, other in ((a, b), (b, a)):
            if one in unknown:
                matrix[unknown[one], unknown[one]] += 1 / np.longdouble(ohm)
                if other in unknown:
                    matrix[unknown[one], unknown[other]] -= 1 / np.longdouble(ohm)
                else:
                    right[unknown[one]] += fixed[other] / np.longdouble(ohm)
    x = eliminate(matrix, right)
    volts = {node: x[unknown[find(node)]] if find(node) in unknown else fixed[find(node)] for node in chief}
    currents = np.zeros((len(v), g.shape[1]), np.longdouble)
    for a, b, ohm in parts:
        for one, other in ((a, b), (b, a)):
            if find(one)[0] == "i" and find(one) != find(other):
                currents[:, find(one)[1]] += (volts[other] - volts[one]) / np.longdouble(ohm)
    return currents.astype(np.float64), {node: value.astype(np.float64) for node, value in volts.items()}


def line_matrix(d: F64, r: float, first: float, last: float) -> F64:
    """Tridiagonal matrix of one line, siemens: cells d, segments r > 0 ohm, ends of so many siemens."""
    n = len(d)
    out = np.diag(d).astype(np.float64)
    for k in range(n - 1):
        out[k, k] += 1 / r
        out[k + 1, k + 1] += 1 / r
        out[k, k + 1] -= 1 / r
        out[k + 1, k] -= 1 / r
    out[0, 0] += first
    out[-1, -1] += last
    return out


def operators(d: F64, topology: Topology) -> tuple[F64, F64, F64, F64]:
    """M, N, P and the map from inputs to f, as dense matrices over the bit-line nodes (row by row); segments above 0 ohm."""
    rows, cols = d.shape
    n = rows * cols
    index = np.arange(n).reshape(rows, cols)
    m, t, q, p = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, rows)), np.zeros((n, cols))
    for i in range(rows):
        word = topology.word
        t[np.ix_(index[i], index[i])] = line_matrix(d[i], word.segment, word.first.conductance, word.last.conductance)
        q[index[i, 0], i] += word.first.active_conductance
        q[index[i, -1], i] += word.last.active_conductance
    for j in range(cols):
        bit = topology.bit
        m[np.ix_(index[:, j], index[:, j])] = line_matrix(
            d[:, j], bit.segment, bit.first.conductance, bit.last.conductance
        )
        p[index[0, j], j] += bit.first.active_conductance
        p[index[-1, j], j] += bit.last.active_conductance
    across = np.diag(d.ravel()) @ np.linalg.inv(t)
    return m, across @ np.diag(d.ravel()), p, across @ q
