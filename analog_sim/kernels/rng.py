"""Random numbers inside kernels: Philox4x32-10, and the uniforms and normals made from its words. It never holds a state and never calls np.random.

A stream is an infinite sequence of 32-bit words fixed by its key alone: word i is lane i % 4 of Philox block i // 4 (counter c0 = low and c1 = high half
of the block number, c2 = c3 = 0). Everything is defined on that sequence:

    uniform i   (word_i >> 8) 2**-24, in [0, 1)
    normal i    Box-Muller on the pair of words (j, j + 1), j = i - i % 2: radius from word j, angle from word j + 1;
                normal j = r cos(2 pi a), normal j + 1 = r sin(2 pi a)

so element i of a fill that starts at `offset` depends on (key, offset + i) only: any split over calls, chunks or threads gives the same bits.
Counters with c3 != 0 are never used here: a kernel that numbers its own events uses `philox` with its own non-zero c3.

Keys are two 32-bit words held in np.uint64; counters are np.uint64. No fastmath: the bits are the same on every x86 and ARM processor.
Source: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11, doi:10.1145/2063384.2063405, section 3.3.
"""

import numpy as np
from numba import njit, prange

from analog_sim.kernels.math import fma, sincos_quarter

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_0 = np.uint64(0)
_2 = np.uint64(2)
_3 = np.uint64(3)
_8 = np.uint64(8)

_ONE = np.float32(1.0)
_TO_UNIT_24 = np.float32(2.0**-24)
_TO_UNIT_31 = np.float32(2.0**-31)
_TO_UNIT_32 = np.float32(2.0**-32)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_MANTISSA = np.int32(0x7FFFFF)
_SIGN = np.int32(-(2**31))

# -2 log(1 + f)/f on f in [sqrt(1/2) - 1, sqrt(2) - 1], relative error 2e-7; and -2 log 2
_L0 = np.float32(-1.9999998807907104)
_L1 = np.float32(1.000006914138794)
_L2 = np.float32(-0.6667121648788452)
_L3 = np.float32(0.49943119287490845)
_L4 = np.float32(-0.39768484234809875)
_L5 = np.float32(0.3442489206790924)
_L6 = np.float32(-0.3267618715763092)
_L7 = np.float32(0.20757167041301727)
_MINUS_2_LN2 = np.float32(-1.3862943611198906)

TILE_BLOCKS = 256
"""Blocks (of four words) drawn at a time: words and normals of one tile stay in the first-level cache."""

TASK = 1 << 16
"""Elements of one parallel task; a multiple of a tile's elements. Smaller fills are not worth a thread."""


@njit(forceinline=True)
def _round(c0, c1, c2, c3, k0, k1):
    p0 = (c0 & _LOW) * _M0
    p1 = (c2 & _LOW) * _M1
    return (p1 >> _32) ^ c1 ^ k0, p1, (p0 >> _32) ^ c3 ^ k1, p0


@njit(forceinline=True)
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10: four 32-bit words from a counter (c0, c1, c2, c3) and a key (k0, k1).

    All arguments and results are np.uint64 holding 32-bit values: 64-bit lanes are what vectorises the 32 x 32 -> 64 bit products.
    """
    for _ in range(9):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    return c0 & _LOW, c1 & _LOW, c2 & _LOW, c3 & _LOW


@njit(forceinline=True)
def signed(word):
    """A 32-bit word (np.uint64) as the np.int32 of the same bits, the form that `uniform` and `normal_pair` take."""
    return np.int32(np.uint32(word).view(np.int32))


@njit(forceinline=True)
def uniform(word):
    """Uniform float32 in [0, 1) on a grid of 2**-24, from the upper 24 bits of an np.int32 word."""
    return np.float32(np.int32((word >> np.int32(8)) & np.int32(0xFFFFFF))) * _TO_UNIT_24


@njit(forceinline=True)
def normal_pair(word0, word1):
    """Two independent float32 N(0, 1) from two np.int32 words, by Box and Muller's transform; never infinite, at most 6.66 in magnitude.

    r = sqrt(-2 ln u), u = (word0 >> 1 + 1/2) 2**-31 in [2**-32, 1]; the upper two bits of word1 choose the quadrant, the others the angle in it.
    Source: G. E. P. Box and M. E. Muller, Ann. Math. Stat. 29, 610 (1958), doi:10.1214/aoms/1177706645.
    """
    u = fma(np.float32(np.int32((word0 >> np.int32(1)) & np.int32(0x7FFFFFFF))), _TO_UNIT_31, _TO_UNIT_32)
    k = np.int32(np.int32(np.float32(u).view(np.int32)) - _SQRT_HALF_BITS)
    e = np.float32(np.int32(k >> np.int32(23)))
    f = np.int32((k & _MANTISSA) + _SQRT_HALF_BITS).view(np.float32) - _ONE
    p = fma(fma(fma(fma(fma(fma(fma(_L7, f, _L6), f, _L5), f, _L4), f, _L3), f, _L2), f, _L1), f, _L0)
    r = np.sqrt(fma(f, p, e * _MINUS_2_LN2))
    # Bits 29..0 as a signed fraction of a quarter turn; bit 30 exchanges sine and cosine, bit 31 turns by half.
    s, c = sincos_quarter(np.float32(np.int32(word1 << np.int32(2))) * _TO_UNIT_32)
    exchange = (word1 & np.int32(0x40000000)) != np.int32(0)
    a = s if exchange else c
    b = c if exchange else s
    q = np.int32(np.int32(np.float32(r).view(np.int32)) ^ np.int32(word1 & _SIGN)).view(np.float32)
    return a * q, b * q


@njit(forceinline=True)
def words_at(key0, key1, block):
    """The four np.int32 words of one block of a stream: words 4 block ... 4 block + 3."""
    a, b, c, d = philox(block & _LOW, block >> _32, _0, _0, key0, key1)
    return signed(a), signed(b), signed(c), signed(d)


@njit(forceinline=True)
def uniform_at(key0, key1, i):
    """Element i (np.uint64) of a stream's uniforms; the same bits as `fill_uniforms`. One whole block per call: for occasional use."""
    a, b, c, d = words_at(key0, key1, i >> _2)
    lane = np.int64(i & _3)
    return uniform(a if lane == 0 else (b if lane == 1 else (c if lane == 2 else d)))


@njit(forceinline=True)
def normal_at(key0, key1, i):
    """Element i (np.uint64) of a stream's normals; the same bits as `fill_normals`. One whole block per call: for occasional use."""
    a, b, c, d = words_at(key0, key1, i >> _2)
    lane = np.int64(i & _3)
    x, y = normal_pair(a if lane < 2 else c, b if lane < 2 else d)
    return x if lane % 2 == 0 else y


@njit(forceinline=True)
def _draw_words(words, blocks, key0, key1, first):
    """Words of `blocks` consecutive blocks, lane by lane, into words (4, TILE_BLOCKS) int32; the low half of the counter must not wrap."""
    w0 = words[0]
    w1 = words[1]
    w2 = words[2]
    w3 = words[3]
    high = first >> _32
    low = first & _LOW
    for i in range(blocks):
        a, b, c, d = philox(low + np.uint64(i), high, _0, _0, key0, key1)
        w0[i] = signed(a)
        w1[i] = signed(b)
        w2[i] = signed(c)
        w3[i] = signed(d)


@njit(forceinline=True)
def _draw_normals(z, words, blocks):
    """Normals of the drawn words in stream order: z[4 i + lane]."""
    w0 = words[0]
    w1 = words[1]
    w2 = words[2]
    w3 = words[3]
    for i in range(blocks):
        a, b = normal_pair(w0[i], w1[i])
        c, d = normal_pair(w2[i], w3[i])
        z[4 * i] = a
        z[4 * i + 1] = b
        z[4 * i + 2] = c
        z[4 * i + 3] = d


@njit(forceinline=True)
def _tile(position, remaining):
    """First block, words to skip in it, number of blocks and of elements of the tile that starts at word `position` of the stream.

    A tile never crosses a multiple of 2**32 blocks, so that the low half of the counter does not wrap within it.
    """
    first = position >> _2
    skip = np.int64(position & _3)
    room = min(np.int64(TILE_BLOCKS), np.int64((_LOW - (first & _LOW)) + np.uint64(1)))
    count = min(remaining, 4 * room - skip)
    return first, skip, (skip + count + 3) // 4, count


@njit(cache=True, nogil=True)
def fill_words(out, key0, key1, offset):
    """out[i] = word offset + i of the stream; out (n,) uint32."""
    words = np.empty((4, TILE_BLOCKS), np.int32)
    n = out.shape[0]
    done = 0
    while done < n:
        first, skip, blocks, count = _tile(offset + np.uint64(done), n - done)
        _draw_words(words, blocks, key0, key1, first)
        for i in range(count):
            j = skip + i
            out[done + i] = np.uint32(np.int32(words[j % 4, j // 4]).view(np.uint32))
        done += count


@njit(cache=True, nogil=True)
def fill_uniforms(out, key0, key1, offset):
    """out[i] = uniform offset + i of the stream, in [0, 1); out (n,) float32."""
    words = np.empty((4, TILE_BLOCKS), np.int32)
    n = out.shape[0]
    done = 0
    while done < n:
        first, skip, blocks, count = _tile(offset + np.uint64(done), n - done)
        _draw_words(words, blocks, key0, key1, first)
        for i in range(count):
            j = skip + i
            out[done + i] = uniform(words[j % 4, j // 4])
        done += count


@njit(cache=True, nogil=True)
def fill_normals(out, key0, key1, offset):
    """out[i] = normal offset + i of the stream, N(0, 1); out (n,) float32."""
    words = np.empty((4, TILE_BLOCKS), np.int32)
    z = np.empty(4 * TILE_BLOCKS, np.float32)
    n = out.shape[0]
    done = 0
    while done < n:
        first, skip, blocks, count = _tile(offset + np.uint64(done), n - done)
        _draw_words(words, blocks, key0, key1, first)
        _draw_normals(z, words, blocks)
        out[done : done + count] = z[skip : skip + count]
        done += count


@njit(cache=True, nogil=True)
def add_normals(y, std, key0, key1, offset):
    """y[i] += std n_(offset + i), n the stream's normals; y (n,) float32, std scalar float32 in y's unit."""
    words = np.empty((4, TILE_BLOCKS), np.int32)
    z = np.empty(4 * TILE_BLOCKS, np.float32)
    n = y.shape[0]
    done = 0
    while done < n:
        first, skip, blocks, count = _tile(offset + np.uint64(done), n - done)
        _draw_words(words, blocks, key0, key1, first)
        _draw_normals(z, words, blocks)
        target = y[done : done + count]
        source = z[skip : skip + count]
        for i in range(count):
            target[i] = fma(std, source[i], target[i])
        done += count


@njit(cache=True, nogil=True)
def add_scaled_normals(y, variance, key0, key1, offset):
    """y[i] += sqrt(variance[i]) n_(offset + i), n the stream's normals; y, variance (n,) float32, variance >= 0 in y's unit squared."""
    words = np.empty((4, TILE_BLOCKS), np.int32)
    z = np.empty(4 * TILE_BLOCKS, np.float32)
    n = y.shape[0]
    done = 0
    while done < n:
        first, skip, blocks, count = _tile(offset + np.uint64(done), n - done)
        _draw_words(words, blocks, key0, key1, first)
        _draw_normals(z, words, blocks)
        target = y[done : done + count]
        spread = variance[done : done + count]
        source = z[skip : skip + count]
        for i in range(count):
            target[i] = fma(np.sqrt(spread[i]), source[i], target[i])
        done += count


@njit(cache=True, parallel=True)
def fill_uniforms_parallel(out, key0, key1, offset):
    """`fill_uniforms` over Numba's threads: the same bits."""
    n = out.shape[0]
    for task in prange((n + TASK - 1) // TASK):
        start = task * TASK
        fill_uniforms(out[start : min(start + TASK, n)], key0, key1, offset + np.uint64(start))


@njit(cache=True, parallel=True)
def fill_normals_parallel(out, key0, key1, offset):
    """`fill_normals` over Numba's threads: the same bits."""
    n = out.shape[0]
    for task in prange((n + TASK - 1) // TASK):
        start = task * TASK
        fill_normals(out[start : min(start + TASK, n)], key0, key1, offset + np.uint64(start))


@njit(cache=True, parallel=True)
def add_normals_parallel(y, std, key0, key1, offset):
    """`add_normals` over Numba's threads: the same bits."""
    n = y.shape[0]
    for task in prange((n + TASK - 1) // TASK):
        start = task * TASK
        add_normals(y[start : min(start + TASK, n)], std, key0, key1, offset + np.uint64(start))


@njit(cache=True, parallel=True)
def add_scaled_normals_parallel(y, variance, key0, key1, offset):
    """`add_scaled_normals` over Numba's threads: the same bits."""
    n = y.shape[0]
    for task in prange((n + TASK - 1) // TASK):
        start = task * TASK
        stop = min(start + TASK, n)
        add_scaled_normals(y[start:stop], variance[start:stop], key0, key1, offset + np.uint64(start))
