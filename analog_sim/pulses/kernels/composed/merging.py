"""Several pulses on a cell as one step: closed forms for linear laws, composed tables for all others. Never decides when to merge a sample.

Both work on the signed pulses ``n`` that every cell of a row gets at once, and leave alone the cells for which one step would not be
the same in distribution; those are pulsed one by one.

Composed tables hold the step in n pulses for every state and probability (`analog_sim.pulses.composed_tables` makes them) for cells whose
gain, in windows per siemens, is the table's. For a gain (1 + e) times as large, with T(u, p) the step of the table and h = (n - 1)/2,

    u -> u + (1 + e) T (1 + e (h/n) dT/du)

The second factor is the path of a cell that moves by n (1 + e) instead of n steps: it makes mean, variance and third moment right to
first order in the change of the law along the path. An error of second order remains, and a drift of (1 + e) e h s ds/du, s the spread
of a step. For every state and n the table says how large |e| may be, so that these errors stay small and no path touches a bound of
the window, and whether it may be read at all between its states.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.pulses.kernels.noise import LANES, next_halves, next_normals
from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import WITHIN

F32 = npt.NDArray[np.float32]

MOST = 16
"""Pulses that one step by a composed table takes at most."""

TABLES = 2 * MOST + 1
"""Tables for each state: of -MOST to MOST pulses, nothing at none."""

GAIN_UNITS = 60
"""In which a table's largest difference of gain is counted."""

PARTS = 128
"""Parts of the probability in a composed table, a number each: 16 octaves of 4 from the least step to the median, and back."""

DENSE = np.float32(1.5)
"""Pulses for each cell of a row, at once, above which merging is the faster way."""

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_HALF = np.float32(0.5)
_THIRD = np.float32(1.0 / 3.0)
_2_THIRDS = np.float32(2.0 / 3.0)
_QUARTER = np.float32(0.25)
_3_QUARTERS = np.float32(0.75)
_MERGE_MOVE = np.float32(0.1)
_MERGE_SPREAD = np.float32(1e-4)
_MERGE_MARGIN = np.float32(5.0)
_GAIN_UNITS = np.float32(GAIN_UNITS)
_LOW_BITS = np.int32(255)
_SAME_GAIN = np.float32(1e-3)
_MOST = np.int32(MOST)
_NO_PULSE = np.int32(0)
_16 = np.int32(16)
_OCTAVE = np.uint32(21)  # places below the octave and quarter of a float32
_FIRST_PART = np.uint32(0x3F800000 >> 21)
_ONE_BITS = np.uint32(0x3F800000)
_TABLES = np.uint32(TABLES)
_PARTS = np.uint32(PARTS)
_IN_PART = np.uint32(2**21 - 1)
_BEYOND = np.uint32(0x7FFF)
_LAST_PART = np.uint32(PARTS - 1)


class ComposedTables(NamedTuple):
    """Steps of 1 to `MOST` pulses for each device and direction; no words: nothing is merged by tables.

    words: (devices * states * TABLES * PARTS,), the step of one of the n pulses in grid units, ``intercept + slope y + rise x``, x = 1
        at the outer end of a part of the probability and 5/4 at its other end. Upper half: the intercept, a float32 whose lower 8 bits
        are `GAIN_UNITS` (1 + |e|), rounded down, of the largest |e|; 1: the table's gain only; 0: not even that. Lower half: the slope,
        a float32 whose lower 16 bits are the upper ones of the rise.
    state_shift: the state below y is ``(bits(y) - first_bits) >> state_shift``. states: of the grid.
    grid_unit: (devices,), siemens of a grid unit of the table.
    """

    words: npt.NDArray[np.uint64]
    state_shift: np.uint32
    states: int
    grid_unit: F32


class MergeRoom(NamedTuple):
    """Scratch of a row whose pulses are merged, (C,) or longer unless said otherwise.

    table_start: where a cell's composed table begins. grid_unit: siemens of a grid unit of that table. gain_ratio, gain_off: (2, C), see
        `compare_gains`.
    halves: random bits. place, word: of the steps, see `_places`. z: normals, and how far a step is in its part of the probability.
    alone: cells that were left alone.
    """

    table_start: npt.NDArray[np.uint32]
    grid_unit: F32
    gain_ratio: F32
    gain_off: F32
    halves: npt.NDArray[np.uint16]
    place: npt.NDArray[np.uint32]
    word: npt.NDArray[np.uint64]
    z: F32
    alone: npt.NDArray[np.uint32]


@njit(**WITHIN)
def leave_alone(n, alone):
    """Set the cells with pulses in n in `alone`; returns their number."""
    found = np.int64(0)
    for j in range(n.shape[0]):
        alone[j] = np.uint32(n[j] != _NO_PULSE)
        found += np.int64(alone[j])
    return found


@njit(cache=True, nogil=True)
def _merge_line(line, y, up, down, n, z, alone):
    """The n pulses of every cell in one step (n < 0: down); returns how many cells were left alone, set in `alone` (C,) uint32.

    With ``u -> u + a + b u + (s0 + s1 u) z`` per pulse, n pulses have the mean ``u + (a + b u) A``, ``A = ((1 + b)**n - 1)/b``
    (series to (n b)**3, relative error below (n b)**4/120), and the standard deviation ``sqrt(n) (s0 + s1 u') (1 + b)**h``,
    ``h = (n - 1)/2``, u' the mean state after h pulses (relative error of the variance below (n b)**2/3); the shape is Gaussian
    up to a skewness of 3 s1 sqrt(n).
    A cell with n >= 2 is left alone, to be pulsed one by one, when n |b| > 0.1, when n s1**2 > 1e-4, or when its mean path
    comes nearer to a bound of the window than 5 standard deviations: there every single pulse may be held by the bound.
    """
    up0, up1, up2, up3 = line[0, 0], line[0, 1], line[0, 2], line[0, 3]
    down0, down1, down2, down3 = line[1, 0], line[1, 1], line[1, 2], line[1, 3]
    found = np.int32(0)
    for j in range(n.shape[0]):
        rising = n[j] > np.int32(0)
        k = np.float32(abs(n[j]))
        rise = up[j]
        fall = down[j]
        # Both products, then the choice: a choice between the gains would be compiled to a gather.
        b = rise * up1 if rising else fall * down1
        s0 = rise * up2 if rising else fall * down2
        s1 = rise * up3 if rising else fall * down3
        v = y[j]
        step = fma(b, v, rise * up0 if rising else fall * down0)
        h = fma(_HALF, k, -_HALF)
        hb = h * b
        damping = fma(_HALF * (h - _1), b, _1)
        series = fma(hb, fma(fma(_THIRD, k, -_2_THIRDS) * b, fma(fma(_QUARTER, k, -_3_QUARTERS), b, _1), _1), _1)
        spread = np.sqrt(k) * fma(s1, fma(step * h, damping, v), s0) * fma(hb, damping, _1)
        mean = fma(step * k, series, v)
        moved = min(max(fma(spread, z[j], mean), _0), _1)
        room = min(min(v, mean), _1 - max(v, mean))
        near = (abs(spread) * _MERGE_MARGIN > room) & (spread != _0)
        large = (k * abs(b) > _MERGE_MOVE) | (k * s1 * s1 > _MERGE_SPREAD)
        apart = (k > _1) & (near | large)
        y[j] = v if apart | (n[j] == np.int32(0)) else moved
        alone[j] = np.uint32(apart)
        found = np.int32(found + np.int32(apart))
    return found


@njit(cache=True, nogil=True)
def merge_linear(law, row, n, room, noise):
    """Merge what may be merged of the signed pulses n of a row; the other cells are set in `room.alone`. Returns their number."""
    if law.axis.noisy:
        next_normals(noise.state, noise.words, (n.shape[0] + 2 * LANES - 1) // (2 * LANES), room.z)
    return np.int64(_merge_line(law.line, row.y, row.up, row.down, n, room.z, room.alone))


@njit(error_model="numpy", **WITHIN)
def compare_gains(r, composed, devices, row, room):
    """Gains of row r over those of its tables, (1 + e), and GAIN_UNITS (1 + |e|), 1 for equal gains, into `room`.

    devices: (rows, C), whose table a cell has, or size 0 where all have the first.
    """
    unit = room.grid_unit
    if devices.size > 0:
        for j in range(unit.shape[0]):
            device = np.uint64(devices[r, j])
            room.table_start[j] = np.uint32(np.int64(device) * (composed.states * TABLES * PARTS))
            unit[j] = composed.grid_unit[device]
    for side in range(2):
        gain = row.up if side == 0 else row.down
        ratios, offs = room.gain_ratio[side], room.gain_off[side]
        for j in range(unit.shape[0]):
            ratio = gain[j] * unit[j]
            off = abs(ratio - _1)
            ratios[j] = ratio
            offs[j] = _1 if off <= _SAME_GAIN else _GAIN_UNITS * (off + _1)


@njit(**WITHIN)
def _places(first_bits, state_shift, y_bits, n, halves, table_start, place, x):
    """Place of every cell's step in the words of the tables, and x in 1 to 5/4, how far it is in the part of the probability."""
    for j in range(n.shape[0]):
        state = np.uint32(np.uint32(y_bits[j] - first_bits) >> state_shift)
        turn = np.uint32(min(max(n[j], -_MOST), _MOST) + _MOST)
        half = np.uint32(halves[j])
        t = np.float32(np.int32((half & _BEYOND) * np.uint32(2) + np.uint32(1))).view(np.uint32)
        part = np.uint32(np.uint32(t >> _OCTAVE) - _FIRST_PART)
        part = part if half <= _BEYOND else np.uint32(_LAST_PART - part)
        place[j] = np.uint32(np.uint32(np.uint32(state * _TABLES + turn) * _PARTS + part) + table_start[j])
        x[j] = np.uint32((t & _IN_PART) | _ONE_BITS).view(np.float32)


@njit(error_model="numpy", **WITHIN)
def _steps(axis, both, x, ratios, offs, y, n):
    """One step of up to `MOST` pulses for every cell that may; n keeps the pulses that are left. Returns whether there are any.

    both: (2 C,) int32, the words of the tables.
    """
    bottom = axis.base
    top = axis.base + axis.scale
    rest = _NO_PULSE
    for j in range(n.shape[0]):
        pulses = n[j]
        rising = pulses > _NO_PULSE
        now = min(max(pulses, -_MOST), _MOST)
        k = abs(np.float32(now))
        # Both, then the choice: a choice between arrays would be compiled to a gather.
        ratio_up, ratio_down, off_up, off_down = ratios[0, j], ratios[1, j], offs[0, j], offs[1, j]
        ratio = ratio_up if rising else ratio_down
        off = off_up if rising else off_down
        v = y[j]
        slope = np.int32(both[2 * j])
        value = np.int32(both[2 * j + 1])
        rise = np.int32(slope << _16).view(np.float32)
        slope = slope.view(np.float32)
        step = fma(slope, v, fma(rise, x[j], value.view(np.float32)))
        path = fma(_HALF, k, -_HALF) * (ratio - _1)
        moved = min(max(fma(ratio * k * step, fma(path, slope, _1), v), bottom), top)
        apart = off > np.float32(np.int32(value & _LOW_BITS))
        y[j] = v if apart else moved
        left = pulses if apart else np.int32(pulses - now)
        n[j] = left
        rest = np.int32(rest | left)
    return rest != _NO_PULSE


@njit(**WITHIN)
def merge_composed(axis, composed, row, n, sent, room, noise):
    """Merge what may be merged of the signed pulses n of a row, `sent` of them, by tables: up to `MOST` at a time while those are dense.

    The cells with pulses left in n are set in `room.alone`; returns their number.
    """
    y, y_bits, place, word, words = row.y, row.y_bits, room.place, room.word, composed.words
    cols = n.shape[0]
    both = word.view(np.int32)
    before = sent + 1
    found = 1
    while found > 0 and sent < before and words.size > 0 and np.float32(sent) > DENSE * np.float32(cols):
        if axis.noisy:
            next_halves(noise.state, noise.words, (cols + 2 * LANES - 1) // (2 * LANES), room.halves)
        _places(axis.first_bits, composed.state_shift, y_bits, n, room.halves, room.table_start, place, room.z)
        for j in range(cols):
            word[j] = words[np.uint64(place[j])]
        before = sent
        sent = 0
        found = np.int64(_steps(axis, both, room.z, room.gain_ratio, room.gain_off, y, n))
        if found > 0:
            for j in range(cols):
                sent += np.int64(abs(n[j]))
    return leave_alone(n, room.alone) if found > 0 else 0
