"""Pulses on the cells of a crossbar, in place: outer-product pulse trains and signed counts. Knows tables and bits, never a device or a weight.

A row of cells is taken at a time and stays in the first-level cache while all samples act on it. Inside a row the state is the grid coordinate of
the law's tables, ``y = base + scale u`` with ``u = (g - lo)/(hi - lo)`` in the cell's own window; a cell whose y has not changed keeps its g bit by bit.
Rows are independent, and the noise is a function of (key, call, row, position in the row): the same bits on any number of threads.

There are two ways through the pulses of a row, and the plan alone decides between them, sample by sample:

    listed    the columns that fire in a slot are known from one list for all rows; every pulse is one step of a short loop
    merged    where pulses are dense and the law is linear, the n pulses of a cell in a sample are one vector step, exact to second order (`_merge`)

Laws (`Law.kind`): LINEAR, dg = m0 + m1 u + (s0 + s1 u) z;  NODES, mean and std on nodes;  BINS, quantiles of the step on nodes, one column for each bin
of the normal score. Tables are made by `analog_sim.pulse_tables`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from analog_sim.kernels.bits import MAX_LENGTH, lowest_bit, popcount
from analog_sim.kernels.math import fma
from analog_sim.kernels.pulse_noise import BUFFER, LANES, STEPS, WORDS, next_bins, next_normals, seed_row

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]

LINEAR = 0
NODES = 1
BINS = 2

MOST_PARTS = 256
"""Lists that are collected before they are run."""

DENSE = np.float32(0.7)
"""Pulses per visited cell and sample above which merging is the faster way."""

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_2 = np.float32(2.0)
_3 = np.float32(3.0)
_HALF = np.float32(0.5)
_THIRD = np.float32(1.0 / 3.0)
_QUARTER = np.float32(0.25)
_GAIN = np.float32(1.0 / 8192.0)
_MERGE_MOVE = np.float32(0.1)
_MERGE_SPREAD = np.float32(1e-4)
_MERGE_MARGIN = np.float32(25.0)
PAD = 80
"""Numbers between the rows of scratch arrays: without them, reads and writes 4096 bytes apart stall the processor."""

# Rows of `cell`, the scratch array with the state of a row of cells; gains up and down follow each other
_Y, _UP, _DOWN, _BEFORE, _LOW, _WIDTH = 0, 1, 2, 3, 4, 5
_1_PLACE = np.uint64(1)
_NO_BITS = np.uint64(0)
_ONE_BIT = np.uint64(1)
_32_BITS = np.uint64(0xFFFFFFFF)


class Cells(NamedTuple):
    """The arrays of a crossbar as (planes * rows, cols); one that the card does not need has size 0. See `analog_sim.state.CellState`.

    `present`: conductances at chip time when the card ages; otherwise g has them. `nominal`: (g_min, g_max, bound_lsb, 1/endurance, now).
    """

    g: F32
    present: F32
    lo: U16
    hi: U16
    gain_up: U16
    gain_down: U16
    table: npt.NDArray[np.uint8]
    fault: npt.NDArray[np.uint8]
    count: npt.NDArray[np.uint32]
    t_written: npt.NDArray[np.float64]
    nominal: npt.NDArray[np.float64]


class Axis(NamedTuple):
    """Kind of a law and the axis of its tables: ``y = base + scale u``, node below y: ``k = (bits(y) - first_bits) >> shift``.

    nodes: entries of an axis, one more than the card's table has nodes. per_bin: numbers of one bin. stride: numbers of one device's table.
    """

    kind: int
    noisy: bool
    base: np.float32
    scale: np.float32
    first_bits: np.uint32
    shift: np.uint32
    nodes: int
    per_bin: int
    stride: int


class Law(NamedTuple):
    """The response to a pulse: flat tables, `axis.stride` numbers for each device.

    tables: (2, devices * stride), up and down. LINEAR: step as intercept and slope in y, for each bin of the noise. NODES: mean and std as intercept and slope
    in y, for each node. BINS: step as intercept and slope in y, for each bin and node. means: (2, devices * nodes * 2), the mean as intercept and slope
    in y, for half-selected cells. line: (2, 4) m0, m1, s0, s1 of a LINEAR law. scores: (bins,) normal score of each bin.
    """

    axis: Axis
    tables: F32
    means: F32
    line: F32
    scores: F32


class Train(NamedTuple):
    """A pulse train made ready (`bits.turn_rows`, `bits.split_words`, `bits.column_lists`); no samples when cells are pulsed by counts.

    row_bits, row_turn: (rows, S), what a row does in all samples lies together; row_turn 0 for a positive row, 1 for a negative one.
    act: (planes, 2) int8, what a cell does at a positive and at a negative product: 1 up, -1 down, 0 nothing. half: fraction of a step that a
    half-selected cell suffers.
    """

    row_bits: npt.NDArray[np.uint64]
    row_turn: npt.NDArray[np.uint8]
    col_words: npt.NDArray[np.uint32]
    col_sign: npt.NDArray[np.int8]
    columns: npt.NDArray[np.uint32]
    start: npt.NDArray[np.int64]
    act: npt.NDArray[np.int8]
    half: np.float32


class Counts(NamedTuple):
    """Signed numbers of pulses, int32 (planes * rows, cols) or size 0; times: mean steps of disturbance after them, float32, same shape or size 0."""

    pulses: npt.NDArray[np.int32]
    times: F32


@njit(cache=True, nogil=True, error_model="numpy")
def _load(r, nominal, g, lo, hi, gain_up, gain_down, fault, count, axis, cell):
    """Bring row r into grid coordinates; the gains of faulty cells are 0."""
    y, up, down, before, low, width = cell[_Y], cell[_UP], cell[_DOWN], cell[_BEFORE], cell[_LOW], cell[_WIDTH]
    cols = g.shape[1]
    if lo.size > 0:
        lsb = np.float32(nominal[2])
        for j in range(cols):
            low[j] = np.float32(lo[r, j]) * lsb
            width[j] = np.float32(hi[r, j]) * lsb - low[j]
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
    for j in range(cols):
        inverse = axis.scale / width[j]
        y[j] = axis.base + min(max((g[r, j] - low[j]) * inverse, _0), axis.scale)
        before[j] = y[j]
        if gain_up.size > 0:
            up[j] = np.float32(gain_up[r, j]) * _GAIN * inverse
            down[j] = np.float32(gain_down[r, j]) * _GAIN * inverse
        else:
            up[j] = inverse
            down[j] = inverse
    if fault.size > 0:
        for j in range(cols):
            healthy = np.float32(fault[r, j] == np.uint8(0))
            up[j] *= healthy
            down[j] *= healthy


@njit(cache=True, nogil=True, error_model="numpy")
def _store(r, now, g, present, count, t_written, axis, cell, n):
    """Write the changed cells of row r back; n: pulses of every cell, which restart its clock when it has one."""
    y, before, low, width = cell[_Y], cell[_BEFORE], cell[_LOW], cell[_WIDTH]
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


@njit(forceinline=True)
def _node(axis, y):
    """Index of the node below grid coordinate y."""
    return np.uint64((np.float32(y).view(np.uint32) - axis.first_bits) >> axis.shift)


@njit(cache=True, nogil=True)
def _run(axis, tables, scores, cell, table, columns, parts, number, listed, words, bins):
    """Listed pulses, one after the other: for each of the first `number` parts (first, count, side), one pulse up (side 0) or down (1) on each cell in
    columns[first : first + count], which are distinct.

    ``y += gain step``, held in the window. listed: pulses in all parts, and later ones of this row; what noise is made for.
    bins: (BUFFER + 2,), whose last two keep (used, made) from call to call.
    """
    low = axis.base
    high = axis.base + axis.scale
    y = cell[_Y]
    used = np.int64(bins[BUFFER])
    made = np.int64(bins[BUFFER + 1])
    for part in range(number):
        c = np.uint64(parts[part, 0])
        count = parts[part, 1]
        side = np.uint64(parts[part, 2])
        gain = side + np.uint64(_UP)
        while count > 0:
            if used == made:
                steps = min(STEPS, (listed + 2 * LANES - 1) // (2 * LANES))
                if axis.noisy:
                    next_bins(words, steps, axis.per_bin, bins)
                made = 2 * LANES * steps
                used = 0
            now = min(count, made - used)
            p = np.uint64(used)
            if axis.kind == LINEAR:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    t = np.uint64(bins[p + q])
                    v = fma(cell[gain, j], fma(tables[side, t + _1_PLACE], v, tables[side, t]), v)
                    y[j] = min(max(v, low), high)
            elif axis.kind == NODES:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    t = np.uint64(table[j]) + (_node(axis, v) << np.uint64(2))
                    std = fma(tables[side, t + np.uint64(3)], v, tables[side, t + np.uint64(2)])
                    step = fma(std, scores[np.uint64(bins[p + q])], fma(tables[side, t + _1_PLACE], v, tables[side, t]))
                    y[j] = min(max(fma(cell[gain, j], step, v), low), high)
            else:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    t = np.uint64(table[j]) + np.uint64(bins[p + q]) + (_node(axis, v) << _1_PLACE)
                    v = fma(cell[gain, j], fma(tables[side, t + _1_PLACE], v, tables[side, t]), v)
                    y[j] = min(max(v, low), high)
            c += np.uint64(now)
            used += now
            listed -= now
            count -= now
    bins[BUFFER] = np.uint32(used)
    bins[BUFFER + 1] = np.uint32(made)


@njit(cache=True, nogil=True)
def _classify(line, cell, n, lane, left, pick):
    """Take the cells that may not be merged out of n into the lists lane, left; return their number.

    A cell with n >= 2 pulses is merged when n |b| <= 0.1 (b the slope of the mean in u), n s1**2 <= 1e-4 (s1 the slope of the std) and no bound of the window
    is within 5 standard deviations of the n pulses' noise.
    """
    y, up, down = cell[_Y], cell[_UP], cell[_DOWN]
    up1, up2, up3 = line[0, 1], line[0, 2], line[0, 3]
    down1, down2, down3 = line[1, 1], line[1, 2], line[1, 3]
    cols = n.shape[0]
    found = np.int32(0)
    for j in range(cols):
        rising = n[j] > np.int32(0)
        k = np.float32(abs(n[j]))
        gain = up[j] if rising else down[j]
        slope = gain * (up1 if rising else down1)
        spread_slope = gain * (up3 if rising else down3)
        spread = fma(spread_slope, y[j], gain * (up2 if rising else down2))
        margin = min(y[j], _1 - y[j])
        far = margin * margin >= _MERGE_MARGIN * k * spread * spread
        small = (k * abs(slope) <= _MERGE_MOVE) & (k * spread_slope * spread_slope <= _MERGE_SPREAD)
        alone = (k > _1) & ((not far) | (not small))
        pick[j] = np.uint32(alone)
        found = np.int32(found + np.int32(alone))
    if found == np.int32(0):
        return 0
    q = 0
    for j in range(cols):
        lane[q] = np.uint32(j)
        left[q] = n[j]
        q += np.int64(pick[j])
        n[j] = np.int32(0) if pick[j] != np.uint32(0) else n[j]
    return np.int64(found)


@njit(cache=True, nogil=True)
def _merge(line, cell, n, z):
    """The n pulses of every cell in one step (n < 0: down).

    With ``u -> u + a + b u + (s0 + s1 u) z`` per pulse, n pulses have mean ``u + (a + b u) A``, ``A = ((1 + b)**n - 1)/b`` (series to (n b)**3), and standard
    deviation ``sqrt(n) (s0 + s1 u') (1 + b)**h``, ``h = (n - 1)/2``, u' the mean state after h pulses: relative error of the variance below
    (n b)**2/3, of the mean below (n b)**4/120; the shape is Gaussian up to a skewness of 3 s1 sqrt(n).
    """
    y, up, down = cell[_Y], cell[_UP], cell[_DOWN]
    up0, up1, up2, up3 = line[0, 0], line[0, 1], line[0, 2], line[0, 3]
    down0, down1, down2, down3 = line[1, 0], line[1, 1], line[1, 2], line[1, 3]
    for j in range(n.shape[0]):
        rising = n[j] > np.int32(0)
        k = np.float32(abs(n[j]))
        gain = up[j] if rising else down[j]
        b = gain * (up1 if rising else down1)
        s0 = up2 if rising else down2
        s1 = up3 if rising else down3
        v = y[j]
        step = fma(b, v, gain * (up0 if rising else down0))
        h = _HALF * (k - _1)
        series = fma(h * b, fma((k - _2) * _THIRD * b, fma((k - _3) * _QUARTER, b, _1), _1), _1)
        damping = fma(_HALF * (h - _1), b, _1)
        middle = fma(step * h, damping, v)
        spread = np.sqrt(k) * gain * fma(s1, middle, s0) * fma(h * b, damping, _1)
        moved = fma(spread, z[j], fma(step * k, series, v))
        y[j] = min(max(moved, _0), _1) if n[j] != np.int32(0) else v


@njit(cache=True, nogil=True)
def _apply(axis, tables, line, scores, cell, table, n, lane, left, pick, parts, words, bins, row_z):
    """The signed numbers of pulses n on the cells of a row; overwrites n."""
    cols = n.shape[0]
    listed = 0
    if axis.kind == LINEAR:
        listed = _classify(line, cell, n, lane, left, pick)
        if axis.noisy:
            next_normals(words, (cols + 2 * LANES - 1) // (2 * LANES), row_z)
        _merge(line, cell, n, row_z)
    else:
        for j in range(cols):
            lane[listed] = np.uint32(j)
            left[listed] = n[j]
            listed += np.int64(n[j] != np.int32(0))
    need = 0
    most = 0
    for q in range(listed):
        need += abs(left[q])
        most = max(most, abs(left[q]))
    for k in range(most):
        m = 0
        for side in range(2):
            sign = np.int32(1 - 2 * side)
            parts[side, 0] = m
            parts[side, 2] = side
            for q in range(listed):
                pick[m] = lane[q]
                m += np.int64(sign * left[q] > np.int32(k))
            parts[side, 1] = m - parts[side, 0]
        _run(axis, tables, scores, cell, table, pick, parts, 2, need, words, bins)
        need -= m


@njit(cache=True, nogil=True)
def _disturb(axis, means, cell, table, times):
    """Move every cell by `times` mean steps (C,) float32, positive up; no noise. What half-selected cells suffer."""
    y = cell[_Y]
    high = axis.base + axis.scale
    for j in range(table.shape[0]):
        v = y[j]
        side = np.uint64(0) if times[j] > _0 else np.uint64(1)
        device = np.uint64(table[j]) // np.uint64(axis.stride)
        t = (device * np.uint64(axis.nodes) + _node(axis, v)) << np.uint64(1)
        step = fma(means[side, t + np.uint64(1)], v, means[side, t])
        y[j] = min(max(fma(abs(times[j]) * cell[side + np.uint64(_UP), j], step, v), axis.base), high)


@njit(cache=True, nogil=True)
def _hits(bits, above, below, words, s, col_sign, both, n):
    """Signed slots of sample s that a row of stream `bits` shares with every column, into n (C,) int32; returns their number without sign.

    Slots in which both lines fire, or, for both = False, just one of them. above, below: factors for columns of positive and negative sign.
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
def pulse_rows(first_row, last_row, cells, law, train, counts, key0, key1, call):
    """Pulse rows first_row ... last_row - 1 of a crossbar (row r is row r % rows of plane r // rows) by a train, or by counts.

    Args:
        first_row, last_row: int.
        cells, law, train, counts: see the classes.
        key0, key1: np.uint64 holding 32-bit values; call: np.uint64, number of this operation.

    Returns:
        Number of pulses sent.
    """
    g, present, count, t_written = cells.g, cells.present, cells.count, cells.t_written
    lo, hi, gain_up, gain_down, devices, fault = cells.lo, cells.hi, cells.gain_up, cells.gain_down, cells.table, cells.fault
    nominal = cells.nominal
    axis, tables, means, line, scores = law.axis, law.tables, law.means, law.line, law.scores
    row_bits, row_turn, col_words, col_sign = train.row_bits, train.row_turn, train.col_words, train.col_sign
    columns, start, act, half = train.columns, train.start, train.act, train.half
    pulses, times = counts.pulses, counts.times
    cols = g.shape[1]
    rows = g.shape[0] // act.shape[0]
    samples, length = start.shape[0], start.shape[1]
    counted = count.size > 0 or t_written.size > 0 or present.size > 0
    source = present if present.size > 0 else g
    cell = np.empty((6, (cols + 15) // 16 * 16 + PAD), np.float32)
    table = np.zeros(cols, np.uint32)
    n = np.zeros(cols, np.int32)
    total = np.zeros(cols, np.int32)
    lane = np.empty(cols + 1, np.uint32)
    left = np.empty(cols + 1, np.int32)
    pick = np.empty(cols + 1, np.uint32)
    parts = np.empty((MOST_PARTS + 2 * MAX_LENGTH, 3), np.int64)
    words = np.empty(WORDS, np.int32)
    bins = np.zeros(BUFFER + 2, np.uint32)
    row_z = np.zeros(cols + 2 * LANES, np.float32)
    fired = np.empty(samples + 1, np.int64)
    sent = 0
    for r in range(first_row, last_row):
        plane = r // rows
        i = r % rows
        events = 0
        for s in range(samples):
            fired[events] = s
            events += np.int64((row_bits[i, s] != _NO_BITS) | (half > _0))
        pulsed = False
        if pulses.size > 0:
            for j in range(cols):
                n[j] = pulses[r, j]
                total[j] = abs(n[j])
                pulsed |= n[j] != np.int32(0)
                sent += total[j]
        elif counted:
            for j in range(cols):
                total[j] = np.int32(0)
        if not (pulsed or events > 0 or times.size > 0):
            continue
        _load(r, nominal, source, lo, hi, gain_up, gain_down, fault, count, axis, cell)
        if devices.size > 0:
            for j in range(cols):
                table[j] = np.uint32(np.int64(devices[r, j]) * axis.stride)
        seed_row(words, key0, key1, np.uint64(r), call)
        bins[BUFFER] = np.uint32(0)
        bins[BUFFER + 1] = np.uint32(0)
        if pulsed:
            _apply(axis, tables, line, scores, cell, table, n, lane, left, pick, parts, words, bins, row_z)
        number = 0
        listed = 0
        for e in range(events):
            s = fired[e]
            bits = row_bits[i, s]
            turn = row_turn[i, s]
            above = np.int32(act[plane, turn])
            below = np.int32(act[plane, 1 - turn])
            firing = start[s, length - 1, 2] - start[s, 0, 0]
            merged = axis.kind == LINEAR and np.float32(np.int64(popcount(bits)) * firing) > DENSE * np.float32(cols * length)
            if counted and not merged:
                _hits(bits, abs(above), abs(below), col_words, s, col_sign, True, n)
                for j in range(cols):
                    total[j] += n[j]
            while bits != _NO_BITS and not merged:
                k = lowest_bit(bits)
                bits &= bits - _ONE_BIT
                for side in range(2):
                    what = above if side == 0 else below
                    m = start[s, k, side + 1] - start[s, k, side]
                    if what != np.int32(0) and m > 0:
                        parts[number, 0] = start[s, k, side]
                        parts[number, 1] = m
                        parts[number, 2] = 0 if what > np.int32(0) else 1
                        number += 1
                        listed += m
            if number > 0 and (merged or half > _0 or number >= MOST_PARTS or e == events - 1):
                _run(axis, tables, scores, cell, table, columns, parts, number, listed, words, bins)
                sent += listed
                number = 0
                listed = 0
            if merged:
                sent += _hits(bits, above, below, col_words, s, col_sign, True, n)
                if counted:
                    for j in range(cols):
                        total[j] += abs(n[j])
                _apply(axis, tables, line, scores, cell, table, n, lane, left, pick, parts, words, bins, row_z)
            if half > _0:
                _hits(row_bits[i, s], above, below, col_words, s, col_sign, False, n)
                for j in range(cols):
                    row_z[j] = half * np.float32(n[j])
                _disturb(axis, means, cell, table, row_z)
        if times.size > 0:
            for j in range(cols):
                row_z[j] = times[r, j]
            _disturb(axis, means, cell, table, row_z)
        _store(r, nominal[4], g, present, count, t_written, axis, cell, total)
    return sent


@njit(cache=True, parallel=True)
def pulse_parallel(tasks, cells, law, train, counts, key0, key1, call):
    """`pulse_rows` on all rows, over Numba's threads in `tasks` parts: the same bits."""
    rows = cells.g.shape[0]
    sent = 0
    for t in prange(tasks):
        sent += pulse_rows(rows * t // tasks, rows * (t + 1) // tasks, cells, law, train, counts, key0, key1, call)
    return sent
