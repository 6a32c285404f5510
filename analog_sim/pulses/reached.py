"""How much of a pulse's voltage reaches each cell under wires. It draws nothing and moves no cell.

Pulses are sent by half amplitudes (V/2): selected word lines at +V/2 and selected bit lines at -V/2, or the reverse for depression, all
others at 0 V. With ohmic cells the voltage across cell ij is linear in what is driven. Of smooth drives m_a (word) and n_b (bit lines) it
is known from solves, of the rest of a drive from the cell's own lines (`analog_sim.wires.response`, once for each kind of line):

    v_ij = V (own_ij p_i + sum_a A_a word^a_ij + own'_ij q_j + sum_b B_b bit^b_ij)

A_a is the sum of m_a over the driven word lines, B_b that of n_b over the driven bit lines; p_i, q_j: whether the cell's word line and bit
line are driven. Conductances are those at low voltage, of the state before the pulses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.wires import Topology, WiresSpec, arranged, response, smooth_modes

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

LOAD_TOLERANCE = 0.02
"""Relative change of the conductance of any line (sum of its cells) up to which what pulses see is kept."""


@dataclass(frozen=True, eq=False)
class Reached:
    """Shares of the amplitude at every cell, (planes rows, ...) with rows counted through all planes.

    Attributes:
        own_word, own_bit: (planes rows, cols), of a driven line of the cell: 1/2, less the drop.
        word, bit: (planes rows, modes, cols), for 1 in A_a or B_b.
        word_modes: (planes, modes, rows), m_a. bit_modes: (planes, modes, cols), n_b.
        row_turn, col_turn: (planes,), sign with which a line of the plane counts: the product of the two is the direction of its cells at
            a positive product of a train.
        array: (planes,), which array the plane is on: planes with one number share their word lines (or, with a row_turn of -1, their
            bit lines).
    """

    own_word: F32
    own_bit: F32
    word: F32
    bit: F32
    word_modes: F32
    bit_modes: F32
    row_turn: npt.NDArray[np.int8]
    col_turn: npt.NDArray[np.int8]
    array: npt.NDArray[np.int64]


class PulseWires:
    """What pulses see of the wires of one crossbar, kept while its lines carry the same load.

    Args:
        spec: the wires; pulses drive word lines where reads do, and bit lines where they are sensed, through the same resistances.
        planes: cells of a cross point.
    """

    def __init__(self, spec: WiresSpec, planes: int) -> None:
        self._topology, self._selector = spec.forward().bare(), spec.selector
        self._place = spec.pair if planes == 2 else "separate"
        self._base: F32 | None = None
        self._reached: Reached | None = None

    def reached(self, g: F32) -> Reached:
        """Of cells g (planes, rows, cols) siemens. Raises WiresError when the wires cannot be solved."""
        if self._base is None or self._reached is None or self._moved(g, self._base) > LOAD_TOLERANCE:
            self.rebase(g)
        assert self._reached is not None
        return self._reached

    def rebase(self, g: F32 | None) -> None:
        """Solve for these cells now; None: for the next ones that are asked for."""
        self._base = None if g is None else np.array(g, np.float32)
        self._reached = None if self._base is None else self._solved(self._base)

    @property
    def base(self) -> F32 | None:
        """The cells that were solved for, None without; what is reached follows from them."""
        return None if self._base is None else self._base.copy()

    def _moved(self, g: F32, base: F32) -> float:
        """Largest relative change of a line's conductance."""
        change = 0.0
        for axis in (1, 2):
            now, then = g.sum(axis, dtype=np.float64), base.sum(axis, dtype=np.float64)
            least = np.maximum(then, 0.1 * then.mean())  # a dead line carries none
            change = max(change, float((np.abs(now - then) / np.where(least > 0.0, least, 1e-30)).max()))
        return change

    def _solved(self, g: F32) -> Reached:
        series = g / (np.float32(1.0) + g * np.float32(self._selector))
        place, two = self._place, len(g) == 2
        arrays = arranged(series[0], series[1], place) if two else (np.asarray(series[0], np.float64),)
        shared = two and place != "separate"
        words = [_of_lines(a, self._topology) for a in arrays]
        turned = replace(self._topology, word=self._topology.bit, bit=self._topology.word)
        bits = [_of_lines(np.ascontiguousarray(a.T), turned) for a in arrays]
        share = np.float32(0.5) / (
            np.float32(1.0) + g * np.float32(self._selector)
        )  # of the volts across cell and selector

        def planes(each: list[F64], axis: int) -> F64:
            """(planes, ...) of what the arrays hold; axis: where the lines lie that plus and minus cells do not share."""
            if not shared:
                return np.stack(each)
            [a] = each
            return np.stack([np.take(a, np.arange(k, a.shape[axis], 2), axis) for k in (0, 1)])

        at = -1 if place == "columns" else -2
        flat = (len(g) * g.shape[1], g.shape[2])

        def cells(each: list[F64]) -> F32:
            return np.ascontiguousarray((planes(each, at) * share).reshape(flat), np.float32)

        def fields(each: list[F64]) -> F32:
            moved = (planes(each, at) * share[:, None]).transpose(0, 2, 1, 3)
            return np.ascontiguousarray(moved.reshape(flat[0], -1, flat[1]), np.float32)

        def modes(each: list[F64], split: bool) -> F32:
            found = planes(each, -1) if split else np.stack([*each, *each][: len(g)])
            return np.ascontiguousarray(found, np.float32)

        return Reached(
            cells([own for own, _, _ in words]),
            cells([own.T for own, _, _ in bits]),
            fields([rest for _, rest, _ in words]),
            fields([rest.transpose(0, 2, 1) for _, rest, _ in bits]),
            modes([m for _, _, m in words], shared and place == "rows"),
            modes([m for _, _, m in bits], shared and place == "columns"),
            *_turns(len(g), place),
            np.zeros(2, np.int64) if shared else np.arange(len(g)),
        )


def _of_lines(g: F64, topology: Topology) -> tuple[F64, F64, F64]:
    """Of driven lines along axis 1 of g: own voltage (rows, cols), the rest of every mode (modes, rows, cols), per volt; the modes."""
    m = smooth_modes(len(g))
    found = response(g, topology, m)
    return found.local, found.fields - found.local * m[:, :, None], m


def _turns(planes: int, place: str) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """`Reached.row_turn` and `col_turn`: the minus cells of a pair are turned by their bit lines, or by word lines of their own."""
    one, other = np.ones(planes, np.int8), np.array([1, -1][:planes], np.int8)
    return (other, one) if place == "rows" else (one, other)
