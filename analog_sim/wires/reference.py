"""Reference solution: the nodal matrix of both sets of lines, by sparse LU with iterative refinement. For tests and the benchmark: slow.

Unlike the solvers it shares nothing with, it knows no elimination of lines: every node is an unknown. Segments of 0 ohm have no
conductance, so it takes resistive segments only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from analog_sim.wires.network import checked_cells
from analog_sim.wires.topology import Line, Topology, WiresError

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """Voltages and currents for one input per row.

    Attributes:
        word, bit: (inputs, rows, cols) volts at the nodes.
        currents: (inputs, cols) ampere into the sense amplifiers.
        residual: largest violation of Kirchhoff's current law over the largest current of an input.
    """

    word: F64
    bit: F64
    currents: F64
    residual: float


def _ends(line: Line, nodes: Any) -> list[tuple[Any, float, bool]]:
    """Nodes, siemens and whether active, of the two ends; nodes: (lines, positions)."""
    return [
        (nodes[:, 0], line.first.conductance, line.first.active),
        (nodes[:, -1], line.last.conductance, line.last.active),
    ]


def assemble(g: npt.ArrayLike, topology: Topology) -> Any:
    """The nodal matrix, (2 rows cols, 2 rows cols) siemens, word-line nodes first, each set row by row."""
    cells = checked_cells(g, topology.selector)
    if not (topology.word.segment > 0.0 and topology.bit.segment > 0.0):
        raise WiresError("wires: the reference needs segments above 0 ohm")
    n = cells.size
    word = np.arange(n).reshape(cells.shape)
    bit = word + n
    links = [(word.ravel(), bit.ravel(), cells.ravel())]
    links += [
        (a.ravel(), b.ravel(), np.full(a.size, 1.0 / topology.word.segment)) for a, b in [(word[:, 1:], word[:, :-1])]
    ]
    links += [(a.ravel(), b.ravel(), np.full(a.size, 1.0 / topology.bit.segment)) for a, b in [(bit[1:], bit[:-1])]]
    a, b, value = (np.concatenate([link[k] for link in links]) for k in range(3))
    diagonal = np.bincount(a, value, 2 * n) + np.bincount(b, value, 2 * n)
    for nodes, conductance, _ in [*_ends(topology.word, word), *_ends(topology.bit, bit.T)]:
        diagonal[nodes] += conductance
    every = np.arange(2 * n)
    rows, cols = np.concatenate([a, b, every]), np.concatenate([b, a, every])
    return coo_matrix((np.concatenate([-value, -value, diagonal]), (rows, cols)), (2 * n, 2 * n)).tocsc()


def factorise(matrix: Any) -> Any:
    """Sparse LU with the ordering and options that were fastest for this matrix (symmetric, diagonally dominant)."""
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def sources(v: F64, cells: tuple[int, int], topology: Topology) -> F64:
    """Currents into the nodes, (2 rows cols, inputs) ampere; v: (inputs, rows) volts."""
    word = np.arange(cells[0] * cells[1]).reshape(cells)
    out = np.zeros((2 * word.size, len(v)))
    for nodes, conductance, active in _ends(topology.word, word):
        if active:
            out[nodes] += conductance * v.T
    return out


def solve(g: npt.ArrayLike, topology: Topology, v: npt.ArrayLike, refinements: int = 2) -> Solution:
    """Solve for every input.

    Args:
        g: (rows, cols) siemens. topology: wires with resistive segments. v: (inputs, rows) volts.
        refinements: steps of iterative refinement, x <- x + LU^-1 (b - A x).
    """
    matrix = assemble(g, topology)
    shape = np.asarray(g).shape
    v = np.atleast_2d(np.asarray(v, np.float64))
    b = sources(v, shape, topology)
    factors = factorise(matrix)
    x = factors.solve(b)
    for _ in range(refinements):
        x += factors.solve(b - matrix @ x)
    n = shape[0] * shape[1]
    word, bit = x[:n].T.reshape(-1, *shape), x[n:].T.reshape(-1, *shape)
    currents = np.zeros((len(v), shape[1]))
    for k, end in ((0, topology.bit.first), (-1, topology.bit.last)):
        currents += end.active_conductance * bit[:, k]
    scale = float(np.abs(b).max()) or 1.0
    return Solution(word, bit, currents, float(np.abs(b - matrix @ x).max()) / scale)
