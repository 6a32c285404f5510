"""The deflated Born series of the currents: its polynomials, its terms and its Galerkin correction. It chooses nothing and checks nothing.

Output currents are a series in E = M^-1 N (`network`):

    I = p' f + p' N S^-1 f = sum_(k<=K) c_k p' f_k + P' r(E) S^-1 f,    f_k = (N M^-1)^k f,    r(x) = 1 - (1 - x) sum_k c_k x^k

The c_k make r the Chebyshev polynomial of degree K + 1 on [0, rho] with r(1) = 1. The remainder is replaced by its Galerkin
projection on fields V of `basis`: with r = r_1 r_2

    P' r(E) S^-1 f  ~  P' r_1(E) V (V' S V)^-1 (r_2(E) V)' f
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.polynomial import polynomial

from analog_sim.threads import in_parts
from analog_sim.wires.basis import Modes
from analog_sim.wires.kernels import born, first_term
from analog_sim.wires.kernels.lanes import LANES
from analog_sim.wires.network import Network

F64 = npt.NDArray[np.float64]
_UNITS = np.eye(LANES).ravel()
_PADDING = 72  # numbers: rows of a block do not all begin at the same place of a page
NARROW = 3e-9
"""Error of a matrix whose fields are float32 between passes, over the largest current of a word line, as measured (256 to 1024 lines, 1
and 5 ohm: 4e-10 to 2.3e-9; inputs on all lines: below 1e-10)."""


class Polynomials(NamedTuple):
    """Coefficients by powers of x: of the series, and of the two factors of its remainder."""

    c: F64
    first: F64
    second: F64


@lru_cache(maxsize=64)
def polynomials(order: int, rho: float, low: float = 0.0) -> Polynomials:
    """Series of an order whose remainder is the smallest on [low, rho]; its roots are dealt out in turn to both factors."""
    n = order + 1
    nodes = np.cos((2.0 * np.arange(n) + 1.0) * np.pi / (2.0 * n))
    roots = np.sort(low + (rho - low) * (1.0 + nodes) / 2.0)

    def product(values: F64) -> F64:
        out = np.ones(1)
        for root in values:
            out = polynomial.polymul(out, np.array([-root, 1.0]) / (1.0 - root))
        return out

    half = n // 2  # the factor on the side of the sense amplifiers has the smaller roots
    first, second = product(roots[: n - half]), product(roots[n - half :])
    rest = -np.asarray(polynomial.polymul(first, second), np.float64)
    rest[0] += 1.0
    return Polynomials(
        np.cumsum(rest)[:-1].astype(np.float64), first, second
    )  # (1 - r) / (1 - x): the sums of its first coefficients


@dataclass(frozen=True)
class Deflation:
    """Powers of E on the basis and their products; see `kernels.born.deflate`.

    V holds E^a X for a = 1 ... depth, and (E^a X)' S (E^b X) = X' N (E^(a + b - 1) - E^(a + b)) X, so products of X with the powers
    suffice. Smooth fields are nearly eigenvectors: a depth of 1 does. A single cell is not, and needs 2.

    Attributes:
        gram: (2 depth, m, m) siemens, X' N E^k X for k = 1 ... 2 depth. shares: (powers, rows padded, m). ends: (powers, 2, m, cols).
    """

    gram: F64
    shares: F64
    ends: F64

    def factors(self, net: Network, c: Polynomials) -> tuple[F64, F64]:
        """left (depth m, cols) and right (depth m, rows padded) of the Galerkin term."""
        bit, depth = net.topology.bit, range(len(self.gram) // 2)
        ends = bit.first.active_conductance * self.ends[:, 0] + bit.last.active_conductance * self.ends[:, 1]
        left = np.concatenate([_combined(c.first, ends[k:]) for k in depth])
        right = np.concatenate([_combined(c.second, self.shares[k:]).T for k in depth])
        gram = np.block([[self.gram[a + b] - self.gram[a + b + 1] for b in depth] for a in depth])
        scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
        gram /= np.outer(scale, scale)
        right = np.ascontiguousarray(right / scale[:, None])
        born.solve_gram((gram + gram.T) / 2.0, right)
        return left / scale[:, None], right


def _combined(c: F64, fields: F64) -> F64:
    return sum((a * x for a, x in zip(c, fields, strict=False)), np.zeros_like(fields[0]))


def workspace(net: Network, narrow: bool = False) -> tuple[npt.NDArray[np.floating], F64, F64]:
    """Elimination, lines and scratch of the kernels for eight inputs; narrow: the elimination, the largest of them, is float32."""
    width = LANES * net.cols + _PADDING
    kind = np.float32 if narrow else np.float64
    return np.empty((len(net.d), width), kind), np.zeros((4, width)), np.zeros((4, width))


def leaves_cache(net: Network) -> bool:
    """Whether the fields of eight inputs are more than a core's share of the cache, so that memory sets the time of a pass."""
    return 8 * LANES * net.cells.size > 8e6


def deflation(net: Network, basis: Modes, order: int, depth: int) -> Deflation:
    """Apply E to the fields of a basis as often as a series of this order and a Galerkin correction of this depth need."""
    m, powers = basis.size, max(2 * depth, (order + 2) // 2 + depth)
    gram = np.zeros((2 * depth, m, m))
    shares, ends = np.zeros((powers, len(net.d), m)), np.zeros((powers, 2, m, net.cols))

    def part(first: int, last: int) -> None:
        dots = np.zeros((max(4, len(basis.word_modes)), 4 * LANES))
        fields = (basis.bit_shapes, basis.word_modes, basis.column_of, basis.mode_of)
        work = (*workspace(net), np.empty((4, LANES * net.cols + _PADDING)))
        for lane in range(first, last, LANES):
            born.deflate(lane, *net.series, *fields, *work, dots, gram, shares, ends)

    in_parts(part, m, LANES, LANES)
    return Deflation(gram, shares, ends)


def series_matrix(net: Network, c: F64, left: F64, right: F64, allowed: float = 0.0) -> F64:
    """``sum_k c_k p' f_k`` of every word line plus ``right' left``, (rows, cols) siemens.

    allowed: error from rounding, relative to the largest current of a word line. Where NARROW is below it, and memory sets the time, fields
    are float32 between passes; sums stay float64.
    """
    if len(c) == 2 and net.topology.word.segment > 0.0:
        return _first_order(net, c, left, right)
    out, narrow = np.empty((len(net.d), net.cols)), allowed >= NARROW and leaves_cache(net)

    def part(first: int, last: int) -> None:
        born.series(first, last, c, *net.series, left, right, _UNITS, *workspace(net, narrow), out)

    in_parts(part, len(net.d), LANES, LANES)
    return out[: net.rows]


def _first_order(net: Network, c: F64, left: F64, right: F64) -> F64:
    """The same of order 1, which keeps no fields."""
    out, factors, width = np.empty((len(net.d), net.cols)), net.first_factors(), LANES * net.cols + _PADDING

    def part(first: int, last: int) -> None:
        work = (_UNITS, np.empty((3, width)), np.empty((4, width)), np.empty((LANES, width)))
        first_term.first_order(first, last, c, *factors, left, right, *work, out)

    in_parts(part, len(net.d), LANES, LANES)
    return out[: net.rows]


def probe_moments(net: Network, v: F64, orders: int) -> F64:
    """p' f_k of eight inputs v (8, rows) for k = 0 ... orders: (orders + 1, 8, cols) ampere."""
    volts = np.zeros((len(net.d), LANES))
    volts[: net.rows] = v.T
    out = np.empty((orders + 1, LANES * net.cols))
    born.moments(volts, *net.series, *workspace(net), out)
    return out.reshape(orders + 1, net.cols, LANES).transpose(0, 2, 1)
