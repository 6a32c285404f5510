"""An array with its wires, factored: what every solver starts from. It solves for no input.

With cells d_ij = g_ij / (1 + g_ij R_selector) and Kirchhoff's law at the nodes (u word line, w bit line)

    T_i u_i - D_i w_i = t_i V_i,     M_j w_j - D_j u_j = 0,     I_j = p' (f + N w)

T and M are the tridiagonal matrices of the lines, their cells on the diagonal. Eliminating u leaves S w = (M - N) w = f with
N = D T^-1 D and f_ij = d_ij h_ij V_i, where h_i = T_i^-1 t_i is the profile of a word line whose bit lines are at 0 V.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analog_sim.wires.kernels import factor
from analog_sim.wires.kernels.lanes import LANES
from analog_sim.wires.topology import Line, Topology, WiresError

F64 = npt.NDArray[np.float64]
_PAGE = 512  # float64 of 4 KiB
_STAGGER = 88  # float64


def padded(n: int, odd: bool = False) -> int:
    """n rounded up to a multiple of 8; `odd`: to an odd one, so that rows of an array begin in different sets of the cache."""
    eighths = -(-n // LANES)
    return LANES * (eighths + (1 - eighths % 2 if odd else 0))


def staggered(count: int, shape: tuple[int, ...]) -> list[F64]:
    """So many zero arrays whose starts differ in their last 12 bits: equal ones (4 KiB aliasing) halve the speed of a pass over several."""
    size = int(np.prod(shape))
    step = -(-size // _PAGE) * _PAGE + _STAGGER
    block = np.zeros(count * step + LANES)
    start = -(block.ctypes.data // 8) % LANES
    return [block[start + k * step : start + k * step + size].reshape(shape) for k in range(count)]


def checked_cells(g: npt.ArrayLike, selector: float = 0.0) -> F64:
    """Conductances as a float64 matrix with the selector in series. Raises WiresError for anything but finite values >= 0."""
    cells = np.asarray(g, np.float64)
    if cells.ndim != 2 or 0 in cells.shape:
        raise WiresError(
            f"wires: conductances: got an array of shape {cells.shape}, allowed: (rows, columns), at least one each"
        )
    low, high = float(cells.min()), float(cells.max())
    if not (low >= 0.0 and high < np.inf):
        bad = np.argwhere(~(np.isfinite(cells) & (cells >= 0.0)))[0]
        raise WiresError(
            f"wires: conductance of cell {tuple(int(k) for k in bad)}: got {cells[tuple(bad)]} S, allowed: finite, >= 0 S"
        )
    return cells / (1.0 + cells * selector) if selector else cells


class SeriesFactors(NamedTuple):
    """Arguments that the kernels of `kernels.born` share: (rows padded, cols padded), and resistances (rows padded,) and (cols,) in ohm.

    A back-substitution begins with x = q r s like every other step: q is 1 / (y_last + g_last) and r is 1 where it begins.
    """

    down: F64
    down_r: F64
    up: F64
    up_r: F64
    d: F64
    dh: F64
    word_q: F64
    word_r: F64
    p: F64


class FirstFactors(NamedTuple):
    """Arguments of `kernels.first_term`: those of `SeriesFactors` of the same name, and

    own_r: (M^-1)_ii, ohm from each node of a bit line to its terminals and through its cells. pdr: p d r, 1.
    per_r: 1 / r, r ohm of a segment of the word lines.
    """

    down: F64
    up: F64
    d: F64
    dh: F64
    word_q: F64
    p: F64
    own_r: F64
    pdr: F64
    per_r: float


@dataclass(frozen=True, eq=False)
class Network:
    """Cells, wires and the factors of the lines.

    Attributes:
        topology: the wires; neither line is ideal (those have a `closed_form`).
        cells: (rows, cols) siemens, selector included.
        d: the same, padded with zeros to (multiple of 8, odd multiple of 8).
        bit_q, bit_inverse: factors of the bit lines from the top.
        turned, word_q, word_inverse: cells and factors of the word lines, eight lines side by side.
        dh: (padded) siemens: current into each bit-line node per volt at its word line's driver.
    """

    topology: Topology
    cells: F64
    d: F64
    bit_q: F64
    bit_inverse: F64
    turned: F64
    word_q: F64
    word_inverse: F64
    dh: F64

    @property
    def rows(self) -> int:
        """Word lines."""
        return self.cells.shape[0]

    @property
    def cols(self) -> int:
        """Bit lines."""
        return self.cells.shape[1]

    @cached_property
    def profile(self) -> F64:
        """p (padded), 1: share of a current into a bit-line node, word lines at 0 V, that reaches the sense amplifiers."""
        return _profile(self.topology.bit, self.rows, self.bit_q, self.bit_inverse, self.upward)

    @cached_property
    def upward(self) -> tuple[F64, F64]:
        """Factors of the bit lines eliminated from the bottom."""
        return _upward(self.d, self.rows, self.topology.bit)

    @cached_property
    def series(self) -> SeriesFactors:
        """Cells and factors in the order of the Born series."""
        rows, cols = len(self.d), self.cols
        down, up, word = staggered(3, self.d.shape)
        down[...], up[...] = self.bit_q, self.upward[0]
        down[-1], up[0] = self.bit_inverse, self.upward[1]
        down_r, up_r = np.zeros(rows), np.zeros(rows)
        down_r[: self.rows - 1] = up_r[1 : self.rows] = self.topology.bit.segment
        down_r[-1] = up_r[0] = 1.0
        word[:, :cols] = self.word_q.transpose(0, 2, 1).reshape(rows, cols)
        word[:, cols - 1] = self.word_inverse.ravel()
        word_r = np.full(cols, self.topology.word.segment)
        word_r[-1] = 1.0
        factors = {"down": down, "down_r": down_r, "up": up, "up_r": up_r, "word_q": word, "word_r": word_r}
        return SeriesFactors(**factors, d=self.d, dh=self.dh, p=self.profile)

    def first_factors(self) -> FirstFactors:
        """Cells and factors of a series of order 1; the segments of the word lines have resistance."""
        known, bit, r = self.series, self.topology.bit, self.topology.word.segment
        above, below = np.empty_like(self.cells), np.empty_like(self.cells)
        factor.seen_from(self.cells, bit.segment, bit.first.conductance, 1, above)
        factor.seen_from(self.cells, bit.segment, bit.last.conductance, -1, below)
        own_r, pdr = staggered(2, self.d.shape)
        own_r[: self.rows, : self.cols] = 1.0 / (above + below + self.cells)
        np.multiply(known.p, known.d * r, out=pdr)
        names = ("down", "up", "d", "dh", "word_q", "p")
        same = {name: array for name, array in known._asdict().items() if name in names}
        return FirstFactors(**same, own_r=own_r, pdr=pdr, per_r=1.0 / r)


def _upward(d: F64, rows: int, line: Line) -> tuple[F64, F64]:
    q, inverse = np.ones_like(d), np.empty(d.shape[1])
    factor.factor_bits(d, rows, line.segment, line.last.conductance, line.first.conductance, -1, q, inverse)
    return q, inverse


def _profile(line: Line, rows: int, down_q: F64, down_inverse: F64, upward: tuple[F64, F64]) -> F64:
    """Response of lines along axis 0 to a source at their active ends: w_k = q_k w_(k+1) where no current enters."""
    out = np.zeros_like(down_q)
    if line.last.active:
        factor.add_response(down_q, down_inverse, line.last.conductance, rows, -1, out)
    if line.first.active:
        factor.add_response(*upward, line.first.conductance, rows, 1, out)
    return out


def line_profile(d: F64, line: Line) -> F64:
    """Voltage at the nodes of lines along axis 0, (rows, cols), for 1 V at their active ends; their cells d lead to 0 V."""
    if line.ideal:
        return np.ones_like(d)
    rows, cols = d.shape
    block = np.zeros((rows, padded(cols)))
    block[:, :cols] = d
    q, inverse = np.ones_like(block), np.empty(block.shape[1])
    factor.factor_bits(block, rows, line.segment, line.first.conductance, line.last.conductance, 1, q, inverse)
    return _profile(line, rows, q, inverse, _upward(block, rows, line))[:, :cols]


def closed_form(g: npt.ArrayLike, topology: Topology) -> F64 | None:
    """G_eff where a set of lines has no resistance at all, so that nothing couples: p d h. None where both have some.

    Wires of 0 ohm give the cells themselves, to the bit.
    """
    if not (topology.word.ideal or topology.bit.ideal):
        return None
    d = checked_cells(g, topology.selector)
    if topology.word.ideal and topology.bit.ideal:
        return d.copy()
    if topology.word.ideal:
        return line_profile(d, topology.bit) * d
    return np.ascontiguousarray(line_profile(np.ascontiguousarray(d.T), topology.word).T) * d


def factored(g: npt.ArrayLike, topology: Topology) -> Network:
    """Factor an array.

    Args:
        g: (rows, cols) siemens, finite and >= 0. topology: wires, neither line ideal.

    Raises WiresError for other cells, or lines without any resistance.
    """
    if topology.word.ideal or topology.bit.ideal:
        raise WiresError(
            "wires: a line without resistance has nothing to factor; `effective_matrix` and `read` have a closed form for it"
        )
    cells = checked_cells(g, topology.selector)
    rows, cols = cells.shape
    shape = (padded(rows), padded(cols, odd=True))
    d, bit_q, dh = staggered(3, shape)
    d[:rows, :cols] = cells
    bit_q[rows:] = 1.0  # rows of padding are joined by nothing: 0 ohm
    turned, word_q = staggered(2, (shape[0] // LANES, cols, LANES))
    turned[...] = d[:, :cols].reshape(-1, LANES, cols).transpose(0, 2, 1)
    word_inverse, bit_inverse = np.empty((shape[0] // LANES, LANES)), np.empty(shape[1])
    word, bit = topology.word, topology.bit
    factor.factor_bits(d, rows, bit.segment, bit.first.conductance, bit.last.conductance, 1, bit_q, bit_inverse)
    factor.factor_words(turned, word.segment, word.first.conductance, word.last.conductance, word_q, word_inverse)
    factor.word_sources(
        turned,
        word_q,
        word_inverse,
        word.segment,
        word.first.active_conductance,
        word.last.active_conductance,
        np.empty((cols, LANES)),
        dh,
    )
    return Network(
        topology=topology,
        cells=cells,
        d=d,
        bit_q=bit_q,
        bit_inverse=bit_inverse,
        turned=turned,
        word_q=word_q,
        word_inverse=word_inverse,
        dh=dh,
    )
