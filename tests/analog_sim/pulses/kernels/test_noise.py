"""The noise of pulses: equal to its slow twin, and as near to normal as its documentation says.

False alarms: fixed seeds; statistical assertions share TEST_ALPHA.
"""

import naive_pulses
import numpy as np
import pytest
import statistics_helpers as stats
from scipy.special import ndtr, ndtri

from analog_sim.pulses.kernels.noise import (
    BINS,
    BUFFER,
    LANES,
    STATE,
    STEPS,
    WORDS,
    bins_of_halves,
    next_bins,
    next_halves,
    next_normals,
    quantile,
    seed_row,
)

KEY, ROW, CALL = (11, 12), 5, 2**33 + 7
GRID = np.arange(2**16) / 2**15 - 1 + 2.0**-16


def row_of_noise():
    state, words = np.empty(STATE, np.int32), np.empty(WORDS, np.int32)
    seed_row(state, np.uint64(KEY[0]), np.uint64(KEY[1]), np.uint64(ROW), np.uint64(CALL))
    return state, words


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("steps", [1, 3, STEPS])
def test_bins_equal_the_twin(steps, measured):
    (state, words), twin = row_of_noise(), naive_pulses.RowNoise(KEY, ROW, CALL, measured)
    bins = np.empty(BUFFER, np.uint16)
    for _ in range(2):
        next_bins(state, words, steps, bins, measured)
        expected = [twin.next_bin(2 * LANES * steps - k) for k in range(2 * LANES * steps)]
        np.testing.assert_array_equal(bins[: 2 * LANES * steps], expected)


@pytest.mark.parametrize("steps", [2, STEPS + 3])
def test_normals_equal_the_twin(steps):
    (state, words), twin = row_of_noise(), naive_pulses.RowNoise(KEY, ROW, CALL)
    z = np.empty(2 * LANES * steps, np.float32)
    for _ in range(2):
        next_normals(state, words, steps, z)
        np.testing.assert_allclose(z, twin.normals(2 * LANES * steps), atol=3e-5)


@pytest.mark.parametrize("steps", [2, STEPS + 3])
def test_halves_equal_the_twin(steps):
    (state, words), twin = row_of_noise(), naive_pulses.RowNoise(KEY, ROW, CALL)
    halves = np.empty(2 * LANES * steps, np.uint16)
    for _ in range(2):
        next_halves(state, words, steps, halves)
        np.testing.assert_array_equal(halves, twin.halves(2 * LANES * steps))


def normals_of_the_grid():
    return np.array([quantile(np.float32(y)) for y in GRID[2**15 :]], np.float64)


@pytest.mark.jit
def test_the_quantile_is_as_near_as_documented():
    """Every value of 16 bits: distribution, moments and tails."""
    upper = normals_of_the_grid()
    z = np.concatenate([-upper[::-1], upper])
    assert (np.diff(z) > 0).all()
    assert np.abs(z - ndtri((GRID + 1) / 2)).max() < 1e-3
    assert np.abs(ndtr(z) - (GRID + 1) / 2).max() < 1.1e-4
    assert abs((z**2).mean() - 1) < 3e-6
    assert abs((z**4).mean() - 2.9998) < 1e-4
    for sigma, share in ((1, 1.0), (2, 1.0), (3, 1.006), (4, 0.96)):
        assert abs((np.abs(z) > sigma).mean() / (2 * ndtr(-sigma)) - share) < 5e-3
    assert 4.3 < z.max() < 4.33
    assert 4.8 < quantile(np.float32(1.0)) < 4.9


def test_bins_are_as_near_as_documented():
    which, probability = bins_of_halves(measured=False)
    assert set(which) == set(range(8, 504)) | set(range(512, BINS))
    assert [naive_pulses.bin_of(h) for h in range(0, 2**16, 7)] == list(which[::7])
    number = np.bincount(which, minlength=BINS)
    assert number.max() / 2**16 == 1 / 512
    score = np.bincount(which, ndtri(probability), minlength=BINS) / np.maximum(number, 1)
    variance = (number * score**2).sum() / 2**16
    assert abs(variance - 0.99997) < 1e-5
    assert abs((number * score**4).sum() / 2**16 / variance**2 - 2.9988) < 1e-4
    assert 4.05 < score.max() / variance**0.5 < 4.06


def test_bins_of_a_measured_step_are_as_near_as_documented():
    which, probability = bins_of_halves(measured=True)
    bins = [*range(8, 216), *range(512, BINS)]
    assert sorted(set(which)) == bins
    assert [naive_pulses.bin_of_step(h) for h in range(0, 2**16, 7)] == list(which[::7])
    assert [list(naive_pulses.halves_of_step(b)) for b in bins[::50]] == [
        list(np.flatnonzero(which == b)) for b in bins[::50]
    ]
    assert np.bincount(which).max() / 2**16 == 1 / 128
    z = ndtri(probability)
    middle = [b for b in bins if b < 512]
    assert max(np.ptp(z[which == b]) for b in middle) < 0.05
    number = np.bincount(which, minlength=BINS)
    score = np.bincount(which, z, minlength=BINS) / np.maximum(number, 1)
    assert abs((number * score**2).sum() / 2**16 - 0.9999) < 5e-5


@pytest.mark.jit
def test_rows_and_calls_are_independent_standard_normals():
    """Moments over many rows, and no correlation between neighbours: rows, calls, places in a row."""
    words = np.empty(WORDS, np.int32)
    z = np.empty((2, 200, 2 * LANES * STEPS), np.float32)
    for call in range(2):
        for row in range(200):
            state = np.empty(STATE, np.int32)
            seed_row(state, np.uint64(1), np.uint64(2), np.uint64(row), np.uint64(call))
            next_normals(state, words, STEPS, z[call, row])
    alpha = stats.bonferroni(stats.TEST_ALPHA, 6)
    stats.assert_mean(z, 0.0, alpha)
    stats.assert_std(z, 1.0, alpha, slack=1e-5)
    for a, b in (
        (z[0], z[1]),
        (z[:, 1:], z[:, :-1]),
        (z[..., 1:], z[..., :-1]),
        (z[..., : LANES * STEPS], z[..., LANES * STEPS :]),
    ):
        stats.assert_mean(a * b, 0.0, alpha)
