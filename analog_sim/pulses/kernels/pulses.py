"""Pulses on the cells of a crossbar, in place: outer-product trains and signed counts. Never knows a device or a weight.

A row of cells is taken at a time and stays in the first-level cache while all samples act on it. Inside a row the state is
the grid coordinate of the law's tables, ``y = base + scale u`` with ``u = (g - lo)/(hi - lo)`` in the cell's own window; a
cell whose y has not changed keeps its g bit by bit. Rows are independent, and the noise is a function of (key, call, row,
position in the row): the same bits on any number of threads.

There are two ways through the pulses of a row, and the plan alone decides between them, sample by sample:

    listed    which columns fire in a slot is known from one list for all rows; a row runs the lists of the slots in which it fires,
              one by one (`kernels.parts`) or, when they are short, put one after the other (`kernels.lists`); both cells of a pair get
              the same pulses with opposite signs, so that the second runs what was listed for the first
    merged    where pulses are dense, the n pulses that a cell gets in a sample are one step, in distribution the same;
              `kernels.merging` says how nearly, and leaves alone the cells for which it is not
"""

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.pulses.kernels.bits import NEGATIVE, lowest_bit, popcount
from analog_sim.pulses.kernels.cells import FEW_CELLS, Cells, bring_few, few_cells, load_row, put_few_back, store_row
from analog_sim.pulses.kernels.composed.merging import (
    DENSE,
    ComposedTables,
    compare_gains,
    leave_alone,
    merge_composed,
    merge_linear,
)
from analog_sim.pulses.kernels.history import load_memory, run_list_with_history, store_memory
from analog_sim.pulses.kernels.laws import LINEAR, disturb, law_of
from analog_sim.pulses.kernels.lists import (
    AT_ONCE,
    add_list,
    apart,
    entries_of_columns,
    list_kth_pulses,
    run_list,
    turn_list,
)
from analog_sim.pulses.kernels.noise import seed_row
from analog_sim.pulses.kernels.parts import add_parts, columns_at_once, run_parts, turn_parts
from analog_sim.pulses.kernels.plans import PreparedCounts, PreparedTrain, coincidences
from analog_sim.pulses.kernels.prefetch import fetch_cell, fetch_line_of, fetch_row, places_of
from analog_sim.pulses.kernels.rooms import MOST_LISTED, MOST_PARTS, row_room
from analog_sim.random.kernels.options import WITHIN

FEW = 4
"""Of how many cells one may be left alone by a composed table; once more are, a row goes on without tables."""

SHORT = 8.0
"""Mean length of the lists of columns up to which those of a row are put one after the other (the result is the same)."""

FEW_COUNTED = np.float32(0.25)
"""Counted pulses for each cell of a row up to which they are sent one by one: a merged step costs every cell of the row the same."""

A_WHOLE_ROW = 16
"""Of how many cells one may be pulsed by counts for the row not to be worth decoding as a whole (the result is the same)."""

AT_A_LOOK = 32
"""Cells of which it is known at once that none is pulsed."""

AHEAD = 12
"""Listed cells between the one that is worked on and the one that is fetched: their rows take about as long as the memory."""

_0 = np.float32(0.0)
_NO_BITS = np.uint64(0)
_ONE_BIT = np.uint64(1)
_NONE = np.int64(0)  # a plain 0 would have functions compiled for this very number


@njit(**WITHIN)
def _seed(r, place, noise):
    """Seed the noise of row r. place: (key0, key1, call)."""
    key0, key1, call = place
    seed_row(noise.state, key0, key1, np.uint64(r), call)
    noise.at[0] = 0
    noise.at[1] = 0


@njit(**WITHIN)
def _begin_row(r, cells, axis, composed, place, room):
    """Load row r and seed its noise. place: (key0, key1, call)."""
    load_row(r, cells, axis, room.row, room.origin)
    load_memory(r, cells.memory, room.memory)
    if composed.words.size > 0:
        compare_gains(r, composed, cells.table, room.row, room.merging)
    _seed(r, place, room.noise)


@njit(**WITHIN)
def _send_alone(law, room):
    """Pulse the cells that a merging left alone one by one: the first pulses of all, then the second ones."""
    entries, cell, left = room.waiting.entries, room.alone.cell, room.alone.pulses
    found, need, most = apart(room.n, cell, left, room.merging.alone)
    for k in range(most):
        now = list_kth_pulses(k, found, cell, left, entries)
        if law.history.shape[0] > 0:
            run_list_with_history(law, room.row, room.memory, entries, now, need, room.noise)
        else:
            run_list(law.axis, law.tables, law.scores, room.row, entries, now, need, room.noise)
        need -= now


@njit(**WITHIN)
def _send_at_once(law, composed, hits, few, room):
    """Send the `hits` signed pulses `room.n` as one step where that is the same in distribution, one by one elsewhere.

    few: send all of them one by one, if the law is linear. Returns how many cells were left alone.
    """
    if law.history.shape[0] > 0:
        found = leave_alone(room.n, room.merging.alone)
    elif law.axis.kind != LINEAR:
        found = merge_composed(law.axis, composed, room.row, room.n, hits, room.merging, room.noise)
    elif few:
        found = leave_alone(room.n, room.merging.alone)
    else:
        found = merge_linear(law, room.row, room.n, room.merging, room.noise)
    if found > 0:
        _send_alone(law, room)
    return found


@njit(**WITHIN)
def _pulsed_cells(pulses, r, cell, n):
    """Columns of row r with pulses and their pulses into the lists cell, n, longer than the row by one; returns their number."""
    found = 0
    row = pulses[r]
    cols = row.shape[0]
    for first in range(0, cols, AT_A_LOOK):
        last = min(first + AT_A_LOOK, cols)
        any_here = np.int32(0)
        for j in range(first, last):
            any_here |= np.int32(row[j])
        for j in range(first, last if any_here != np.int32(0) else first):
            cell[found] = np.uint32(j)  # void unless the place moves on: no branch
            n[found] = np.int32(row[j])
            found += np.int64(row[j] != 0)
    return found


@njit(**WITHIN)
def _listed_cells(counts, at, first, cell, n, places):
    """`_pulsed_cells` for a row that begins with cell `first`, out of the list of cells, of which the one at place `at` is next.

    Cells further down the list are fetched meanwhile: they are everywhere in the array. Returns their number.
    """
    found = 0
    beyond, last = first + counts.pulses.shape[1], counts.cells.shape[0]
    while at + found < last and counts.cells[at + found] < beyond:
        if at + found + AHEAD < last:
            fetch_cell(places, counts.cells[at + found + AHEAD])
        cell[found] = np.uint32(counts.cells[at + found] - first)
        n[found] = counts.each[at + found]
        found += 1
    return found


@njit(**WITHIN)
def _next_listed(counts, at, first):
    """Place in the list of cells, from `at` on, of the first cell that is not before cell `first`."""
    while at < counts.cells.shape[0] and counts.cells[at] < first:
        at += 1
    return at


@njit(**WITHIN)
def _pulse_few(r, found, cells, law, place, room, few):
    """Pulse one by one the `found` cells of row r that `room.alone` lists, brought together; returns the number of pulses.

    What is done to a cell, and in which order the cells draw their noise, is as in `_send_alone` on the whole row.
    """
    cell, left, total, entries = room.alone.cell, room.alone.pulses, room.total, room.waiting.entries
    bring_few(cells, r, cell, found, few)
    load_row(0, few, law.axis, room.row, room.origin)
    _seed(r, place, room.noise)
    need = _NONE
    most = _NONE
    for q in range(FEW_CELLS):
        n = abs(left[q]) if q < found else np.int32(0)
        total[q] = n
        need += np.int64(n)
        most = max(most, np.int64(n))
    hits = need
    place_here = room.merging.place
    for q in range(found):
        place_here[q] = np.uint32(q)
    for k in range(most):
        now = list_kth_pulses(k, found, place_here, left, entries)
        run_list(law.axis, law.tables, law.scores, room.row, entries, now, need, room.noise)
        need -= now
    store_row(0, few, law.axis, room.row, room.origin, total)
    put_few_back(few, r, cell, found, cells)
    return hits


@njit(**WITHIN)
def _take_counts(pulses, r, n, total):
    """Pulses of row r into n and their numbers into total (C,) int32; returns how many there are."""
    hits = _NONE
    for j in range(n.shape[0]):
        n[j] = pulses[r, j]
        total[j] = abs(n[j])
        hits += np.int64(total[j])
    return hits


@njit(cache=True, nogil=True)
def pulse_rows_by_counts(first, last, team, cells, law, composed, counts, place):
    """Pulse rows of an array by counts, then disturb their half-selected cells.

    Args:
        first, last, team: int, places in `counts.rows`: the rows from the one to before the other.
        cells, law, composed, counts: see the classes; their fields as plain tuples (`laws.law_of`).
        place: (key0, key1, call) of the noise, np.uint64: two 32-bit words and the number of this operation.

    Returns:
        Number of pulses sent.
    """
    if team:
        return shared(first, last, 1, 2, team)
    cells, law, composed, counts = Cells(*cells), law_of(law), ComposedTables(*composed), PreparedCounts(*counts)
    disturbed = counts.disturbance.size > 0
    cols = cells.g.shape[1]
    room = row_room(cols, 0, composed)
    z = room.merging.z
    few, places = few_cells(cells), places_of(cells)
    plain = law.axis.kind == LINEAR and law.history.shape[0] == 0 and not disturbed
    scarce = min(cols // A_WHOLE_ROW, FEW_CELLS) if plain else -1
    sent, at = _NONE, _NONE
    listed = counts.cells.size > 0
    for place_of_row in range(first, last):
        r = counts.rows[place_of_row]
        if counts.hits[place_of_row] <= scarce and cols >= FEW_CELLS:
            if listed:
                at = _next_listed(counts, at, r * cols)
                found = _listed_cells(counts, at, r * cols, room.alone.cell, room.alone.pulses, places)
            else:
                found = _pulsed_cells(counts.pulses, r, room.alone.cell, room.alone.pulses)
            sent += _pulse_few(r, found, cells, law, place, room, few)
            continue
        hits = _take_counts(counts.pulses, r, room.n, room.total)
        if place_of_row + 1 < last and counts.hits[place_of_row + 1] > scarce:
            fetch_row(places, counts.rows[place_of_row + 1])
        _begin_row(r, cells, law.axis, composed, place, room)
        if hits > 0:
            _send_at_once(law, composed, hits, np.float32(hits) <= FEW_COUNTED * np.float32(cols), room)
        if disturbed:
            for j in range(cols):
                z[j] = counts.disturbance[r, j]
            disturb(law.axis, law.means, room.row, z)
        store_row(r, cells, law.axis, room.row, room.origin, room.total)
        store_memory(r, cells.memory, room.memory)
        sent += hits
    return sent


@njit(**WITHIN)
def samples_of_row(train, i, samples):
    """The samples in which row i fires into `samples`; returns their number."""
    number = 0
    for w in range(train.firing.shape[1]):
        left_over = train.firing[i, w]
        while left_over != _NO_BITS:
            samples[number] = 64 * w + np.int64(lowest_bit(left_over))
            left_over &= left_over - _ONE_BIT
            number += 1
    return number


@njit(**WITHIN)
def _list_sample(train, s, bits, above, below, short, ready, waiting, parts, listed):
    """Add the pulses of a row of stream `bits` in sample s to what waits; returns the new numbers of parts and pulses.

    above, below: what cells do at columns of positive and of negative sign, 1 up, -1 down, 0 nothing. short: list them as entries, of
    which `ready` has those of a row of positive sign.
    """
    while bits != _NO_BITS:
        k = lowest_bit(bits)
        bits &= bits - _ONE_BIT
        if short:
            listed = add_list(train.list_start, s, k, above, below, ready, waiting.entries, listed)
        else:
            parts, listed = add_parts(train.list_start, s, k, above, below, waiting.parts, parts, listed)
    return parts, listed


@njit(**WITHIN)
def _send_listed(law, train, short, room, parts, listed):
    """Send the pulses that wait."""
    axis, waiting = law.axis, room.waiting
    if law.history.shape[0] > 0:
        run_list_with_history(law, room.row, room.memory, waiting.entries, listed, listed, room.noise)
    elif short:
        run_list(axis, law.tables, law.scores, room.row, waiting.entries, listed, listed, room.noise)
    else:
        run_parts(axis, law.tables, law.scores, room.row, train.columns, waiting.parts, parts, listed, room.noise)


@njit(**WITHIN)
def _may_merge(law, composed, train):
    """Whether a row that fires in every slot has so many pulses in any sample that they may be merged."""
    length, cols = train.list_start.shape[1], train.column_signs.shape[1]
    most = _NONE
    for s in range(train.list_start.shape[0]):
        most = max(most, train.list_start[s, length - 1, 2] - train.list_start[s, 0, 0])
    able = (law.axis.kind == LINEAR or composed.words.size > 0) and law.history.shape[0] == 0
    return able and np.float32(length * most) > DENSE * np.float32(cols * length)


@njit(**WITHIN)
def _send_train(plane, i, law, composed, train, samples, short, ready, dense, counted, room):
    """Send the pulses of row i of a plane in the samples in which it fires.

    dense: of `_may_merge`. counted: keep the pulses of every cell in `room.total`.

    Returns:
        pulses sent; whether the last list held all of them; parts and pulses of that list.
    """
    n, total, z = room.n, room.total, room.merging.z
    cols, length = n.shape[0], train.list_start.shape[1]
    disturbed = train.half_select > _0
    sent, parts, listed = _NONE, _NONE, _NONE
    whole, tabled = True, composed.words.size > 0
    for e in range(samples.shape[0]):
        s = samples[e]
        stream = train.row_streams[i, s]
        turn = np.int64(stream >> np.uint64(63))
        bits = stream & ~NEGATIVE
        above, below = np.int32(train.action[plane, turn]), np.int32(train.action[plane, 1 - turn])
        merged = False
        if dense and (law.axis.kind == LINEAR or tabled):
            firing = train.list_start[s, length - 1, 2] - train.list_start[s, 0, 0]
            merged = np.float32(np.int64(popcount(bits)) * firing) > DENSE * np.float32(cols * length)
        hits = _NONE
        if merged or counted:
            hits = coincidences(bits, above, below, train.column_words, s, train.column_signs, True, n)
        if counted:
            for j in range(cols):
                total[j] += abs(n[j])
        if not merged:
            parts, listed = _list_sample(train, s, bits, above, below, short, ready, room.waiting, parts, listed)
        last = e == samples.shape[0] - 1
        if merged or disturbed or last or (listed >= MOST_LISTED if short else parts >= MOST_PARTS):
            _send_listed(law, train, short, room, parts, listed)
            sent += listed
            whole = whole and last and not merged and not disturbed
            if not whole:
                parts, listed = _NONE, _NONE
        if merged:
            sent += hits
            found = _send_at_once(law, composed, hits, False, room)
            tabled = tabled and FEW * found <= cols
        if disturbed:
            coincidences(bits, above, below, train.column_words, s, train.column_signs, False, n)
            for j in range(cols):
                z[j] = train.half_select * np.float32(n[j])
            disturb(law.axis, law.means, room.row, z)
    return sent, whole, parts, listed


@njit(cache=True, nogil=True)
def pulse_rows_by_train(first, last, team, cells, law, composed, train, place):
    """Pulse rows of every plane of a crossbar (row i of plane p is row p rows + i of the arrays) by a train.

    Args:
        first, last, team: int, places in `train.rows`: the rows from the one to before the other.
        cells, law, composed, train: see the classes; their fields as plain tuples (`laws.law_of`).
        place: (key0, key1, call) of the noise, np.uint64: two 32-bit words and the number of this operation.

    Returns:
        Number of pulses sent.
    """
    if team:
        return shared(first, last, 1, 2, team)
    cells, law, composed, train = Cells(*cells), law_of(law), ComposedTables(*composed), PreparedTrain(*train)
    action = train.action
    planes = action.shape[0]
    rows = cells.g.shape[0] // planes
    opposite = planes == 2 and action[0, 0] == -action[1, 0] and action[0, 1] == -action[1, 1]
    counted = cells.counter.size > 0 or cells.t_written.size > 0 or cells.present.size > 0
    short = columns_at_once(train.list_start) <= SHORT or law.history.shape[0] > 0
    room = row_room(cells.g.shape[1], train.list_start.shape[1], composed)
    ready = np.empty(train.columns.shape[0] if short else AT_ONCE, np.uint32)
    if short:
        entries_of_columns(train.list_start, train.columns, ready)
    places = places_of(cells)
    samples = np.empty(train.list_start.shape[0] + 1, np.int64)
    dense = _may_merge(law, composed, train)
    sent, number, parts, listed = _NONE, _NONE, _NONE, _NONE
    whole = False
    for q in range(first * planes, last * planes):
        plane = q % planes
        i = train.rows[q // planes]
        r = plane * rows + i
        if plane == 0:
            number = samples_of_row(train, i, samples)
        following = train.rows[min(q // planes + 1, last - 1)]
        fetch_row(places, r + rows if plane + 1 < planes else following)
        if plane == 0:
            fetch_line_of(train.row_streams, following)
        _begin_row(r, cells, law.axis, composed, place, room)
        if plane > 0 and whole and opposite:
            # The cells of the second plane get the pulses of the first the other way, and as many of them: what held all is run again.
            if short:
                turn_list(room.waiting.entries, listed)
            else:
                turn_parts(room.waiting.parts, parts)
            _send_listed(law, train, short, room, parts, listed)
            sent += listed
        else:
            if counted:
                for j in range(room.total.shape[0]):
                    room.total[j] = np.int32(0)
            now, whole, parts, listed = _send_train(
                plane, i, law, composed, train, samples[:number], short, ready, dense, counted, room
            )
            sent += now
        store_row(r, cells, law.axis, room.row, room.origin, room.total)
        store_memory(r, cells.memory, room.memory)
    return sent
