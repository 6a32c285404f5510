"""Pulses whose step depends on the volts that reach the cell: selected cells one by one, half-selected ones by mean steps. In place.

A slot of a train is sent in phases, one for each sign of word lines and of bit lines that fire together: of a phase all selected cells get
the voltage in one direction. Counts are sent word line by word line, the bit lines of one direction together. What a cell sees is
linear in sums over the driven lines (`analog_sim.pulses.reached`), which are handed in.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.pulses.kernels.bits import NEGATIVE
from analog_sim.pulses.kernels.cells import load_row, store_row
from analog_sim.pulses.kernels.laws import (
    A_NODE,
    BINS,
    LINEAR,
    NODES,
    Law,
    disturb,
    held,
    numbers_of_bins,
    numbers_of_node,
    step_of_bin,
    step_of_score,
)
from analog_sim.pulses.kernels.noise import refill, seed_row
from analog_sim.pulses.kernels.plans import PreparedCounts, PreparedTrain
from analog_sim.pulses.kernels.pulses import samples_of_row
from analog_sim.pulses.kernels.rooms import RowRoom, row_room
from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import CALLED, WITHIN

F32 = npt.NDArray[np.float32]

_0 = np.float32(0.0)
_A_SIDE = np.uint32(1)
_UP = np.uint64(0)
_SIDE = np.uint64(1)
_NONE = np.int64(0)


class Seen(NamedTuple):
    """`analog_sim.pulses.reached.Reached` of the cells: own_word, own_bit (PR, C), word, bit (PR, modes, C); turns and array of each plane.

    table: (2, N + 1) float32, factors on a step up and down at k nodes of the voltage, the last one twice. scale: nodes for the whole
    amplitude. half: whether half-selected cells move at all.
    """

    own_word: F32
    own_bit: F32
    word: F32
    bit: F32
    row_turn: npt.NDArray[np.int8]
    col_turn: npt.NDArray[np.int8]
    array: npt.NDArray[np.int64]
    table: F32
    scale: np.float32
    half: bool


class TrainDrives(NamedTuple):
    """A train, and sums of the modes over the lines that fire in slot k of sample s with a sign (0 positive, 1 negative).

    train: what is sent. word, bit: (arrays, S, length, 2, modes). phases: (arrays, S, length, 2, 2), which signs of word and of bit
        lines fire together.
    """

    train: PreparedTrain
    word: F32
    bit: F32
    phases: npt.NDArray[np.bool_]


class CountDrives(NamedTuple):
    """Counts, and sums of the modes over the bit lines that are pulsed together with a word line, for its k-th pulses up (0) and down (1).

    counts: what is sent. word: (PR, modes) of the word line. bit: (PR, most, 2, modes). sent: (PR, most, 2), whether there are any.
    events: (planes, 2, C), how often each bit line is driven. of_word, of_bit: (planes, 2, modes, C), mean of `word` and `bit` over those.
    """

    counts: PreparedCounts
    word: F32
    bit: F32
    sent: npt.NDArray[np.bool_]
    events: F32
    of_word: F32
    of_bit: F32


class Sums(NamedTuple):
    """Of the modes of the driven word and bit lines of one phase, (modes,) each."""

    word: F32
    bit: F32


class Work(NamedTuple):
    """What pulses on a row need besides the plan. factors: (C,) scratch."""

    seen: Seen
    law: Law
    room: RowRoom
    factors: F32


@njit(**WITHIN)
def _factor(table, side, x):
    """Factor of a step at x >= 0 nodes, linear between them."""
    x = min(x, np.float32(table.shape[1] - 2))
    k = np.int64(x)
    low = table[side, k]
    return fma(x - np.float32(k), table[side, k + 1] - low, low)


@njit(**WITHIN)
def _rest(seen, r, j, sums):
    """Share of the amplitude at cell j of row r from what the driven lines do but its own."""
    v = _0
    for m in range(sums.word.shape[0]):
        v = fma(sums.word[m], seen.word[r, m, j], v)
    for m in range(sums.bit.shape[0]):
        v = fma(sums.bit[m], seen.bit[r, m, j], v)
    return v


@njit(**WITHIN)
def _suffered(seen, side, v):
    """Mean steps, positive up, of a cell that sees the share v of the amplitude of a pulse in a direction (0 up, 1 down)."""
    up = (side == 0) == (v >= _0)
    f = _factor(seen.table, 0 if up else 1, abs(v) * seen.scale)
    return f if up else -f


@njit(**CALLED)
def run_graded(axis, tables, scores, row, entries, factors, number, noise):
    """Pulses one after the other as `lists.run_list` sends them, each step times its factor."""
    bins = noise.bins
    y, y_bits, up, down, table = row.y, row.y_bits, row.up, row.down, row.table
    size = np.uint64(tables.shape[0]) >> np.uint64(1)
    used = noise.at[0]
    made = noise.at[1]
    for q in range(number):
        if used == made:
            made = refill(noise, axis.noisy, axis.kind == BINS, number - q)
            used = 0
        pulse = np.uint64(entries[q])
        side = pulse & _SIDE
        j = pulse >> np.uint64(1)
        v = y[j]
        first = side * size + np.uint64(table[j])
        if axis.kind == LINEAR:
            step = step_of_bin(tables, side << A_NODE, bins[used], v)
        elif axis.kind == NODES:
            step = step_of_score(tables, numbers_of_node(axis, first, y_bits[j]), scores[np.uint64(bins[used])], v)
        else:
            step = step_of_bin(tables, numbers_of_bins(axis, first, y_bits[j]), bins[used], v)
        gain = (up[j] if side == _UP else down[j]) * factors[q]
        y[j] = held(axis, fma(gain, step, v))
        used += 1
    noise.at[0] = used
    noise.at[1] = made


@njit(**WITHIN)
def _begin(r, cells, axis, place, room):
    """Load row r, seed its noise, forget its pulses."""
    load_row(r, cells, axis, room.row, room.origin)
    key0, key1, call = place
    seed_row(room.noise.state, key0, key1, np.uint64(r), call)
    room.noise.at[0] = 0
    room.noise.at[1] = 0
    for j in range(room.total.shape[0]):
        room.total[j] = np.int32(0)


@njit(**WITHIN)
def _others(work, r, side, selected, columns, sums, z):
    """Mean steps z (C,) of the cells of row r that a phase does not select. columns: those of the driven bit lines."""
    seen = work.seen
    for j in range(z.shape[0]):
        v = _rest(seen, r, j, sums)
        if selected:
            v += seen.own_word[r, j]
        z[j] = _suffered(seen, side, v)
    for q in range(columns.shape[0]):
        j = np.int64(columns[q])
        z[j] = _0 if selected else _suffered(seen, side, seen.own_bit[r, j] + _rest(seen, r, j, sums))


@njit(**WITHIN)
def _phase(r, side, selected, work, columns, sums):
    """One phase at row r; columns: of the driven bit lines. Returns the pulses sent."""
    seen, law, room, factors = work
    entries, sent = room.waiting.entries, _NONE
    if selected:
        for q in range(columns.shape[0]):
            j = np.int64(columns[q])
            v = seen.own_word[r, j] + seen.own_bit[r, j] + _rest(seen, r, j, sums)
            entries[q] = columns[q] << _A_SIDE | np.uint32(side)
            factors[q] = _factor(seen.table, side, max(v, _0) * seen.scale)
            room.total[j] += np.int32(1)
        sent += columns.shape[0]
        run_graded(law.axis, law.tables, law.scores, room.row, entries, factors, sent, room.noise)
    if seen.half:
        z = room.merging.z[: factors.shape[0]]
        _others(work, r, side, selected, columns, sums, z)
        disturb(law.axis, law.means, room.row, z)
    return sent


@njit(**WITHIN)
def _slot(r, plane, mine, s, k, work, drives):
    """All phases of slot k of sample s at row r of a plane; mine: sign of its word line as it counts, -1 when it is at rest."""
    sent, array, train = _NONE, work.seen.array[plane], drives.train
    for a in range(2):
        if not (a == mine or work.seen.half):
            continue
        for listed in range(2):  # bit lines of positive sign first, as in `lists`
            b = listed if work.seen.col_turn[plane] > 0 else 1 - listed
            if drives.phases[array, s, k, a, b]:
                columns = train.columns[train.list_start[s, k, listed] : train.list_start[s, k, listed + 1]]
                sums = Sums(drives.word[array, s, k, a], drives.bit[array, s, k, b])
                sent += _phase(r, a ^ b, a == mine, work, columns, sums)
    return sent


@njit(cache=True, nogil=True)
def graded_rows_by_train(first_row, last_row, cells, law, nothing, seen, drives, place):
    """Pulse rows first_row ... last_row - 1 of every plane by a train, as `pulses.pulse_rows_by_train` does at the nominal voltage.

    Args:
        first_row, last_row: int, of a plane. cells, law, seen, drives: see the classes. nothing: no composed tables.
        place: (key0, key1, call) of the noise.

    Returns:
        Number of pulses sent.
    """
    planes, train = seen.array.shape[0], drives.train
    rows, cols = cells.g.shape[0] // planes, cells.g.shape[1]
    length = train.list_start.shape[1]
    room = row_room(cols, length, nothing)
    work = Work(seen, law, room, np.empty(cols, np.float32))
    samples = np.empty(train.list_start.shape[0] + 1, np.int64)
    sent = _NONE
    for q in range(first_row * planes, last_row * planes):
        plane, i = q % planes, q // planes
        r = plane * rows + i
        number = samples_of_row(train, i, samples)
        if number == 0:
            continue
        _begin(r, cells, law.axis, place, room)
        for e in range(number):
            s = samples[e]
            stream = train.row_streams[i, s]
            negative = (stream & NEGATIVE != np.uint64(0)) != (seen.row_turn[plane] < 0)
            for k in range(length):
                fires = (stream >> np.uint64(k)) & np.uint64(1) != np.uint64(0)
                if fires or seen.half:
                    mine = (1 if negative else 0) if fires else -1
                    sent += _slot(r, plane, mine, s, k, work, drives)
        store_row(r, cells, law.axis, room.row, room.origin, room.total)
    return sent


@njit(**WITHIN)
def _of_other_rows(r, plane, seen, drives, own, z):
    """Mean steps z (C,) that the pulses on other rows cost the cells of row r; own: its own pulses, which are taken off."""
    for j in range(z.shape[0]):
        z[j] = _0
        for side in range(2):
            mine = own[j] if side == 0 else -own[j]
            times = drives.events[plane, side, j] - np.float32(max(mine, np.int32(0)))
            v = seen.own_bit[r, j]
            for m in range(drives.of_word.shape[2]):
                v = fma(drives.of_word[plane, side, m, j], seen.word[r, m, j], v)
            for m in range(drives.of_bit.shape[2]):
                v = fma(drives.of_bit[plane, side, m, j], seen.bit[r, m, j], v)
            z[j] += times * _suffered(seen, side, v)


@njit(cache=True, nogil=True)
def graded_rows_by_counts(first, last, cells, law, nothing, seen, drives, place):
    """Pulse the rows that `PreparedCounts.rows` names from place `first` to before `last`, as `pulses.pulse_rows_by_counts` does."""
    cols, counts = cells.g.shape[1], drives.counts
    rows = cells.g.shape[0] // seen.array.shape[0]
    room = row_room(cols, 1, nothing)
    work = Work(seen, law, room, np.empty(cols, np.float32))
    listed = np.empty(cols + 1, np.uint32)
    sent = _NONE
    for r in counts.rows[first:last]:
        _begin(r, cells, law.axis, place, room)
        n = counts.pulses[r]
        for k in range(drives.sent.shape[1]):
            for side in range(2):
                if drives.sent[r, k, side]:
                    found = 0
                    for j in range(cols):
                        listed[found] = np.uint32(j)
                        found += np.int64((n[j] if side == 0 else -n[j]) > np.int32(k))
                    sums = Sums(drives.word[r], drives.bit[r, k, side])
                    sent += _phase(r, side, True, work, listed[:found], sums)
        if seen.half:
            z = room.merging.z[:cols]
            _of_other_rows(r, r // rows, seen, drives, n, z)
            disturb(law.axis, law.means, room.row, z)
        store_row(r, cells, law.axis, room.row, room.origin, room.total)
    return sent
