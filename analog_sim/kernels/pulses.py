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

import numpy as np
from numba import njit

from analog_sim.kernels.bits import MAX_LENGTH, NEGATIVE, lowest_bit, popcount
from analog_sim.kernels.pulse_cells import load_row, store_row
from analog_sim.kernels.pulse_laws import LINEAR, disturb
from analog_sim.kernels.pulse_lists import AT_ONCE, add_list, apart, list_kth_pulses, run_list, turn_list
from analog_sim.kernels.pulse_merging import CELLS, DENSE, TURNS, compare_gains, merge_composed, merge_linear
from analog_sim.kernels.pulse_noise import BUFFER, LANES, STATE, WORDS, seed_row
from analog_sim.kernels.pulse_parts import add_parts, columns_at_once, run_parts, turn_parts
from analog_sim.kernels.pulse_plans import coincidences

FEW = 4
"""Of how many cells one may be left alone by a composed table; once more are, a row goes on without tables."""

MOST_LISTED = 1024
"""Pulses from which on a list is run."""

MOST_PARTS = 256
"""Parts that are collected before they are run."""

SHORT = 8.0
"""Mean length of the lists of columns up to which those of a row are put one after the other (the result is the same)."""

_0 = np.float32(0.0)
_NO_BITS = np.uint64(0)
_ONE_BIT = np.uint64(1)


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
    g, present, lo, hi, gain_up, gain_down, devices, fault, count, t_written, nominal = cells
    axis, tables, means, line, scores = law
    row_bits, when, col_words, col_sign, columns, start, act, half = train
    pulses, times = counts
    flat_tables = tables.reshape(-1)
    cols = g.shape[1]
    planes = act.shape[0]
    rows = g.shape[0] // planes
    opposite = planes == 2 and act[0, 0] == -act[1, 0] and act[0, 1] == -act[1, 1]
    samples, length = start.shape[0], start.shape[1]
    tabled = composed.words.size > 0
    counted = count.size > 0 or t_written.size > 0 or present.size > 0
    source = present if present.size > 0 else g
    # Made here, not handed in: so the compiler knows that no two of them overlap.
    y = np.empty(cols, np.float32)
    y_bits = y.view(np.uint32)
    before = np.empty(cols, np.float32)
    low = np.empty(cols, np.float32)
    width = np.empty(cols, np.float32)
    up = np.empty(cols, np.float32)
    down = np.empty(cols, np.float32)
    z = np.empty(cols + 2 * LANES, np.float32)
    table = np.empty(cols, np.uint32)
    lane = np.empty(cols + 1, np.uint32)
    pick = np.empty(cols + 1, np.uint32)
    device = np.empty(cols, np.uint32)
    nominal_gain = np.empty(cols, np.float32)
    ratios = np.empty((2, cols), np.float32)
    offs = np.empty((2, cols), np.float32)
    halves = np.empty(cols + 2 * LANES, np.uint16)
    place_of = np.empty(cols, np.uint32)
    pair = np.empty(cols, np.uint64)
    n = np.empty(cols, np.int32)
    total = np.empty(cols, np.int32)
    left = np.empty(cols + 1, np.int32)
    state = np.empty(STATE, np.int32)
    words = np.empty(WORDS, np.int32)
    entries = np.empty(MOST_LISTED + cols * max(length, 1) + AT_ONCE, np.uint32)  # only as much is touched as is listed
    parts = np.empty(3 * (MOST_PARTS + 2 * MAX_LENGTH), np.int64)
    fired = np.empty(samples + 3, np.int64)
    at = np.empty(2, np.int64)
    bins = np.empty(BUFFER, np.uint16)
    for j in range(cols):
        table[j] = np.uint32(0)
        n[j] = np.int32(0)
        total[j] = np.int32(0)
        z[j] = _0
        halves[j] = np.uint16(0)
        device[j] = np.uint32(0)
        nominal_gain[j] = composed.siemens[0] if tabled else _0
    for q in range(BUFFER):
        bins[q] = np.uint16(8)  # any bin will do for a law without noise
    key0, key1, call = place
    sent = 0
    short = columns_at_once(start) <= SHORT
    hits = np.int64(0)
    number = 0
    listed = 0
    events = 0
    whole = False
    need = 0
    above = np.int32(0)
    below = np.int32(0)
    for q in range(first_row * planes, last_row * planes):
        plane = q % planes
        i = q // planes
        r = plane * rows + i
        # The cells of the second plane get the pulses of the first the other way: a list that held all of them is run again.
        again = plane > 0 and whole and opposite
        # What happens to this row, in turn: pulses by counts (-1) or the samples in which it fires, disturbance (-2).
        if plane == 0 or pulses.size > 0:
            events = 0
        if pulses.size > 0:
            any_pulse = np.int32(0)
            hits = np.int64(0)
            for j in range(cols):
                n[j] = pulses[r, j]
                total[j] = abs(n[j])
                any_pulse |= n[j]
                hits += np.int64(total[j])
            sent += hits
            fired[0] = -1
            events = np.int64(any_pulse != np.int32(0))
        elif counted and not again:
            for j in range(cols):
                total[j] = np.int32(0)
        for w in range(when.shape[1] if plane == 0 else 0):
            left_over = when[i, w]
            while left_over != _NO_BITS:
                fired[events] = 64 * w + np.int64(lowest_bit(left_over))
                left_over &= left_over - _ONE_BIT
                events += 1
        if times.size > 0:
            fired[events] = -2
            events += 1
        if events == 0:
            continue
        load_row(r, nominal, source, lo, hi, gain_up, gain_down, fault, count, axis, y, before, low, width, up, down)
        if devices.size > 0:
            for j in range(cols):
                table[j] = np.uint32(np.int64(devices[r, j]) * axis.stride)
        if devices.size > 0 and tabled:
            for j in range(cols):
                device[j] = np.uint32(np.int64(devices[r, j]) * (composed.states * TURNS * CELLS))
                nominal_gain[j] = composed.siemens[np.uint64(devices[r, j])]
        if tabled:
            compare_gains(nominal_gain, up, down, ratios, offs)
        seed_row(state, key0, key1, np.uint64(r), call)
        at[0] = 0
        at[1] = 0
        poor = False
        if again and short:
            turn_list(entries, listed)
        elif again:
            turn_parts(parts, number)
        else:
            listed = 0
            number = 0
            whole = True
        for e in range(events - 1 if again else 0, events):
            s = fired[e]
            merged = s == -1
            disturbed = s == -2
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
            if merged or disturbed or full or e == events - 1:
                if number == 0:
                    run_list(
                        axis,
                        flat_tables,
                        scores,
                        y,
                        y_bits,
                        up,
                        down,
                        table,
                        entries,
                        listed,
                        listed,
                        state,
                        words,
                        bins,
                        at,
                    )
                else:
                    run_parts(
                        axis,
                        tables,
                        scores,
                        y,
                        y_bits,
                        up,
                        down,
                        table,
                        columns,
                        parts,
                        number,
                        listed,
                        state,
                        words,
                        bins,
                        at,
                    )
                sent += listed
                whole = whole and e == events - 1 and not merged and not disturbed
                if not whole:
                    listed = 0
                    number = 0
            if merged:
                if axis.kind == LINEAR:
                    found = merge_linear(axis.noisy, line, y, up, down, n, state, words, z, pick)
                else:
                    found = merge_composed(
                        axis,
                        composed,
                        y,
                        y_bits,
                        n,
                        hits,
                        device,
                        ratios,
                        offs,
                        state,
                        words,
                        halves,
                        place_of,
                        pair,
                        z,
                        pick,
                    )
                    poor = FEW * found > cols
                most = 0
                if found > 0:
                    found, need, most = apart(n, lane, left, pick)
                for k in range(most):
                    now = list_kth_pulses(k, found, lane, left, entries)
                    run_list(
                        axis,
                        flat_tables,
                        scores,
                        y,
                        y_bits,
                        up,
                        down,
                        table,
                        entries,
                        now,
                        need,
                        state,
                        words,
                        bins,
                        at,
                    )
                    need -= now
            if disturbed:
                if s >= 0:
                    coincidences(row_bits[i, s] & ~NEGATIVE, above, below, col_words, s, col_sign, False, n)
                for j in range(cols):
                    z[j] = half * np.float32(n[j]) if s >= 0 else times[r, j]
                disturb(axis, means, y, y_bits, up, down, table, z)
        store_row(r, nominal[4], g, present, count, t_written, axis, y, before, low, width, total)
    return sent
