"""Bit streams of pulse trains: counting, drawing and laying out bits, and who fires in a slot. Never touches a conductance.

A bit stream is a 64-bit word: bit k says whether the line fires in slot k; at most 63 slots.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

from analog_sim.random.kernels.options import JIT_OFF, WITHIN
from analog_sim.random.kernels.philox import philox

U64 = npt.NDArray[np.uint64]

_0 = np.uint64(0)
_1 = np.uint64(1)
_2 = np.uint64(2)
_32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_MARK = np.uint64(0xB1)
"""Non-zero last counter word: these blocks are never those of a stream's own sequence (see `rng`)."""

MAX_LENGTH = 63
"""Slots of the longest pulse train."""

NEGATIVE = np.uint64(1 << 63)
"""Set in the stream of a row of negative sign (`turn_rows`)."""

if JIT_OFF:

    def popcount(word: Any) -> Any:
        """Number of set bits of an unsigned integer, in the integer's own type."""
        return type(word)(int(word).bit_count())

    def lowest_bit(word: Any) -> Any:
        """Position of the lowest set bit of an unsigned integer > 0, in the integer's own type."""
        return type(word)((int(word) & -int(word)).bit_length() - 1)

else:

    @intrinsic
    def popcount(typingctx: Any, word: Any) -> Any:
        """Number of set bits of an unsigned integer, in the integer's own type."""
        if not isinstance(word, types.Integer):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.ctpop(args[0])

        return word(word), codegen

    @intrinsic
    def lowest_bit(typingctx: Any, word: Any) -> Any:
        """Position of the lowest set bit of an unsigned integer > 0, in the integer's own type."""
        if not isinstance(word, types.Integer):
            return None

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.cttz(args[0], context.get_constant(types.boolean, True))

        return word(word), codegen


@njit(**WITHIN)
def _blocks(counters, c1, call, key0, key1, w0, w1, w2, w3):
    """Philox blocks with counters (counters[q], c1, call, 0xB1): word l of block q into wl[q], uint64 arrays."""
    for q in range(counters.shape[0]):
        a, b, c, d = philox(counters[q], c1, call, _MARK, key0, key1)
        w0[q] = a
        w1[q] = b
        w2[q] = c
        w3[q] = d


@njit(**WITHIN)
def _one_slot(bound, w, stream):
    """Streams of one slot."""
    for i in range(bound.shape[0]):
        stream[i] = np.uint64(w[i] < bound[i])


@njit(**WITHIN)
def _two_slots(bound, w0, w1, keep, stream):
    """Streams of at most two slots, those in `keep`."""
    for i in range(bound.shape[0]):
        stream[i] = (np.uint64(w0[i] < bound[i]) | np.uint64(w1[i] < bound[i]) << _1) & keep


@njit(**WITHIN)
def _busy_lines(bound, line, bound_of_line, stream):
    """The lines whose bound is not 0 and their bounds, into the first places of `line` and `bound_of_line`; empties all streams."""
    m = 0
    for i in range(bound.shape[0]):
        stream[i] = _0
        line[m] = np.uint64(i)  # void unless the place moves on: no branch
        bound_of_line[m] = bound[i]
        m += np.int64(bound[i] != _0)
    return m


@njit(**WITHIN)
def _four_slots(bound, w0, w1, w2, w3, keep, shift, stream):
    """Add the next slots of the streams, those in `keep`, from bit `shift` on."""
    for q in range(stream.shape[0]):
        t = bound[q]
        low = np.uint64(w0[q] < t) | np.uint64(w1[q] < t) << _1
        high = np.uint64(w2[q] < t) | np.uint64(w3[q] < t) << _1
        stream[q] |= ((low | high << _2) & keep) << shift


class Room(NamedTuple):
    """Scratch of `draw_sample` for n lines, made by `room_for`."""

    counters: U64
    line: U64
    bound: U64
    packed: U64
    w0: U64
    w1: U64
    w2: U64
    w3: U64


@njit(cache=True, nogil=True)
def room_for(lines):
    """Scratch of `draw_sample`."""
    return Room(
        np.arange(lines).astype(np.uint64),
        np.empty(lines + 1, np.uint64),
        np.empty(lines + 1, np.uint64),
        np.empty(lines + 1, np.uint64),
        np.empty(lines, np.uint64),
        np.empty(lines, np.uint64),
        np.empty(lines, np.uint64),
        np.empty(lines, np.uint64),
    )


@njit(**WITHIN)
def draw_sample(bound, slots, s, key0, key1, call, room, stream):
    """Streams (n,) uint64 of sample number s, of `slots` slots; bound: (n,) uint64; as `draw_streams` states."""
    counters, line, bound_of_line, packed, w0, w1, w2, w3 = room
    if slots == 1:
        q = (bound.shape[0] + 3) // 4
        _blocks(counters[:q], np.uint64(s), call, key0, key1, w0, w1, w2, w3)
        _one_slot(bound[:q], w0, stream[:q])
        _one_slot(bound[q : 2 * q], w1, stream[q : 2 * q])
        _one_slot(bound[2 * q : 3 * q], w2, stream[2 * q : 3 * q])
        _one_slot(bound[3 * q :], w3, stream[3 * q :])
        return
    if slots <= 2:
        half = (bound.shape[0] + 1) // 2
        keep = (_1 << np.uint64(slots)) - _1
        _blocks(counters[:half], np.uint64(s), call, key0, key1, w0, w1, w2, w3)
        _two_slots(bound[:half], w0, w1, keep, stream[:half])
        _two_slots(bound[half:], w2, w3, keep, stream[half:])
        return
    m = _busy_lines(bound, line, bound_of_line, stream)
    busy = packed[:m]
    for q in range(m):
        busy[q] = _0
    for block in range((slots + 3) // 4):
        shift = np.uint64(4 * block)
        keep = (_1 << np.uint64(min(4, slots - 4 * block))) - _1
        _blocks(line[:m], (np.uint64(s) | np.uint64(block << 28)) & _LOW, call, key0, key1, w0, w1, w2, w3)
        _four_slots(bound_of_line, w0, w1, w2, w3, keep, shift, busy)
    for q in range(m):
        stream[line[q]] = busy[q]


@njit(cache=True, nogil=True)
def draw_streams(threshold, length, key0, key1, call, out):
    """Random bit streams: bit k of out[s, i] is 1 with probability ``threshold[s, i] 2**-32`` for k < length[s], else 0.

    Every bit has a 32-bit word of its own, a pure function of (key, call, s, n, i, k). For one slot: word floor(i/q) of the
    Philox block with counter (i mod q, s, call, 0xB1), q = ceil(n/4). For two: word k + 2 [i >= h] of the block with counter
    (i mod h, s, call, 0xB1), h = ceil(n/2). For more: word k mod 4 of the block with counter (i, s + 2**28 floor(k/4), call, 0xB1);
    lines that never fire are left out.

    Args:
        threshold: (S, n) uint64, 0 to 2**32. length: (S,) int64, 0 to 63; S < 2**28.
        key0, key1: np.uint64 holding 32-bit values. call: np.uint64 below 2**32.
        out: (S, n) uint64.
    """
    room = room_for(threshold.shape[1])
    for s in range(threshold.shape[0]):
        draw_sample(threshold[s], length[s], s, key0, key1, call, room, out[s])


@njit(cache=True, nogil=True)
def column_lists(col_bits, col_sign, columns, start):
    """Who fires when: for every sample and slot the columns that fire, those of positive sign first.

    Args:
        col_bits: (S, C) uint64. col_sign: (S, C) int8 of -1 or +1.
        columns: all lists one after the other, (F + 1 or more,) uint32 with F the number of set bits.
        start: (S, length, 3) int64, where the positive part of a list begins, where the negative part begins, where that ends.
    """
    samples, cols = col_bits.shape
    firing = np.empty((2, cols + 1), np.uint32)  # in any slot, of positive and of negative sign
    q = np.uint64(0)
    for s in range(samples):
        bits = col_bits[s]
        sign = col_sign[s]
        number, positive = 0, 0
        slots = _0
        for j in range(cols):
            slots |= bits[j]
            firing[0, number] = np.uint32(j)  # void unless the place moves on: no branch, and most columns are silent
            number += np.int64(bits[j] != _0)
        negative = 0
        for p in range(number):
            j = firing[0, p]
            firing[0, positive] = j
            firing[1, negative] = j
            above = np.int64(sign[j] > 0)
            positive += above
            negative += 1 - above
        for k in range(start.shape[1]):
            shift = np.uint64(k)
            used = (slots >> shift) & _1 != _0  # most trains of a batch are shorter than the longest
            for side in range(2):
                start[s, k, side] = q
                for p in range((positive if side == 0 else negative) if used else 0):
                    j = firing[side, p]
                    columns[q] = j  # void, as above
                    q += (bits[j] >> shift) & _1
            start[s, k, 2] = q


@njit(cache=True, nogil=True)
def turn_rows(row_bits, row_sign, everything, turned, fired, when, most):
    """Streams (S, rows) uint64 and signs (S, rows) int8 of the rows as (rows, S) uint64, NEGATIVE set for a negative sign.

    everything: write the streams without a pulse too; otherwise these stay as they are in `turned`, to be known by `when`.
    fired: (rows,) uint64, the slots in which a row fires in any sample.
    when: (rows, ceil(S/64)) uint64, the samples in which it fires: bit s mod 64 of word s // 64.
    most: (S,) int64, in how many slots the busiest row of a sample fires.
    """
    samples, rows = row_bits.shape
    firing = np.empty(rows + 1, np.uint64)
    fired[:] = _0
    when[:] = _0
    for s in range(samples):
        line, sign = row_bits[s], row_sign[s]
        number = 0
        for i in range(rows):
            firing[number] = np.uint64(i)  # void unless the place moves on: no branch, and most rows are silent
            number += np.int64(line[i] != _0)
        word = s // 64
        mark = _1 << np.uint64(s % 64)
        busiest = _0
        for q in range(number):
            i = firing[q]
            bits = line[i]
            turned[i, s] = bits | (np.uint64(np.int64(sign[i])) & NEGATIVE)
            fired[i] |= bits
            when[i, word] |= mark
            busiest = max(busiest, popcount(bits))
        most[s] = np.int64(busiest)
        for i in range(rows if everything else 0):
            turned[i, s] = line[i] | (np.uint64(np.int64(sign[i])) & NEGATIVE)


@njit(cache=True, nogil=True)
def split_words(bits, words):
    """Streams (S, C) uint64 in pieces of 32 slots, (1 or 2, S, C) uint32: half as wide lanes are counted twice as fast.

    Returns the number of set bits, and the slots in which any line fires.
    """
    pieces, samples, lines = words.shape
    number = _0
    fired = _0
    for p in range(pieces):
        shift = np.uint64(32 * p)
        for s in range(samples):
            for j in range(lines):
                words[p, s, j] = np.uint32((bits[s, j] >> shift) & _LOW)
    for s in range(samples):
        for j in range(lines):
            number += popcount(bits[s, j])
            fired |= bits[s, j]
    return number, fired
