"""What is sent to the cells: trains of the lines or counts, and how many of their slots coincide at a cell. Never moves a cell."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.pulses.kernels.bits import column_lists, popcount, split_words, turn_rows

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
def lay_out(rows, row_room, cols, col_room, everything, spare):
    """Lay out a train as the kernels of pulses take it: `bits.turn_rows`, `bits.split_words` and `bits.column_lists` at one call.

    Args:
        rows: row_bits, row_sign of `turn_rows`; row_room: what it writes, turned, fired, when, most, and busy (rows,) int64, whose first
            places get the numbers of the rows that fire, or, for everything, of all.
        cols: col_bits, col_sign of `column_lists`; col_room: the words of `split_words`, the starts of `column_lists`.
        everything: as in `turn_rows`. spare: places of the list of columns beyond its end.

    Returns:
        slots in which any row fires; slots in which any column fires; the list of columns; how many rows `busy` names.
    """
    row_bits, row_sign = rows
    turned, fired, when, most, busy = row_room
    col_bits, col_sign = cols
    words, start = col_room
    turn_rows(row_bits, row_sign, everything, turned, fired, when, most)
    by_rows, firing = _NO_SLOT, 0
    for i in range(fired.shape[0]):
        by_rows |= fired[i]
        busy[firing] = i
        firing += np.int64(everything or fired[i] != _NO_SLOT)
    number, slots = split_words(col_bits, words)
    columns = np.empty(np.int64(number) + spare, np.uint32)
    if np.uint64(slots) >> np.uint64(start.shape[1]) == _NO_SLOT:  # else the caller refuses the train
        column_lists(col_bits, col_sign, columns, start)
    return by_rows, slots, columns, firing


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
