"""What is sent to the cells: trains of the lines or counts, and how many of their slots coincide at a cell. Never moves a cell."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.pulses.kernels.bits import column_lists, popcount, split_words, turn_rows
from analog_sim.random.kernels.options import WITHIN

F32 = npt.NDArray[np.float32]

_32_BITS = np.uint64(0xFFFFFFFF)
_NO_SLOT = np.uint64(0)


class PreparedTrain(NamedTuple):
    """A pulse train as the kernels take it.

    row_streams, firing: of `bits.turn_rows`, bits of every row and sample, and the samples in which a row fires; streams without a pulse
        are void, but with half-selection, where a row counts as firing in every sample.
    column_words: of `bits.split_words`. column_signs: (S, C) of -1 or +1.
    columns, list_start: of `bits.column_lists`, which columns fire in a slot.
    rows: (k,), of a plane, ascending, those that fire in any sample.
    action: (planes, 2), what a cell does at a positive and at a negative product: 1 up, -1 down, 0 nothing.
    half_select: fraction of a mean step that a half-selected cell suffers.
    """

    row_streams: npt.NDArray[np.uint64]
    firing: npt.NDArray[np.uint64]
    column_words: npt.NDArray[np.uint32]
    column_signs: npt.NDArray[np.int8]
    columns: npt.NDArray[np.uint32]
    list_start: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    action: npt.NDArray[np.int8]
    half_select: np.float32


class PreparedCounts(NamedTuple):
    """Signed numbers of pulses, (planes * rows, cols).

    disturbance: mean steps that every cell suffers after all pulses as a half-selected one, same shape or size 0.
    rows: numbers of the rows in which any cell may change, ascending. hits: pulses in each of them.
    cells, each: the cells with pulses, counted through rows and columns, ascending, and their signed pulses, where they are few; else none.
    """

    pulses: npt.NDArray[np.integer]
    disturbance: F32
    rows: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    each: npt.NDArray[np.int32]


@njit(cache=True, nogil=True)
def lay_out(first, last, team, rows, cols, everything, found):
    """Lay out a train as the kernels of pulses take it: `bits.turn_rows`, and `bits.split_words` with `bits.column_lists`.

    Args:
        first, last, team: part 0 does the rows, part 1 the columns, see `analog_sim._teamwork`.
        rows: row_bits, row_sign of `turn_rows`, what it writes, turned, fired, when, most, and busy (rows,) int64, whose first
            places get the numbers of the rows that fire, or, for everything, of all.
        cols: col_bits, col_sign of `column_lists`, the words of `split_words`, the columns and the starts of `column_lists`,
            of which the columns have room for one in every slot.
        everything: as in `turn_rows`.
        found: (4,) uint64, gets the slots in which any row fires, how many rows `busy` names, the slots in which any column fires, and how
            many columns are listed.

    Returns:
        nothing that counts.
    """
    if team:
        return shared(first, last, 1, 1, team)
    for part in range(first, last):
        if part == 0:
            _lay_out_rows(*rows, everything, found)
        else:
            _lay_out_columns(*cols, found)
    return 0


@njit(**WITHIN)
def _lay_out_rows(bits, sign, turned, fired, when, most, busy, everything, found):
    """Part 0 of `lay_out`."""
    turn_rows(bits, sign, everything, turned, fired, when, most)
    slots, firing = _NO_SLOT, 0
    for i in range(fired.shape[0]):
        slots |= fired[i]
        busy[firing] = i
        firing += np.int64(everything or fired[i] != _NO_SLOT)
    found[0], found[1] = slots, np.uint64(firing)


@njit(**WITHIN)
def _lay_out_columns(bits, sign, words, columns, start, found):
    """Part 1 of `lay_out`."""
    number, slots = split_words(bits, words)
    found[2], found[3] = slots, number
    if np.uint64(slots) >> np.uint64(start.shape[1]) == _NO_SLOT:  # else the caller refuses the train
        column_lists(bits, sign, columns, start)


@njit(cache=True, nogil=True)
def coincidences(bits, above, below, words, s, col_sign, both, n):
    """Signed slots of sample s in which a row of stream `bits` and a column fire, into n (C,) int32; returns their number.

    Both of them, or, for both = False, just one. above, below: factors for columns of positive and of negative sign.
    """
    total = np.int32(0)
    for p in range(words.shape[0]):
        mine = np.uint32((bits >> np.uint64(32 * p)) & _32_BITS)
        piece = words[p, s]
        sign = col_sign[s]
        for j in range(n.shape[0]):
            shared = np.uint32(mine & piece[j]) if both else np.uint32(mine ^ piece[j])
            hits = np.int32(np.int32(popcount(shared)) * (above if sign[j] > 0 else below))
            n[j] = hits if p == 0 else np.int32(n[j] + hits)
            total = np.int32(total + np.int32(abs(hits)))
    return np.int64(total)
