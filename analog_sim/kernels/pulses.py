"""Pulses on the cells of a crossbar, in place: outer-product trains and signed counts. Never knows a device or a weight.

A row of cells is taken at a time and stays in the first-level cache while all samples act on it. Inside a row the state is
the grid coordinate of the law's tables, ``y = base + scale u`` with ``u = (g - lo)/(hi - lo)`` in the cell's own window; a
cell whose y has not changed keeps its g bit by bit. Rows are independent, and the noise is a function of (key, call, row,
position in the row): the same bits on any number of threads.

There are two ways through the pulses of a row, and the plan alone decides between them, sample by sample:

    listed    which columns fire in a slot is known from one list for all rows; a pulse is one turn of a short loop
    merged    where pulses are dense, the n pulses that a cell gets in a sample are one step, in distribution the same;
              `pulse_merging` says how nearly, and leaves alone the cells for which it is not

Laws (`Axis.kind`): LINEAR, dg = m0 + m1 u + (s0 + s1 u) z, one device; NODES, mean and std on nodes of u; BINS, quantiles
of the step on nodes of u, averaged over bins of the normal score. `analog_sim.pulse_tables` makes the tables.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.kernels.bits import MAX_LENGTH, NEGATIVE, lowest_bit, popcount
from analog_sim.kernels.math import fma
from analog_sim.kernels.options import WITHIN
from analog_sim.kernels.pulse_merging import CELLS, DENSE, TURNS, compare_gains, merge_composed, merge_linear
from analog_sim.kernels.pulse_noise import BUFFER, LANES, STATE, STEPS, WORDS, next_bins, seed_row

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]

LINEAR = 0
NODES = 1
BINS = 2

FEW = 4
"""Of how many cells one may be left alone by a composed table; once more are, a row goes on without tables."""

MOST_PARTS = 256
"""Lists that are collected before they are run."""

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_HALF = np.float32(0.5)
_GAIN = np.float32(1.0 / 8192.0)
_1_PLACE = np.uint64(1)
_A_NODE = np.uint64(11)  # places: 2 numbers for each of the 1024 bins
_NO_BITS = np.uint64(0)
_ONE_BIT = np.uint64(1)
_32_BITS = np.uint64(0xFFFFFFFF)


class Cells(NamedTuple):
    """The arrays of `analog_sim.state.CellState` as (planes * rows, cols); one that the card does not need has size 0.

    present: conductances at chip time when the card ages; otherwise g has them.
    nominal: (g_min, g_max, bound_lsb, 1/endurance, now).
    """

    g: F32
    present: F32
    lo: U16
    hi: U16
    gain_up: U16
    gain_down: U16
    table: npt.NDArray[np.uint8]
    fault: npt.NDArray[np.uint8]
    counter: npt.NDArray[np.uint32]
    t_written: npt.NDArray[np.float64]
    nominal: npt.NDArray[np.float64]


class Axis(NamedTuple):
    """Kind of a law and the axis of its tables: ``y = base + scale u``.

    first_bits, shift: the node below y is ``k = (bits(y) - first_bits) >> shift``.
    nodes: entries of the axis. devices: tables. stride: numbers of one device's table.
    """

    kind: int
    noisy: bool
    base: np.float32
    scale: np.float32
    first_bits: np.uint32
    shift: np.uint32
    nodes: int
    devices: int
    stride: int


class Law(NamedTuple):
    """The response to a pulse: flat tables, `axis.stride` numbers for each device.

    tables: (2, devices * stride), up and down, everything as intercept and slope in y: LINEAR, the step for each bin of the
        noise; NODES, mean and std for each node; BINS, the step for each node and bin.
    means: (2, devices * nodes * 2), the mean step, for half-selected cells.
    line: (2, 4), m0, m1, s0, s1 of a LINEAR law. scores: (bins,), the normal score of each bin.
    """

    axis: Axis
    tables: F32
    means: F32
    line: F32
    scores: F32


class Train(NamedTuple):
    """A pulse train made ready; without samples when cells are pulsed by counts.

    row_bits, when: of `bits.turn_rows`; with half-selection a row counts as firing in every sample. col_words: of `bits.split_words`.
    columns, start: of `bits.column_lists`.
    act: (planes, 2), what a cell does at a positive and at a negative product: 1 up, -1 down, 0 nothing.
    half: fraction of a mean step that a half-selected cell suffers.
    """

    row_bits: npt.NDArray[np.uint64]
    when: npt.NDArray[np.uint64]
    col_words: npt.NDArray[np.uint32]
    col_sign: npt.NDArray[np.int8]
    columns: npt.NDArray[np.uint32]
    start: npt.NDArray[np.int64]
    act: npt.NDArray[np.int8]
    half: np.float32


class Counts(NamedTuple):
    """Signed numbers of pulses, (planes * rows, cols) or size 0.

    times: mean steps of disturbance that every cell suffers after all pulses, same shape or size 0.
    """

    pulses: npt.NDArray[np.int32]
    times: F32


@njit(error_model="numpy", **WITHIN)
def _load(r, nominal, g, lo, hi, gain_up, gain_down, fault, count, axis, y, before, low, width, up, down):
    """Bring row r into grid coordinates; the gains of faulty cells are 0."""
    cols = g.shape[1]
    # One plain loop for each case: choices inside a loop would be compiled to gathers and scatters.
    if lo.size > 0:
        lsb = np.float32(nominal[2])
        for j in range(cols):
            bottom = np.float32(lo[r, j]) * lsb
            low[j] = bottom
            width[j] = np.float32(hi[r, j]) * lsb - bottom
    else:
        bottom = np.float32(nominal[0])
        window = np.float32(nominal[1]) - bottom
        for j in range(cols):
            low[j] = bottom
            width[j] = window
    if nominal[3] > 0.0:
        wear = np.float32(nominal[3])
        for j in range(cols):
            closed = width[j] / (_1 + wear * np.float32(count[r, j]))
            low[j] += _HALF * (width[j] - closed)
            width[j] = closed
    if gain_up.size > 0:
        for j in range(cols):
            inverse = axis.scale / width[j]
            place = axis.base + min(max((g[r, j] - low[j]) * inverse, _0), axis.scale)
            y[j] = place
            before[j] = place
            up[j] = np.float32(gain_up[r, j]) * _GAIN * inverse
            down[j] = np.float32(gain_down[r, j]) * _GAIN * inverse
    else:
        for j in range(cols):
            inverse = axis.scale / width[j]
            place = axis.base + min(max((g[r, j] - low[j]) * inverse, _0), axis.scale)
            y[j] = place
            before[j] = place
            up[j] = inverse
            down[j] = inverse
    if fault.size > 0:
        for j in range(cols):
            healthy = np.float32(fault[r, j] == np.uint8(0))
            up[j] *= healthy
            down[j] *= healthy


@njit(error_model="numpy", **WITHIN)
def _store(r, now, g, present, count, t_written, axis, y, before, low, width, n):
    """Write the changed cells of row r back; n: pulses of every cell, which restart its clock when it has one."""
    cols = g.shape[1]
    inverse = _1 / axis.scale
    if present.size > 0:
        for j in range(cols):
            if y[j] != before[j]:
                g[r, j] = fma((y[j] - axis.base) * inverse, width[j], low[j])
            elif n[j] != np.int32(0):
                g[r, j] = present[r, j]
    else:
        for j in range(cols):
            g[r, j] = fma((y[j] - axis.base) * inverse, width[j], low[j]) if y[j] != before[j] else g[r, j]
    if t_written.size > 0:
        for j in range(cols):
            if (n[j] != np.int32(0)) | (y[j] != before[j]):
                t_written[r, j] = now
    if count.size > 0:
        for j in range(cols):
            count[r, j] += np.uint32(n[j])


@njit(**WITHIN)
def _node(axis, bits):
    """Index of the node below the grid coordinate of these bits (np.uint32)."""
    return np.uint64(np.uint32(bits - axis.first_bits) >> axis.shift)


@njit(**WITHIN)
def _run(axis, tables, scores, y, y_bits, up, down, table, columns, parts, number, listed, state, words, bins, at):
    """Listed pulses, one after the other: ``y += gain step``, held in the window.

    parts: the first `number` rows (first, count, side): one pulse up (side 0) or down (1) on each of the cells
        columns[first : first + count], which are distinct.
    listed: pulses that noise should be made for, those of all parts or more.
    at: (2,) int64, bins used and made; goes on from call to call. y_bits: the bits of y, the same memory.
    """
    low = axis.base
    high = axis.base + axis.scale
    used = at[0]
    made = at[1]
    for part in range(number):
        c = np.uint64(parts[3 * part])
        count = parts[3 * part + 1]
        side = np.uint64(parts[3 * part + 2])
        gain = up if side == np.uint64(0) else down
        while count > 0:
            if used == made:
                steps = min(STEPS, (listed + 2 * LANES - 1) // (2 * LANES))
                if axis.noisy:
                    next_bins(state, words, steps, bins)
                made = 2 * LANES * steps
                used = 0
            now = min(count, made - used)
            p = np.uint64(used)
            if axis.kind == LINEAR:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    t = np.uint64(bins[p + q]) << _1_PLACE
                    v = fma(gain[j], fma(tables[side, t + _1_PLACE], v, tables[side, t]), v)
                    y[j] = min(max(v, low), high)
            elif axis.kind == NODES:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    t = np.uint64(table[j]) + (_node(axis, y_bits[j]) << np.uint64(2))
                    std = fma(tables[side, t + np.uint64(3)], v, tables[side, t + np.uint64(2)])
                    step = fma(std, scores[np.uint64(bins[p + q])], fma(tables[side, t + _1_PLACE], v, tables[side, t]))
                    y[j] = min(max(fma(gain[j], step, v), low), high)
            elif axis.devices == 1:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    t = (_node(axis, y_bits[j]) << _A_NODE) + (np.uint64(bins[p + q]) << _1_PLACE)
                    v = fma(gain[j], fma(tables[side, t + _1_PLACE], v, tables[side, t]), v)
                    y[j] = min(max(v, low), high)
            else:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    t = np.uint64(table[j]) + (_node(axis, y_bits[j]) << _A_NODE) + (np.uint64(bins[p + q]) << _1_PLACE)
                    v = fma(gain[j], fma(tables[side, t + _1_PLACE], v, tables[side, t]), v)
                    y[j] = min(max(v, low), high)
            c += np.uint64(now)
            used += now
            listed -= now
            count -= now
    at[0] = used
    at[1] = made


@njit(**WITHIN)
def _apart(n, lane, left, pick):
    """The cells set in pick and their pulses into the lists lane, left; returns their number, all their pulses and the most on one."""
    found = 0
    for j in range(n.shape[0]):
        lane[found] = np.uint32(j)
        left[found] = n[j]
        found += np.int64(pick[j])
    need = 0
    most = 0
    for q in range(found):
        need += abs(left[q])
        most = max(most, abs(left[q]))
    return found, need, most


@njit(**WITHIN)
def _kth_pulses(k, found, lane, left, pick, parts):
    """Lists of the cells that get a pulse number k (from 0), first up, then down, into pick; their two parts into parts."""
    m = 0
    for side in range(2):
        sign = np.int32(1 - 2 * side)
        parts[3 * side] = m
        parts[3 * side + 2] = side
        for q in range(found):
            pick[m] = lane[q]
            m += np.int64(sign * left[q] > np.int32(k))
        parts[3 * side + 1] = m - parts[3 * side]
    return m


@njit(cache=True, nogil=True)
def _disturb(axis, means, y, y_bits, up, down, table, times):
    """Move every cell by `times` mean steps (C,) float32, positive up; no noise. What half-selected cells suffer."""
    high = axis.base + axis.scale
    for j in range(table.shape[0]):
        v = y[j]
        side = np.uint64(0) if times[j] > _0 else np.uint64(1)
        device = np.uint64(table[j]) // np.uint64(axis.stride)
        t = (device * np.uint64(axis.nodes) + _node(axis, y_bits[j])) << np.uint64(1)
        step = fma(means[side, t + np.uint64(1)], v, means[side, t])
        y[j] = min(max(fma(abs(times[j]) * (up[j] if times[j] > _0 else down[j]), step, v), axis.base), high)


@njit(cache=True, nogil=True)
def _hits(bits, above, below, words, s, col_sign, both, n):
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


@njit(cache=True, nogil=True)
def pulse_rows(first_row, last_row, cells, law, composed, train, counts, place):
    """Pulse rows first_row ... last_row - 1 of a crossbar (row r is row r % rows of plane r // rows) by a train, or by counts.

    Args:
        first_row, last_row: int.
        cells, law, composed, train, counts: see the classes.
        place: (key0, key1, call) of the noise, np.uint64: two 32-bit words and the number of this operation.

    Returns:
        Number of pulses sent.
    """
    g, present, lo, hi, gain_up, gain_down, devices, fault, count, t_written, nominal = cells
    axis, tables, means, line, scores = law
    row_bits, when, col_words, col_sign, columns, start, act, half = train
    pulses, times = counts
    cols = g.shape[1]
    rows = g.shape[0] // act.shape[0]
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
    hits = np.int64(0)
    found = 0
    above = np.int32(0)
    below = np.int32(0)
    for r in range(first_row, last_row):
        plane = r // rows
        i = r % rows
        # What happens to this row, in turn: pulses by counts (-1) or the samples in which it fires, disturbance (-2).
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
        elif counted:
            for j in range(cols):
                total[j] = np.int32(0)
        for w in range(when.shape[1]):
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
        _load(r, nominal, source, lo, hi, gain_up, gain_down, fault, count, axis, y, before, low, width, up, down)
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
        number = 0
        listed = 0
        for e in range(events):
            s = fired[e]
            merged = s == -1
            disturbed = s == -2
            if s >= 0:
                turn = np.int64(row_bits[i, s] >> np.uint64(63))
                bits = row_bits[i, s] & ~NEGATIVE
                above = np.int32(act[plane, turn])
                below = np.int32(act[plane, 1 - turn])
                firing = start[s, length - 1, 2] - start[s, 0, 0]
                pairs = np.float32(np.int64(popcount(bits)) * firing)
                merged = (axis.kind == LINEAR or (tabled and not poor)) and pairs > DENSE * np.float32(cols * length)
                disturbed = half > _0
                if merged or counted:
                    hits = _hits(bits, above, below, col_words, s, col_sign, True, n)
                    sent += hits if merged else 0
                    if counted:
                        for j in range(cols):
                            total[j] += abs(n[j])
                while bits != _NO_BITS and not merged:
                    k = lowest_bit(bits)
                    bits &= bits - _ONE_BIT
                    for side in range(2):
                        what = above if side == 0 else below
                        m = start[s, k, side + 1] - start[s, k, side]
                        if what != np.int32(0) and m > 0:
                            parts[3 * number] = start[s, k, side]
                            parts[3 * number + 1] = m
                            parts[3 * number + 2] = 0 if what > np.int32(0) else 1
                            number += 1
                            listed += m
            flushed = merged or disturbed or number >= MOST_PARTS or e == events - 1
            turn_of_cells = (
                -1
            )  # of the shared lists; then first, second, ... pulses of the cells that may not be merged
            most = 0
            while flushed and turn_of_cells < most:
                lists = columns
                if turn_of_cells >= 0:
                    lists = pick
                    number = 2
                    now = _kth_pulses(turn_of_cells, found, lane, left, pick, parts)
                else:
                    now = listed
                    sent += listed
                _run(
                    axis,
                    tables,
                    scores,
                    y,
                    y_bits,
                    up,
                    down,
                    table,
                    lists,
                    parts,
                    number,
                    listed,
                    state,
                    words,
                    bins,
                    at,
                )
                listed -= now
                number = 0
                if merged and turn_of_cells < 0:
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
                    if found > 0:
                        found, listed, most = _apart(n, lane, left, pick)
                turn_of_cells += 1
            if disturbed:
                if s >= 0:
                    _hits(row_bits[i, s] & ~NEGATIVE, above, below, col_words, s, col_sign, False, n)
                for j in range(cols):
                    z[j] = half * np.float32(n[j]) if s >= 0 else times[r, j]
                _disturb(axis, means, y, y_bits, up, down, table, z)
        _store(r, nominal[4], g, present, count, t_written, axis, y, before, low, width, total)
    return sent
