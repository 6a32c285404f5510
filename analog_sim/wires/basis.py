"""Fields on which the Born series converges slowest: smooth modes of the lines, and cells far above the others. It applies no operator.

A line of equal segments r with its ends has the modes of the tridiagonal matrix L = T without cells; for equal cells g the eigenvalues of
E on products of modes are g^2 / ((g + lambda)(g + nu)). Every field is a product over rows and columns, the single cell too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from analog_sim.wires.kernels.lanes import LANES
from analog_sim.wires.network import Network
from analog_sim.wires.topology import Line

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Modes:
    """Fields X_ij = bit_shapes[i, k] word_modes[mode_of[k], j].

    Attributes:
        bit_shapes: (rows padded, m), zero in rows of padding.
        word_modes: (distinct, cols), those of whole lines first, filled up to a multiple of 4. column_of: (distinct,): -1, or the one
            column of a mode that is a single cell's.
        mode_of: (m,).
        rho: largest eigenvalue of E expected outside the fields.
    """

    bit_shapes: F64
    word_modes: F64
    column_of: npt.NDArray[np.int64]
    mode_of: npt.NDArray[np.int64]
    rho: float

    @property
    def size(self) -> int:
        """m."""
        return len(self.mode_of)


@lru_cache(maxsize=32)
def line_modes(line: Line, n: int, count: int) -> tuple[F64, F64]:
    """The smallest eigenvalues (siemens) and their vectors (n, count) of a line of n nodes without cells; one when 0 ohm joins them."""
    first, last = line.first.conductance, line.last.conductance
    if n == 1 or line.segment == 0.0:
        return np.array([(first + last) / n]), np.full((n, 1), n**-0.5)
    g = 1.0 / line.segment
    diagonal = np.full(n, 2.0 * g)
    diagonal[0], diagonal[-1] = g + first, g + last
    from scipy.linalg import eigh_tridiagonal  # imported where it is used: arrays without wires need not wait for it

    return eigh_tridiagonal(diagonal, np.full(n - 1, -g), select="i", select_range=(0, min(count, n) - 1))


def eigenvalues(net: Network, count: int) -> tuple[F64, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Eigenvalues of E for equal cells of the mean conductance, largest first, with the modes of the bit and of the word line."""
    g = float(net.cells.mean())
    bit = line_modes(net.topology.bit, net.rows, count)[0]
    word = line_modes(net.topology.word, net.cols, count)[0]
    table = g * g / np.outer(g + bit, g + word)
    order = np.argsort(-table, axis=None, kind="stable")[:count]
    a, b = np.unravel_index(order, table.shape)
    return table.ravel()[order], a, b


def _resistance(line: Line, n: int) -> F64:
    """Ohm from each node of a line without cells to its terminals, (n,)."""
    k = np.arange(n)
    first, last = line.first.resistance + k * line.segment, line.last.resistance + k[::-1] * line.segment
    return 1.0 / (1.0 / first + 1.0 / last)


def outliers(net: Network, most: int) -> npt.NDArray[np.int64]:
    """Cells (n, 2) at which a field of E is concentrated, such as shorts; the `most` strongest.

    They have more than 8 times the mean conductance, and x y > 0.01 with x = d R / (1 + d R) for the line resistances R to either
    terminal: d^2 (M^-1)_ii (T^-1)_jj without other cells.
    """
    cells = net.cells
    high = 8.0 * float(cells.mean())
    if float(cells.max()) <= high:
        return np.zeros((0, 2), np.int64)
    found = np.argwhere(cells > high)
    d = cells[tuple(found.T)]
    x = d * _resistance(net.topology.bit, net.rows)[found[:, 0]]
    y = d * _resistance(net.topology.word, net.cols)[found[:, 1]]
    strength = x / (1.0 + x) * y / (1.0 + y)
    order = np.argsort(-strength, kind="stable")
    return found[order[strength[order] > 0.01][:most]]


def modes(net: Network, smooth: int, single: npt.NDArray[np.int64]) -> Modes:
    """A basis of so many smooth fields and single cells, filled up to a multiple of 8 with smooth ones."""
    wanted = -(-(smooth + len(single)) // LANES) * LANES - len(single)
    values, a, b = eigenvalues(net, wanted + 1)
    rho = float(values[wanted]) if len(values) > wanted else 0.0
    a, b = a[:wanted], b[:wanted]
    m = -(-(len(a) + len(single)) // LANES) * LANES
    distinct, mode_of = np.unique(b, return_inverse=True)
    shapes = np.zeros((len(net.d), m))
    shapes[: net.rows, : len(a)] = line_modes(net.topology.bit, net.rows, wanted + 1)[1][:, a]
    columns, column_of_single = np.unique(single[:, 1], return_inverse=True)
    whole = -(-len(distinct) // 4) * 4
    word = np.zeros((whole + len(columns), net.cols))
    word[: len(distinct)] = line_modes(net.topology.word, net.cols, wanted + 1)[1][:, distinct].T
    word[whole + np.arange(len(columns)), columns] = 1.0
    index = np.zeros(m, np.int64)
    index[: len(a)] = mode_of
    for k, (row, column) in enumerate(zip(single[:, 0], column_of_single, strict=True), len(a)):
        shapes[row, k] = 1.0
        index[k] = whole + column
    return Modes(shapes, word, np.concatenate([np.full(whole, -1), columns]), index, rho)
