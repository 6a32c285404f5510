"""Bit streams of pulse trains: counting, drawing and spreading bits, and who fires in a slot. Never touches a conductance.

A bit stream is a 64-bit word: bit k says whether the line fires in slot k; at most 63 slots.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import config
from numba.extending import intrinsic

from analog_sim.kernels.rng import philox

_0 = np.uint64(0)
_1 = np.uint64(1)
_2 = np.uint64(2)
_32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_MARK = np.uint64(0xB1)
"""Non-zero third counter word: these blocks are never those of a stream's own sequence (see `rng`)."""

MAX_LENGTH = 63
"""Slots of the longest pulse train."""

if config.DISABLE_JIT:

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


@njit(cache=True, nogil=True)
def draw_streams(threshold, length, key0, key1, call, out):
    """Random bit streams: bit k of out[s, i] is 1 with probability ``threshold[s, i] 2**-32`` for k < length[s], else 0.

    Every bit has a 32-bit word of its own, a pure function of (key, call, s, i, k): word k % 4 of the Philox block with counter
    (i, s + 2**16 (k // 4), call, 0xB1).

    Args:
        threshold: (S, n) uint64, 0 to 2**32. length: (S,) int64, 0 to 63.
        key0, key1: np.uint64 holding 32-bit values. call: np.uint64 below 2**32.
        out: (S, n) uint64.
    """
    samples, lines = threshold.shape
    for s in range(samples):
        slots = length[s]
        stream = out[s]
        bound = threshold[s]
        for i in range(lines):
            stream[i] = _0
        for block in range((slots + 3) // 4):
            c1 = np.uint64(s) | np.uint64(block << 28)
            shift = np.uint64(4 * block)
            keep = (_1 << np.uint64(min(4, slots - 4 * block))) - _1
            for i in range(lines):
                a, b, c, d = philox(np.uint64(i), c1 & _LOW, call, _MARK, key0, key1)
                t = bound[i]
                four = (
                    np.uint64(a < t)
                    | np.uint64(b < t) << _1
                    | np.uint64(c < t) << _2
                    | np.uint64(d < t) << np.uint64(3)
                )
                stream[i] |= (four & keep) << shift


@njit(cache=True, nogil=True)
def column_lists(col_bits, col_sign, length):
    """Who fires when: for every sample and slot the columns that fire, those of positive sign first.

    Args:
        col_bits: (S, C) uint64. col_sign: (S, C) int8. length: slots.

    Returns:
        columns: uint32, all lists one after the other; start: (S, length, 3) int64, where the positive part of a list begins, where the
        negative part begins, and where that ends.
    """
    samples, cols = col_bits.shape
    total = 0
    for s in range(samples):
        row = col_bits[s]
        for j in range(cols):
            total += np.int64(popcount(row[j]))
    columns = np.empty(total + 1, np.uint32)  # one place more: the last write of the branch-free loop below may be void
    start = np.empty((samples, length, 3), np.int64)
    positive = np.empty(cols, np.uint64)
    negative = np.empty(cols, np.uint64)
    q = np.uint64(0)
    for s in range(samples):
        row = col_bits[s]
        sign = col_sign[s]
        for j in range(cols):
            positive[j] = row[j] if sign[j] > 0 else _0
            negative[j] = row[j] if sign[j] < 0 else _0
        for k in range(length):
            shift = np.uint64(k)
            start[s, k, 0] = q
            for j in range(cols):
                columns[q] = j
                q += (positive[j] >> shift) & _1
            start[s, k, 1] = q
            for j in range(cols):
                columns[q] = j
                q += (negative[j] >> shift) & _1
            start[s, k, 2] = q
    return columns, start


@njit(cache=True, nogil=True)
def turn_rows(row_bits, row_sign):
    """Streams and signs of the rows, (S, rows), as (rows, S): uint64, and uint8 0 for a positive row, 1 for a negative one."""
    samples, rows = row_bits.shape
    bits = np.empty((rows, samples), np.uint64)
    turn = np.empty((rows, samples), np.uint8)
    for first in range(0, rows, 8):
        for s in range(samples):
            for i in range(first, min(first + 8, rows)):
                bits[i, s] = row_bits[s, i]
                turn[i, s] = np.uint8(row_sign[s, i] < 0)
    return bits, turn


@njit(cache=True, nogil=True)
def split_words(bits, length):
    """Streams (S, C) uint64 in pieces of 32 slots: (1 or 2, S, C) uint32. Half as wide lanes count twice as fast."""
    samples, lines = bits.shape
    pieces = 1 if length <= 32 else 2
    words = np.empty((pieces, samples, lines), np.uint32)
    for p in range(pieces):
        shift = np.uint64(32 * p)
        for s in range(samples):
            for j in range(lines):
                words[p, s, j] = np.uint32((bits[s, j] >> shift) & _LOW)
    return words
