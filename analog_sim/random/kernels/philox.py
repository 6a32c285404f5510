"""Random numbers inside kernels: Philox4x32-10, and uniforms and normals made from its words.

It never holds a state and never calls np.random.

A stream is an infinite sequence of 32-bit words fixed by its key alone. It is cut into chunks of 1024 words, and a chunk
holds the four lanes of 256 Philox blocks one after the other (so that every loop runs over contiguous memory):

    word i = lane (i mod 1024) // 256 of block 256 (i // 1024) + i mod 256,
    the block's counter being c0 = its low and c1 = its high 32 bits, c2 = c3 = 0.

Everything else is defined on the words:

    uniform i   (word_i >> 8) 2**-24, in [0, 1)
    normal i    Box and Muller's transform of lanes 0 and 1 of the block, or of lanes 2 and 3: see normal_pair

so element i of a fill that starts at `offset` depends on (key, offset + i) only, and any split over calls, chunks or
threads gives the same bits. Counters with c3 != 0 are never used here: a kernel that numbers its own events calls
`philox` with a c3 of its own.

Keys are two 32-bit words held in np.uint64; counters are np.uint64. There is no fastmath: the bits do not depend on the
width of the vector unit. Speed comes from 64-bit lanes for the products, branch-free polynomials, contiguous
sub-views indexed by the bare loop variable, and two passes through a chunk that stays in the first-level cache.
Source: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405, sec. 3.3.
"""

import numpy as np
from numba import njit

from analog_sim.random.kernels.math import as_float, as_int, fma, least, sincos_quarter
from analog_sim.random.kernels.memory import as_ints, part, room
from analog_sim.random.kernels.options import KERNEL, within

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_IN_CHUNK = np.uint64(1023)
_0 = np.uint64(0)
_8 = np.uint64(8)
_10 = np.uint64(10)
_32 = np.uint64(32)

_NONE = np.int32(0)
_1 = np.int32(1)
_SIGN = np.int32(-(2**31))
_BIT_30 = np.int32(1 << 30)
_31_BITS = np.int32(0x7FFFFFFF)
_22_BITS = np.int32(0x7FFFFE)
_ONE_BITS = np.int32(0x3F800001)  # 1 + 2**-23: the lowest bit centres the grid of angles
_EXPONENT = np.int32(-(2**23))
_LOG_OFFSET = np.int32(0x3F3504F3 + (31 << 23))  # bits of 2**31 sqrt(1/2)
_TO_UNIT_24 = np.float32(2.0**-24)
_TO_UNIT_31 = np.float32(2.0**-31)
_MINUS_ONE = np.float32(-1.0)
_THREE_HALVES = np.float32(1.5)
_NOUGHT = np.float32(0.0)

# -2 ln(1 + f)/f on f in [sqrt(1/2) - 1, sqrt(2) - 1], relative error 2e-7; and -2 ln 2, for an exponent in units of 2**23
_L0 = np.float32(-1.9999998807907104)
_L1 = np.float32(1.000006914138794)
_L2 = np.float32(-0.6667121648788452)
_L3 = np.float32(0.49943119287490845)
_L4 = np.float32(-0.39768484234809875)
_L5 = np.float32(0.3442489206790924)
_L6 = np.float32(-0.3267618715763092)
_L7 = np.float32(0.20757167041301727)
_MINUS_2_LN2 = np.float32(-1.3862943611198906 * 2.0**-23)

CHUNK_BLOCKS = 256
"""Philox blocks of one chunk: its words and numbers stay in the first-level cache."""

CHUNK = 4 * CHUNK_BLOCKS
"""Words of one chunk of a stream."""

TASK = 64 * CHUNK
"""Elements that are worth a thread."""

WORDS, UNIFORMS, NORMALS = 0, 1, 2
"""What `fill` makes of a stream."""

_scratch_words = room(CHUNK, np.int32)
_scratch_numbers = room(CHUNK, np.float32)


@within
def _round(c0, c1, c2, c3, k0, k1):
    p0 = (c0 & _LOW) * _M0
    p1 = (c2 & _LOW) * _M1
    return (p1 >> _32) ^ c1 ^ k0, p1, (p0 >> _32) ^ c3 ^ k1, p0


@within
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10: four 32-bit words from a counter (c0, c1, c2, c3) and a key (k0, k1).

    All arguments and results are np.uint64 holding 32-bit values; 64-bit lanes make the 32 x 32 -> 64 bit products vectorise.
    """
    for _ in range(9):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    return c0 & _LOW, c1 & _LOW, c2 & _LOW, c3 & _LOW


@within
def signed(word):
    """A 32-bit word (np.uint64) as the np.int32 of the same bits, the form that `uniform` and `normal_pair` take."""
    return as_int(np.uint32(word))


@within
def uniform(word):
    """Uniform float32 in [0, 1) on a grid of 2**-24, from the upper 24 bits of an np.int32 word."""
    return np.float32(np.int32((word >> np.int32(8)) & np.int32(0xFFFFFF))) * _TO_UNIT_24


@within
def _polar(word0, word1):
    """r^2 = -2 ln u and the direction (cos, sin) of Box and Muller's transform, see normal_pair."""
    # The logarithm of the odd integer 2**31 u. The constant in k carries the 2**31, so that `exponent` is 2**23 floor(log2 u + 1/2).
    bits = as_int(np.float32(np.int32((word0 & _31_BITS) | _1)))
    k = np.int32(bits - _LOG_OFFSET)
    exponent = np.int32(k & _EXPONENT)
    f = fma(as_float(np.int32(bits - exponent)), _TO_UNIT_31, _MINUS_ONE)
    p = fma(fma(fma(fma(fma(fma(fma(_L7, f, _L6), f, _L5), f, _L4), f, _L3), f, _L2), f, _L1), f, _L0)
    r2 = fma(f, p, np.float32(exponent) * _MINUS_2_LN2)
    s, c = sincos_quarter(as_float(np.int32((word1 & _22_BITS) | _ONE_BITS)) - _THREE_HALVES)
    exchange = (word1 & _BIT_30) != _NONE
    return r2, s if exchange else c, c if exchange else s, np.int32(word1 & _SIGN)


@within
def _signed_sqrt(x, sign):
    """sqrt(x) with its sign bit flipped by `sign` (0 or the sign bit, np.int32)."""
    return as_float(np.int32(as_int(np.float32(np.sqrt(x))) ^ sign))


@within
def normal_pair(word0, word1):
    """Two independent float32 N(0, 1) from two np.int32 words by Box and Muller's transform; always finite, |n| <= 6.56.

    n0 = r a, n1 = r b with r = sqrt(-2 ln u), u = ((word0 mod 2**31) | 1) 2**-31 in (0, 1], rounded to float32;
    the relative error of r^2 is below 3e-7. (a, b) = (cos, sin)(pi x/2), x in (-1/2, 1/2) from the lower 23 bits of
    word1; bit 30 of word1 exchanges a and b, bit 31 changes both signs.
    Source: G. E. P. Box and M. E. Muller, Ann. Math. Stat. 29, 610 (1958), doi:10.1214/aoms/1177706645.
    """
    r2, a, b, sign = _polar(word0, word1)
    r = _signed_sqrt(r2, sign)
    return a * r, b * r


@within
def scaled_normal_pair(word0, word1, variance0, variance1):
    """Two independent float32 N(0, variance), with one square root each: sqrt(r^2 variance) a; see normal_pair.

    r^2 variance must stay a normal number: variance 0 or between 1e-30 and 1e36 in whatever unit.
    """
    r2, a, b, sign = _polar(word0, word1)
    return a * _signed_sqrt(r2 * variance0, sign), b * _signed_sqrt(r2 * variance1, sign)


@within
def _draw_words(words, key0, key1, chunk, start, stop):
    """Words of blocks start ... stop - 1 of a chunk, into words (CHUNK,) int32, lane after lane."""
    w0 = part(words, start, stop)
    w1 = part(words, CHUNK_BLOCKS + start, CHUNK_BLOCKS + stop)
    w2 = part(words, 2 * CHUNK_BLOCKS + start, 2 * CHUNK_BLOCKS + stop)
    w3 = part(words, 3 * CHUNK_BLOCKS + start, 3 * CHUNK_BLOCKS + stop)
    first = (chunk << _8) + np.uint64(start)
    high = first >> _32
    low = first & _LOW  # does not wrap within a chunk: 2**32 is a multiple of CHUNK_BLOCKS
    for i in range(stop - start):
        a, b, c, d = philox(low + np.uint64(i), high, _0, _0, key0, key1)
        w0[i] = signed(a)
        w1[i] = signed(b)
        w2[i] = signed(c)
        w3[i] = signed(d)


@within
def _draw_normals(z, words, start, stop):
    """Normals of the words of blocks start ... stop - 1 into z (CHUNK,) float32, in stream order."""
    for half in range(2):
        at0 = 2 * half * CHUNK_BLOCKS
        at1 = at0 + CHUNK_BLOCKS
        w0, w1 = part(words, at0 + start, at0 + stop), part(words, at1 + start, at1 + stop)
        z0, z1 = part(z, at0 + start, at0 + stop), part(z, at1 + start, at1 + stop)
        for i in range(stop - start):
            z0[i], z1[i] = normal_pair(w0[i], w1[i])


@within
def _part(position, remaining):
    """What of the chunk at word `position` is wanted: chunk, first element, number of elements, and its blocks start ... stop - 1."""
    begin = np.int64(position & _IN_CHUNK)
    count = least(remaining, CHUNK - begin)
    start = begin % CHUNK_BLOCKS
    stop = start + count
    if stop > CHUNK_BLOCKS:  # more than one lane
        start = 0
        stop = CHUNK_BLOCKS
    return position >> _10, begin, count, start, stop


@njit(**KERNEL)
def fill(out, what, spans, key0, key1):
    """Numbers of a stream into out (N,) float32, span after span.

    what: WORDS (bits of an uint32), UNIFORMS in [0, 1), or NORMALS, N(0, 1). spans: (n, 2) uint64, number of the first and last + 1. One
    kernel for all three, because each would be compiled with Philox in it.
    """
    words, z = _scratch_words(), _scratch_numbers()
    at = np.int64(0)
    for s in range(spans.shape[0]):
        offset, end = spans[s, 0], at + np.int64(spans[s, 1] - spans[s, 0])
        while at < end:
            chunk, begin, count, start, stop = _part(offset, end - at)
            _draw_words(words, key0, key1, chunk, start, stop)
            target, source = part(out, at, at + count), part(words, begin, begin + count)
            if what == WORDS:
                bits = as_ints(target)
                for i in range(count):
                    bits[i] = source[i]
            elif what == UNIFORMS:
                for i in range(count):
                    target[i] = uniform(source[i])
            else:
                whole = count == CHUNK
                _draw_normals(target if whole else z, words, start, stop)
                if not whole:
                    drawn = part(z, begin, begin + count)
                    for i in range(count):
                        target[i] = drawn[i]
            at += count
            offset += np.uint64(count)


def fill_words(out, key0, key1, offset):
    """out[i] = word offset + i of the stream, the bits of an uint32; out (n,) int32."""
    fill(out.view(np.float32), WORDS, _span(out, offset), key0, key1)


def fill_uniforms(out, key0, key1, offset):
    """out[i] = uniform offset + i of the stream, in [0, 1); out (n,) float32."""
    fill(out, UNIFORMS, _span(out, offset), key0, key1)


def fill_normals(out, key0, key1, offset):
    """out[i] = normal offset + i of the stream, N(0, 1); out (n,) float32."""
    fill(out, NORMALS, _span(out, offset), key0, key1)


def _span(out, offset):
    return np.array([[offset, offset + np.uint64(out.shape[0])]], np.uint64)


@njit(**KERNEL)
def add_normals(y, std, key0, key1, offset):
    """y[i] += std n_(offset + i), n the stream's normals; y (n,) float32, std scalar float32 in y's unit."""
    words, z = _scratch_words(), _scratch_numbers()
    n = y.shape[0]
    done = 0
    while done < n:
        chunk, begin, count, start, stop = _part(offset + np.uint64(done), n - done)
        _draw_words(words, key0, key1, chunk, start, stop)
        _draw_normals(z, words, start, stop)
        target, source = part(y, done, done + count), part(z, begin, begin + count)
        for i in range(count):
            target[i] = fma(std, source[i], target[i])
        done += count


@within
def _add_scaled(y, variance, more, words, start, stop):
    """y += sqrt(variance + more) n for blocks start ... stop - 1 of a chunk; y, variance (CHUNK,) float32; more: scalar float32."""
    for half in range(2):
        at0 = 2 * half * CHUNK_BLOCKS
        at1 = at0 + CHUNK_BLOCKS
        w0, w1 = part(words, at0 + start, at0 + stop), part(words, at1 + start, at1 + stop)
        y0, y1 = part(y, at0 + start, at0 + stop), part(y, at1 + start, at1 + stop)
        v0, v1 = part(variance, at0 + start, at0 + stop), part(variance, at1 + start, at1 + stop)
        for i in range(stop - start):
            a, b = scaled_normal_pair(w0[i], w1[i], v0[i] + more, v1[i] + more)
            y0[i] += a
            y1[i] += b


@njit(**KERNEL)
def add_scaled_normals(y, variance, more, key0, key1, offset):
    """y[i] += sqrt(variance[i] + more) n_(offset + i), n the stream's normals (to 2 ulp: the root is taken of r^2 variance).

    y, variance: (n,) float32; more: scalar float32; variances in y's unit squared, their sum 0 or between 1e-30 and 1e36.
    """
    words, y_part, v_part = _scratch_words(), _scratch_numbers(), _scratch_numbers()
    for i in range(CHUNK):  # what is not wanted of a chunk is computed too
        y_part[i] = v_part[i] = _NOUGHT
    n = y.shape[0]
    done = 0
    while done < n:
        chunk, begin, count, start, stop = _part(offset + np.uint64(done), n - done)
        _draw_words(words, key0, key1, chunk, start, stop)
        target, spread = part(y, done, done + count), part(variance, done, done + count)
        whole = count == CHUNK
        y_wanted, v_wanted = part(y_part, begin, begin + count), part(v_part, begin, begin + count)
        if not whole:
            for i in range(count):
                y_wanted[i] = target[i]
                v_wanted[i] = spread[i]
        _add_scaled(target if whole else y_part, spread if whole else v_part, more, words, start, stop)
        if not whole:
            for i in range(count):
                target[i] = y_wanted[i]
        done += count
