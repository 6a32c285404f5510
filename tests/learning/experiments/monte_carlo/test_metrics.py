"""Intervals cover what they promise, and degenerate inputs give sensible answers."""

import math

import numpy as np
import pytest
from scipy import stats
from statistics_helpers import TEST_ALPHA, assert_probability, bonferroni

from learning.experiments.monte_carlo.metrics import (
    BOOTSTRAP_FROM,
    accuracy,
    mean_interval,
    wilson_interval,
    yield_interval,
)
from learning.experiments.monte_carlo.score import ACCURACY


def test_student_t_below_25_values_is_scipys() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.02, 10)
    got = mean_interval(values)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (got.value, got.low, got.high) == pytest.approx((values.mean(), low, high), rel=1e-12)
    assert (got.n, got.method) == (10, "Student-t")


@pytest.mark.parametrize("n", [2, 5, 24])
def test_student_t_covers_the_mean_of_normal_values(n: int) -> None:
    rng = np.random.default_rng(n)
    intervals = [mean_interval(rng.normal(3.0, 0.5, n)) for _ in range(1500)]
    hits = sum(i.low <= 3.0 <= i.high for i in intervals)
    assert_probability(hits, 1500, 0.95, bonferroni(TEST_ALPHA, 3), what=f"coverage at n = {n}")


def test_the_bootstrap_covers_skewed_values_nearly_as_promised() -> None:
    """25 exponential values: coverage of BCa is known to be a little low (0.92 to 0.94), never below 0.88 or above 0.97."""
    rng = np.random.default_rng(5)
    trials = 400
    intervals = [mean_interval(rng.exponential(1.0, BOOTSTRAP_FROM)) for _ in range(trials)]
    hits = sum(i.low <= 1.0 <= i.high for i in intervals)
    assert {i.method for i in intervals} == {"BCa bootstrap"}
    # P(hits/400 outside) < 1e-4 for a true coverage of 0.925 +- 0.01
    assert 0.865 <= hits / trials <= 0.975
    assert np.mean([i.high - i.value for i in intervals]) > np.mean([i.value - i.low for i in intervals]), (
        "leans to the tail"
    )


def test_equal_values_give_the_same_interval_every_time() -> None:
    values = np.random.default_rng(1).normal(0.9, 0.02, 30)
    assert mean_interval(values) == mean_interval(values)


@pytest.mark.parametrize("n", [2, 24, 25, 100])
def test_equal_values_give_an_interval_of_zero_width(n: int) -> None:
    got = mean_interval(np.full(n, 0.1))
    assert (got.value, got.low, got.high, got.method) == (0.1, 0.1, 0.1, "all values equal")


def test_one_value_gives_no_interval() -> None:
    got = mean_interval([0.9])
    assert got.value == 0.9
    assert math.isnan(got.low)
    assert got.text(percent=True) == "90.00"


def test_nearly_equal_values_still_work() -> None:
    """24 chips alike and one that differs by one sample: the bootstrap must not fail."""
    values = np.full(25, 0.9)
    values[3] += 1e-4
    got = mean_interval(values)
    assert 0.9 <= got.low <= got.value <= got.high <= 0.9001


@pytest.mark.parametrize("level", [0.9, 0.99])
def test_wilson_is_scipys(level: float) -> None:
    for successes in range(11):
        got = wilson_interval(successes, 10, level)
        twin = stats.binomtest(successes, 10).proportion_ci(level, method="wilson")
        assert (got.low, got.high) == pytest.approx((twin.low, twin.high), abs=1e-12)
        assert got.value == successes / 10


@pytest.mark.parametrize(("n", "p"), [(25, 0.96), (25, 0.5), (360, 0.97), (10_000, 0.98)])
def test_wilson_covers_exactly_computed(n: int, p: float) -> None:
    """Sum of the binomial probabilities of all counts whose interval holds p: near the nominal 95 %."""
    inside = [wilson_interval(k, n).low <= p <= wilson_interval(k, n).high for k in range(n + 1)]
    coverage = float(stats.binom.pmf(np.arange(n + 1), n, p)[inside].sum())
    assert 0.91 < coverage < 0.985


def test_wilson_ends_are_shares() -> None:
    assert wilson_interval(0, 25).low == 0.0
    assert wilson_interval(25, 25).high == 1.0
    assert wilson_interval(25, 25).low == pytest.approx(0.8668, abs=1e-4)


def test_a_share_has_no_interval_beyond_its_bounds() -> None:
    wide = mean_interval([0.99, 0.7], bounds=(0.0, 1.0))
    assert wide.high == 1.0
    assert wide.low == 0.0
    near_one = np.array([1.0] * 24 + [0.5])
    assert mean_interval(near_one, bounds=(0.0, 1.0)).high <= 1.0
    assert mean_interval([0.99, 0.98], bounds=(0.0, 1.0)).low == mean_interval([0.99, 0.98]).low, "cut only beyond"


def test_yield_counts_chips_at_the_threshold_as_good() -> None:
    got = yield_interval([0.90, 0.95, 0.80, 0.949], 0.9)
    assert (got.value, got.n, got.method) == (0.75, 4, "Wilson")


def test_accuracy_counts_the_largest_score() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert accuracy(scores, [1, 0, 0, 1]) == 0.5
    scores[0, 1] = np.nan  # a chip that gives nan is wrong, not right by argmax's convention
    assert accuracy(scores, [1, 0, 0, 1]) == 0.25


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf, 1.0]])
def test_values_that_are_no_numbers_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(bad)


def test_senseless_arguments_are_refused() -> None:
    for call in (
        lambda: wilson_interval(3, 2),
        lambda: wilson_interval(-1, 2),
        lambda: wilson_interval(0, 0),
        lambda: wilson_interval(1, 2, 1.0),
        lambda: mean_interval([1.0, 2.0], 0.0),
        lambda: accuracy(np.zeros(3), [0, 1, 2]),
        lambda: accuracy(np.zeros((0, 2)), []),
        lambda: accuracy(np.zeros((3, 2)), [0, 1]),
    ):
        with pytest.raises(ValueError):
            call()


def test_text_shows_the_interval() -> None:
    assert wilson_interval(97, 100).text(percent=True, digits=1) == "97.0 [91.5, 99.0]"


def test_values_without_spread_are_told_instead_of_an_interval_of_no_width() -> None:
    """Three chips that are right on the same number of images: an interval from 96.48 to 96.48 would promise what nobody measured."""
    alike, apart = mean_interval([0.9648] * 3), mean_interval([0.96, 0.97, 0.98])
    assert (alike.alike, apart.alike) == (True, False)
    assert alike.text(percent=True) == "96.48 (all 3 alike)"
    assert ACCURACY.within(alike) == "the same for all 3"
    assert ACCURACY.within(apart) == "95 % interval 94.52 to 99.48"
    assert ACCURACY.within_change(mean_interval([0.01, 0.01])) == "the same for all 2"
