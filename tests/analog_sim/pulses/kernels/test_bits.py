"""Bit streams: drawn as stated, laid out without losing a bit.

False alarms: fixed seeds; statistical assertions share TEST_ALPHA.
"""

import numpy as np
import pytest
import statistics_helpers as stats
from naive import philox

from analog_sim.pulses.kernels.bits import (
    MAX_LENGTH,
    NEGATIVE,
    column_lists,
    draw_streams,
    lowest_bit,
    popcount,
    split_words,
    turn_rows,
)
from analog_sim.random.streams import Streams

KEY0, KEY1, CALL = 21, 22, 23


def drawn(probability, length):
    threshold = np.round(np.asarray(probability) * 2.0**32).astype(np.uint64)
    out = np.full(threshold.shape, 2**64 - 1, np.uint64)
    draw_streams(threshold, np.asarray(length), np.uint64(KEY0), np.uint64(KEY1), np.uint64(CALL), out)
    return out


def word(s, n, i, k, slots):
    """The 32-bit word that decides bit k of line i of n in a sample of `slots` slots."""
    if slots == 1:
        quarter = (n + 3) // 4
        return philox((i % quarter, s, CALL, 0xB1), (KEY0, KEY1))[i // quarter]
    if slots == 2:
        half = (n + 1) // 2
        return philox((i % half, s, CALL, 0xB1), (KEY0, KEY1))[k + 2 * (i >= half)]
    return philox((i, s + 2**28 * (k // 4), CALL, 0xB1), (KEY0, KEY1))[k % 4]


@pytest.mark.parametrize("lines", [1, 2, 5, 6, 7, 8])
def test_every_bit_is_decided_by_its_own_word(lines):
    lengths = [1, 2, 3, 31, 63]
    probability = Streams(1).stream("p").uniforms((len(lengths), lines))
    probability[:, 2::3] = 0.0  # lines that never fire
    streams = drawn(probability, lengths)
    for s, slots in enumerate(lengths):
        for i in range(lines):
            bound = round(float(probability[s, i]) * 2**32)
            expected = sum((word(s, lines, i, k, slots) < bound) << k for k in range(slots))
            assert int(streams[s, i]) == expected


def test_no_slot_never_and_always():
    streams = drawn([[0.0, 1.0, 0.5]] * 3, [0, 2, 63])
    assert list(streams[0]) == [0, 0, 0]
    assert [int(b) for b in streams[1][:2]] == [0, 3]
    assert [int(b) for b in streams[2][:2]] == [0, 2**63 - 1]


@pytest.mark.jit
@pytest.mark.parametrize("slots", [2, 31])
def test_coincidences_have_the_product_of_the_probabilities(slots):
    p, q, n = 0.3, 0.02, 2000
    rows, cols = drawn(np.full((50, n), p), [slots] * 50), drawn(np.full((51, n), q), [slots] * 51)[1:]
    assert not (rows == cols).all()
    hits = np.bitwise_count(rows & np.roll(cols, 1, axis=1))
    alpha = stats.bonferroni(stats.TEST_ALPHA, 3)
    stats.assert_mean(np.bitwise_count(rows) / slots, p, alpha)
    stats.assert_mean(np.bitwise_count(cols) / slots, q, alpha)
    stats.assert_mean(hits / slots, p * q, alpha)


def random_streams(samples, lines, length, seed=0):
    words = Streams(seed).stream("bits").integers(0, 2**32, (samples, lines)).astype(np.uint64)
    words |= Streams(seed).stream("high").integers(0, 2**32, (samples, lines)).astype(np.uint64) << np.uint64(32)
    signs = np.where(Streams(seed).stream("sign").uniforms((samples, lines)) < 0.5, -1, 1).astype(np.int8)
    return words & np.uint64(2**length - 1), signs


@pytest.mark.parametrize("length", [1, 5, MAX_LENGTH])
def test_column_lists_hold_every_column_that_fires(length):
    bits, sign = random_streams(3, 11, length)
    columns = np.empty(int(np.bitwise_count(bits).sum()) + 1, np.uint32)
    start = np.empty((3, length, 3), np.int64)
    column_lists(bits, sign, columns, start)
    for s in range(3):
        for k in range(length):
            first, middle, last = start[s, k]
            fires = [j for j in range(11) if int(bits[s, j]) >> k & 1]
            assert list(columns[first:middle]) == [j for j in fires if sign[s, j] > 0]
            assert list(columns[middle:last]) == [j for j in fires if sign[s, j] < 0]
    assert start[-1, -1, 2] == np.bitwise_count(bits).sum()


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("samples", [5, 64, 70])
def test_turned_rows_carry_their_sign_and_know_when_they_fire(samples, everything):
    bits, sign = random_streams(samples, 19, MAX_LENGTH)
    bits[Streams(1).stream("silent").uniforms(bits.shape) < 0.7] = 0
    turned, fired = np.full((19, samples), MAX_LENGTH, np.uint64), np.empty(19, np.uint64)
    when, busiest = np.empty((19, (samples + 63) // 64), np.uint64), np.empty(samples, np.int64)
    turn_rows(bits, sign, everything, turned, fired, when, busiest)
    signed = bits | np.where(sign < 0, NEGATIVE, np.uint64(0))
    np.testing.assert_array_equal(turned, (signed if everything else np.where(bits, signed, MAX_LENGTH)).T)
    np.testing.assert_array_equal(busiest, np.bitwise_count(bits).max(axis=1))
    np.testing.assert_array_equal(fired, np.bitwise_or.reduce(bits, axis=0))
    for i in range(19):
        expected = {s for s in range(samples) if bits[s, i]}
        assert {s for s in range(64 * when.shape[1]) if int(when[i, s // 64]) >> (s % 64) & 1} == expected


@pytest.mark.parametrize("length", [32, MAX_LENGTH])
def test_split_words_put_together_are_the_streams(length):
    bits, _ = random_streams(2, 9, length)
    pieces = np.empty(((1 if length <= 32 else 2), 2, 9), np.uint32)
    number, fired = split_words(bits, pieces)
    assert number == np.bitwise_count(bits).sum()
    assert fired == np.bitwise_or.reduce(bits, axis=None)
    whole = sum(piece.astype(np.uint64) << np.uint64(32 * p) for p, piece in enumerate(pieces))
    np.testing.assert_array_equal(whole, bits)


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
def test_counting_bits(kind):
    from numba import njit

    @njit
    def both(w):
        return popcount(w), lowest_bit(w)

    for value in (1, 6, 2**31, 2**32 - 1):
        count, lowest = both(kind(value))
        assert int(count) == value.bit_count()
        assert int(lowest) == (value & -value).bit_length() - 1
