"""Cycle-to-cycle noise of pulses: cheap random numbers, 16 bits each, from generators of each row of cells. Never a state across calls.

Pulses come by the million, so this noise is made faster, and less finely, than `philox.normal_pair`:

    words     each row of cells, at each call, has 32 generators xorshift128 (G. Marsaglia, J. Stat. Softw. 8(14), 2003,
              doi:10.18637/jss.v008.i14; period 2**128 - 1), whose states start as the Philox blocks with counter
              (lane, row, call, 0xA5): the noise is a function of (key, call, row, position in the row's sequence),
              whatever thread works on the row
    bins      two for a word, of probability 1/512 each, and in the tails (1/64 on either side) of 1/16384. A table turns a
              bin into what the law needs of it: the mean over the bin of the normal score, or of a measured step. Measured steps
              are looked up at random in tables beyond the first-level cache: their bins are 1/128 in the middle (between 1/8
              and 7/8), where the scores lie densest, so that half as much of a table is in use; none is wider than 0.05 scores
    normals   two for a word w: from the signed word, y = w 2**-31, and from its lower half, y = (int32(w << 16)) 2**-31
              + 2**-17, by z = y P(l), l ~ log2(1 - y**2), P of degree 5: the normal quantile at (1 + y)/2 within 1e-3

Bins: mean 0, variance of the scores 0.99997 (made 1 by a factor in the tables of Gaussian laws), kurtosis 2.9988, distribution
within 1e-3, |z| <= 4.06; of a measured step, within 4e-3. Normals: distribution within 1.1e-4, variance 1 - 3e-6, kurtosis 2.9998;
beyond 3 and 4 standard deviations 1.006 and 0.96 of the normal probability; |z| <= 4.33 for the lower halves, 4.9 for the full words.
`tests/analog_sim/pulses/kernels/test_noise.py` measures these figures. No fastmath: the same bits everywhere.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import WITHIN
from analog_sim.random.kernels.philox import philox, signed

LANES = 32
"""Generators of one row."""

STEPS = 16
"""Steps of all generators that one refill makes at most."""

STATE = 4 * LANES
"""Words of state of a row's generators: the last four of each."""

WORDS = STATE + LANES * STEPS
"""Room for the state and the words of a refill."""

BUFFER = 2 * LANES * STEPS
"""Bins of a full refill; what a step yields is 2 LANES of bins, or of normals."""

BINS = 1024
"""Bins of the normal score: 8 to 503 in the middle, 512 to 767 in the left and 768 to 1023 in the right tail; the others stay empty.

Those of a measured step: 8 to 63, 64 to 159 and 160 to 215 from left to right, and the same tails.
"""

_MARK = np.uint64(0xA5)
_LOW = np.uint64(0xFFFFFFFF)
_LANE_BITS = np.uint64(5)
_32 = np.uint64(32)
_MANTISSA = np.int32(0x7FFFFF)
_ONE_BITS = np.int32(0x3F800000)
_16 = np.int32(16)
_2 = np.uint16(2)
_7 = np.uint16(7)
_9 = np.uint16(9)
_LEFT = np.uint16(1024)
_RIGHT = np.uint16(2**16 - 1024)
_MIDDLE = np.uint16(2**13)
_BEYOND_MIDDLE = np.uint16(2**16 - 2**13)
_TO_MIDDLE = np.uint16(64 - 16)
_TO_RIGHT = np.uint16(448 - 160)
_LEFT_BIN = np.uint16(512)
_RIGHT_BIN = np.uint16(768)
_IN_TAIL = np.uint16(255)
_TO_UNIT = np.float32(2.0**-31)
_HALF_STEP = np.float32(2.0**-17)
_ABOVE_ONE = np.float32(1.0 + 2.0**-23)
_EXPONENT = np.float32(2.0**-23)

# log2(t) ~ bits(t) 2**-23 + C0 + C1 m + C2 m**2 + C3 m**3, m the mantissa of t in [1, 2); absolute error 6.4e-4
_C0 = np.float32(-1.1536308526992798 - 127.0)
_C1 = np.float32(2.0479018688201904)
_C2 = np.float32(-1.0518847703933716)
_C3 = np.float32(0.1582503765821457)

# normal quantile at (1 + y)/2, divided by y, as a polynomial in log2(1 - y**2); unit variance on the grid of 16 bits
_P0 = np.float32(1.252461314201355)
_P1 = np.float32(-0.22808660566806793)
_P2 = np.float32(0.008395864628255367)
_P3 = np.float32(0.0016002305783331394)
_P4 = np.float32(8.987000182969496e-05)
_P5 = np.float32(1.8262221601617057e-06)


class Noise(NamedTuple):
    """The generators of one row at work.

    state: (STATE,). words: (WORDS,) scratch. bins: (BUFFER,) of the last refill. at: (2,), bins used and made of it.
    """

    state: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    bins: npt.NDArray[np.uint16]
    at: npt.NDArray[np.int64]


@njit(**WITHIN)
def quantile(y):
    """Normal quantile at probability (1 + y)/2, y float32 in [-1, 1]; see above for its error."""
    t = fma(-y, y, _ABOVE_ONE)
    bits = np.int32(np.float32(t).view(np.int32))
    m = np.int32((bits & _MANTISSA) | _ONE_BITS).view(np.float32)
    log2 = fma(np.float32(bits), _EXPONENT, fma(fma(fma(_C3, m, _C2), m, _C1), m, _C0))
    return y * fma(fma(fma(fma(fma(_P5, log2, _P4), log2, _P3), log2, _P2), log2, _P1), log2, _P0)


@njit(**WITHIN)
def seed_row(state, key0, key1, row, call):
    """Start the generators of a row at a call; state (STATE,) int32; the rest np.uint64, the keys and row below 2**32."""
    above = call >> _32 << _LANE_BITS  # calls beyond 2**32 count on in the first counter word
    low = call & _LOW
    w0 = state[:LANES]
    w1 = state[LANES : 2 * LANES]
    w2 = state[2 * LANES : 3 * LANES]
    w3 = state[3 * LANES :]
    for lane in range(LANES):
        a, b, c, d = philox(np.uint64(lane) | above, row, low, _MARK, key0, key1)
        w0[lane] = signed(a)
        w1[lane] = signed(b)
        w2[lane] = signed(c)
        w3[lane] = signed(d)


@njit(**WITHIN)
def _next(oldest, last):
    """Next word of xorshift128 from the oldest and the last of the four before, np.uint32."""
    t = np.uint32(oldest ^ np.uint32(oldest << np.uint32(11)))
    return np.uint32(np.uint32(last ^ np.uint32(last >> np.uint32(19))) ^ np.uint32(t ^ np.uint32(t >> np.uint32(8))))


@njit(**WITHIN)
def _advance(state, words, steps):
    """Advance all generators by 1 to STEPS steps.

    Their words, LANES for each step, are then in words[STATE :]; words (WORDS,) int32 is scratch.
    """
    for q in range(STATE):
        words[q] = state[q]
    # One slice for both ends of a step: the compiler then sees that reads and writes do not overlap. Four steps stay in registers.
    for k in range(0, steps - steps % 4, 4):
        w = words[k * LANES : (k + 8) * LANES]
        for lane in range(LANES):
            a = np.uint32(w[lane])
            b = np.uint32(w[lane + LANES])
            c = np.uint32(w[lane + 2 * LANES])
            d = np.uint32(w[lane + 3 * LANES])
            a = _next(a, d)
            b = _next(b, a)
            c = _next(c, b)
            d = _next(d, c)
            w[lane + 4 * LANES] = np.uint32(a).view(np.int32)
            w[lane + 5 * LANES] = np.uint32(b).view(np.int32)
            w[lane + 6 * LANES] = np.uint32(c).view(np.int32)
            w[lane + 7 * LANES] = np.uint32(d).view(np.int32)
    for k in range(steps - steps % 4, steps):
        w = words[k * LANES : (k + 5) * LANES]
        for lane in range(LANES):
            w[lane + 4 * LANES] = np.uint32(_next(np.uint32(w[lane]), np.uint32(w[lane + 3 * LANES]))).view(np.int32)
    final = words[steps * LANES : steps * LANES + STATE]
    for q in range(STATE):
        state[q] = final[q]


@njit(cache=True, nogil=True)
def next_normals(state, words, steps, z):
    """The next 2 LANES steps normals of a row into z float32.

    In pieces of at most STEPS steps: first the normals of the full words, then those of the lower halves.
    """
    for done in range(0, steps, STEPS):
        part = min(STEPS, steps - done)
        _advance(state, words, part)
        m = LANES * part
        drawn = words[STATE : STATE + m]
        first = z[2 * LANES * done : 2 * LANES * done + m]
        for q in range(m):
            first[q] = quantile(np.float32(drawn[q]) * _TO_UNIT)
        second = z[2 * LANES * done + m : 2 * LANES * done + 2 * m]
        for q in range(m):
            second[q] = quantile(fma(np.float32(np.int32(drawn[q] << _16)), _TO_UNIT, _HALF_STEP))


@njit(cache=True, nogil=True)
def next_halves(state, words, steps, halves):
    """The next 2 LANES steps pieces of 16 random bits of a row into halves uint16: of every word the lower half, then the upper."""
    for done in range(0, steps, STEPS):
        part = min(STEPS, steps - done)
        _advance(state, words, part)
        drawn = words[STATE : STATE + LANES * part].view(np.uint16)
        out = halves[2 * LANES * done : 2 * LANES * (done + part)]
        for q in range(2 * LANES * part):
            out[q] = drawn[q]


@njit(**WITHIN)
def _bin(half):
    """Bin of 16 random bits (np.uint16): the upper 9 of them, in the tails the upper 14."""
    inner = np.uint16(half >> _7)
    fine = np.uint16((half >> _2) & _IN_TAIL)
    left = np.uint16(fine + _LEFT_BIN)
    right = np.uint16(fine + _RIGHT_BIN)
    return left if half < _LEFT else (right if half >= _RIGHT else inner)


@njit(**WITHIN)
def _bin_of_step(half):
    """Bin of a measured step."""
    inner = np.uint16(half >> _7)
    middle = np.uint16(np.uint16(half >> _9) + _TO_MIDDLE)
    wide = middle if (half >= _MIDDLE) & (half < _BEYOND_MIDDLE) else inner
    near = np.uint16(inner - _TO_RIGHT) if half >= _BEYOND_MIDDLE else wide
    return near if (half >= _LEFT) & (half < _RIGHT) else _bin(half)


@njit(**WITHIN)
def next_bins(state, words, steps, bins, measured):
    """The next 2 LANES steps bins of a row into bins uint16: of every word the lower half, then the upper; steps <= STEPS.

    measured: bins of a measured step, otherwise of the score.
    """
    _advance(state, words, steps)
    halves = words[STATE : STATE + LANES * steps].view(np.uint16)
    if measured:
        for q in range(2 * LANES * steps):
            bins[q] = _bin_of_step(halves[q])
    else:
        for q in range(2 * LANES * steps):
            bins[q] = _bin(halves[q])


@njit(**WITHIN)
def refill(noise, noisy, measured, wanted):
    """Make bins anew, at most for so many pulses; returns how many there are. noisy: whether the law reads them at all."""
    steps = min(STEPS, (wanted + 2 * LANES - 1) // (2 * LANES))
    if noisy:
        next_bins(noise.state, noise.words, steps, noise.bins, measured)
    return 2 * LANES * steps


def bins_of_halves(*, measured: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Bin and probability of every value of 16 random bits, each (65536,): what tables are averaged over."""
    half = np.arange(2**16)
    inner = half // 128
    if measured:
        inner = np.select([half < 2**13, half < 2**16 - 2**13], [inner, half // 512 + 48], inner - 288)
    left, right = half < 1024, half >= 2**16 - 1024
    which = np.where(left, 512 + half // 4, np.where(right, 768 + (half - (2**16 - 1024)) // 4, inner))
    return which, (half + 0.5) / 2**16
