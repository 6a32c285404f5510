"""Pulses on the cells of a crossbar, in place: outer-product trains and signed counts. Never knows a device or a weight.

A row of cells is taken at a time and stays in the first-level cache while all samples act on it. Inside a row the state is
the grid coordinate of the law's tables, ``y = base + scale u`` with ``u = (g - lo)/(hi - lo)`` in the cell's own window; a
cell whose y has not changed keeps its g bit by bit. Rows are independent, and the noise is a function of (key, call, row,
position in the row): the same bits on any number of threads.

There are two ways through the pulses of a row, and the plan alone decides between them, sample by sample:

    listed    which columns fire in a slot is known from one list for all rows; a row runs the lists of the slots in which it fires,
              one by one (`pulse_parts`) or, when they are short, put one after the other (`pulse_lists`); both cells of a pair get
              the same pulses with opposite signs, so that the second runs what was listed for the first
    merged    where pulses are dense, the n pulses that a cell gets in a sample are one step, in distribution the same;
              `pulse_merging` says how nearly, and leaves alone the cells for which it is not
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.pulses.kernels.bits import MAX_LENGTH, NEGATIVE, lowest_bit, popcount
from analog_sim.pulses.kernels.cells import Origin, Row, load_row, store_row
from analog_sim.pulses.kernels.laws import LINEAR, disturb
from analog_sim.pulses.kernels.lists import AT_ONCE, add_list, apart, list_kth_pulses, run_list, turn_list
from analog_sim.pulses.kernels.merging import DENSE, Merging, compare_gains, leave_alone, merge_composed, merge_linear
from analog_sim.pulses.kernels.noise import BUFFER, LANES, STATE, WORDS, Noise, seed_row
from analog_sim.pulses.kernels.parts import add_parts, columns_at_once, run_parts, turn_parts
from analog_sim.pulses.kernels.plans import coincidences
from analog_sim.random.kernels.options import WITHIN

FEW = 4
"""Of how many cells one may be left alone by a composed table; once more are, a row goes on without tables."""

MOST_LISTED = 1024
"""Pulses from which on a list is run."""

MOST_PARTS = 256
"""Parts that are collected before they are run."""

SHORT = 8.0
"""Mean length of the lists of columns up to which those of a row are put one after the other (the result is the same)."""

FEW_COUNTED = np.float32(0.25)
"""Counted pulses for each cell of a row up to which they are sent one by one: a merged step costs every cell of the row the same."""

COUNTS = -1
"""What happens to a row, in place of a sample: pulses by counts."""

DISTURBANCE = -2
"""The same: half-selected cells move."""

_0 = np.float32(0.0)
_NO_BITS = np.uint64(0)
_ONE_BIT = np.uint64(1)


class Listed(NamedTuple):
    """Pulses of a row that are not yet sent, as entries or as parts; only as much is touched as is listed.

    entries: of `pulse_lists`. parts: of `pulse_parts`. lane, left: (C + 1,), cells that a merging left alone, and their pulses.
    """

    entries: npt.NDArray[np.uint32]
    parts: npt.NDArray[np.int64]
    lane: npt.NDArray[np.uint32]
    left: npt.NDArray[np.int32]


@njit(forceinline=True)
def _row(cols):
    """Room for a row. Made in the kernel, not handed in: so the compiler knows that no two arrays overlap."""
    y, up, down = np.empty(cols, np.float32), np.empty(cols, np.float32), np.empty(cols, np.float32)
    return Row(y, y.view(np.uint32), up, down, np.zeros(cols, np.uint32))


@njit(forceinline=True)
def _origin(cols):
    """Room for where it comes from."""
    return Origin(np.empty(cols, np.float32), np.empty(cols, np.float32), np.empty(cols, np.float32))


@njit(forceinline=True)
def _noise():
    """Generators that are yet to be seeded."""
    bins = np.full(BUFFER, 8, np.uint16)  # any bin will do for a law without noise
    return Noise(np.empty(STATE, np.int32), np.empty(WORDS, np.int32), bins, np.empty(2, np.int64))


@njit(forceinline=True)
def _merging(cols, composed):
    """Room for merging; every cell has the first table until `compare_gains` knows better."""
    siemens = np.full(cols, composed.siemens[0] if composed.words.size > 0 else _0, np.float32)
    return Merging(
        np.zeros(cols, np.uint32),
        siemens,
        np.empty((2, cols), np.float32),
        np.empty((2, cols), np.float32),
        np.zeros(cols + 2 * LANES, np.uint16),
        np.empty(cols, np.uint32),
        np.empty(cols, np.uint64),
        np.zeros(cols + 2 * LANES, np.float32),
        np.empty(cols + 1, np.uint32),
    )


@njit(forceinline=True)
def _listed(cols, length):
    """Room for lists."""
    return Listed(
        np.empty(MOST_LISTED + cols * max(length, 1) + AT_ONCE, np.uint32),
        np.empty(3 * (MOST_PARTS + 2 * MAX_LENGTH), np.int64),
        np.empty(cols + 1, np.uint32),
        np.empty(cols + 1, np.int32),
    )


@njit(**WITHIN)
def _take_counts(pulses, r, n, total):
    """Pulses of row r into n and their numbers into total (C,) int32; returns how many there are."""
    hits = np.int64(0)
    for j in range(n.shape[0]):
        n[j] = pulses[r, j]
        total[j] = abs(n[j])
        hits += np.int64(total[j])
    return hits


@njit(**WITHIN)
def _add_samples(when, i, events, number):
    """Append the samples in which row i fires to a list of so many events; returns its new length."""
    for w in range(when.shape[1]):
        left_over = when[i, w]
        while left_over != _NO_BITS:
            events[number] = 64 * w + np.int64(lowest_bit(left_over))
            left_over &= left_over - _ONE_BIT
            number += 1
    return number


@njit(forceinline=True)
def _run_alone(axis, tables, scores, row, n, found, room, listed, noise):
    """Pulse the `found` cells that a merging left alone one by one: the first pulses of all, then the second ones."""
    entries, lane, left = listed.entries, listed.lane, listed.left
    found, need, most = apart(n, lane, left, room.alone)
    for k in range(most):
        now = list_kth_pulses(k, found, lane, left, entries)
        run_list(axis, tables, scores, row, entries, now, need, noise)
        need -= now


@njit(cache=True, nogil=True)
def pulse_rows(first_row, last_row, cells, law, composed, train, counts, place):
    """Pulse rows first_row ... last_row - 1 of every plane of a crossbar (row i of plane p is row p rows + i of the arrays) by a train, or
    by counts.

    Args:
        first_row, last_row: int, of a plane.
        cells, law, composed, train, counts: see the classes.
        place: (key0, key1, call) of the noise, np.uint64: two 32-bit words and the number of this operation.

    Returns:
        Number of pulses sent.
    """
    row_bits, when, col_words, col_sign, columns, start, act, half = train
    pulses, times, largest = counts
    axis, tables, means, _, scores = law
    flat_tables = tables.reshape(-1)
    cols = cells.g.shape[1]
    planes = act.shape[0]
    rows = cells.g.shape[0] // planes
    opposite = planes == 2 and act[0, 0] == -act[1, 0] and act[0, 1] == -act[1, 1]
    samples, length = start.shape[0], start.shape[1]
    tabled = composed.words.size > 0
    counted = cells.counter.size > 0 or cells.t_written.size > 0 or cells.present.size > 0
    short = columns_at_once(start) <= SHORT
    row, origin, noise = _row(cols), _origin(cols), _noise()
    room, waiting = _merging(cols, composed), _listed(cols, length)
    entries, parts, z = waiting.entries, waiting.parts, room.z
    n, total = np.zeros(cols, np.int32), np.zeros(cols, np.int32)
    events = np.empty(samples + 3, np.int64)
    key0, key1, call = place
    sent = 0
    hits = np.int64(0)
    number = 0  # parts that wait
    listed = 0  # pulses that wait
    happens = 0
    whole = False
    above = np.int32(0)
    below = np.int32(0)
    for q in range(first_row * planes, last_row * planes):
        plane = q % planes
        i = q // planes
        r = plane * rows + i
        # The cells of the second plane get the pulses of the first the other way: a list that held all of them is run again.
        again = plane > 0 and whole and opposite
        if pulses.size > 0:
            happens = np.int64(largest[r] > 0)
            events[0] = COUNTS
            if happens + times.size > 0:  # else there is nothing to look at
                hits = _take_counts(pulses, r, n, total)
                sent += hits
        elif plane == 0:
            happens = _add_samples(when, i, events, 0)
        if counted and pulses.size == 0 and not again:
            for j in range(cols):
                total[j] = np.int32(0)
        if times.size > 0:
            events[happens] = DISTURBANCE
            happens += 1
        if happens == 0:
            continue
        load_row(r, cells, axis, row, origin)
        if tabled:
            compare_gains(r, composed, cells.table, row, room)
        seed_row(noise.state, key0, key1, np.uint64(r), call)
        noise.at[0] = 0
        noise.at[1] = 0
        poor = False
        if again and short:
            turn_list(entries, listed)
        elif again:
            turn_parts(parts, number)
        else:
            listed = 0
            number = 0
            whole = True
        for e in range(happens - 1 if again else 0, happens):
            s = events[e]
            merged = s == COUNTS
            disturbed = s == DISTURBANCE
            if s >= 0 and not again:
                turn = np.int64(row_bits[i, s] >> np.uint64(63))
                bits = row_bits[i, s] & ~NEGATIVE
                above = np.int32(act[plane, turn])
                below = np.int32(act[plane, 1 - turn])
                firing = start[s, length - 1, 2] - start[s, 0, 0]
                pairs = np.float32(np.int64(popcount(bits)) * firing)
                merged = (axis.kind == LINEAR or (tabled and not poor)) and pairs > DENSE * np.float32(cols * length)
                disturbed = half > _0
                if merged or counted:
                    hits = coincidences(bits, above, below, col_words, s, col_sign, True, n)
                    sent += hits if merged else 0
                    if counted:
                        for j in range(cols):
                            total[j] += abs(n[j])
                while bits != _NO_BITS and not merged:
                    k = lowest_bit(bits)
                    bits &= bits - _ONE_BIT
                    if short:
                        listed = add_list(start, s, k, above, below, columns, entries, listed)
                    else:
                        number, listed = add_parts(start, s, k, above, below, parts, number, listed)
            full = listed >= MOST_LISTED if short else number >= MOST_PARTS
            if merged or disturbed or full or e == happens - 1:
                if number == 0:
                    run_list(axis, flat_tables, scores, row, entries, listed, listed, noise)
                else:
                    run_parts(axis, tables, scores, row, columns, parts, number, listed, noise)
                sent += listed
                whole = whole and e == happens - 1 and not merged and not disturbed
                if not whole:
                    listed = 0
                    number = 0
            if merged:
                if axis.kind != LINEAR:
                    found = merge_composed(axis, composed, row, n, hits, room, noise)
                    poor = FEW * found > cols
                elif s == COUNTS and np.float32(hits) <= FEW_COUNTED * np.float32(cols):
                    found = leave_alone(n, room.alone)
                else:
                    found = merge_linear(law, row, n, room, noise)
                if found > 0:
                    _run_alone(axis, flat_tables, scores, row, n, found, room, waiting, noise)
            if disturbed:
                if s >= 0:
                    coincidences(row_bits[i, s] & ~NEGATIVE, above, below, col_words, s, col_sign, False, n)
                for j in range(cols):
                    z[j] = half * np.float32(n[j]) if s >= 0 else times[r, j]
                disturb(axis, means, row, z)
        store_row(r, cells, axis, row, origin, total)
    return sent
