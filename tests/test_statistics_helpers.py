"""The statistical assertions themselves: they pass what is right, fail what is wrong, say by how much, and keep their budget."""

import math

import numpy as np
import pytest
import statistics_helpers as sh
from scipy import stats


@pytest.fixture
def generator():
    return np.random.default_rng(1)


def test_right_samples_pass(generator):
    x = generator.normal(2.0, 3.0, 20000)
    y = generator.normal(2.0, 3.0, 15000)
    sh.assert_mean(x, 2.0, 1e-4)
    sh.assert_mean(x, 2.0, 1e-4, std=3.0)
    sh.assert_std(x, 3.0, 1e-4)
    sh.assert_std(generator.exponential(1.0, 20000), 1.0, 1e-4)
    sh.assert_distribution(x, stats.norm(2.0, 3.0).cdf, 1e-4)
    sh.assert_same_distribution(x, y, 1e-4)
    sh.assert_uncorrelated(x[:15000], y, 1e-4)
    sh.assert_probability(int((x > 2.0).sum()), x.size, 0.5, 1e-4)


def test_wrong_samples_fail_with_the_z_score(generator):
    x = generator.normal(0.0, 1.0, 20000)
    with pytest.raises(AssertionError, match=r"mean: got .*expected 0\.1 .*z-score 1\d\.\d\d, allowed 3\.89"):
        sh.assert_mean(x, 0.1, 1e-4)
    with pytest.raises(AssertionError, match=r"standard deviation: .*z-score"):
        sh.assert_std(x, 1.05, 1e-4)
    with pytest.raises(AssertionError, match=r"z-score .*\(p = "):
        sh.assert_distribution(x, stats.norm(0.05, 1.0).cdf, 1e-4)
    with pytest.raises(AssertionError, match="z-score"):
        sh.assert_same_distribution(x, x * 1.1, 1e-4)
    with pytest.raises(AssertionError, match=r"correlation: .*z-score"):
        sh.assert_uncorrelated(x, x + generator.normal(0.0, 5.0, x.size), 1e-4)
    with pytest.raises(AssertionError, match="spread: got 11000 of 20000"):
        sh.assert_probability(11000, 20000, 0.5, 1e-4, what="spread")


def test_not_a_number_never_passes():
    x = np.zeros(100)
    x[3] = np.nan
    for check in (sh.assert_mean, sh.assert_std):
        with pytest.raises(AssertionError, match="1 of 100 samples are not finite"):
            check(x, 0.0, 0.5)
    with pytest.raises(AssertionError, match="not finite"):
        sh.assert_distribution(x, stats.norm.cdf, 0.5)


def test_constant_samples_must_be_exact():
    sh.assert_mean(np.full(10, 3.0), 3.0, 1e-3)
    sh.assert_std(np.full(10, 3.0), 0.0, 1e-3)
    with pytest.raises(AssertionError, match="z-score inf"):
        sh.assert_mean(np.full(10, 3.0), 3.1, 1e-3)
    sh.assert_mean(np.full(10, 3.0), 3.1, 1e-3, slack=0.11)


def test_false_alarms_come_as_often_as_stated(generator):
    alpha, runs = 0.05, 2000
    alarms = dict.fromkeys(("mean", "std", "ks"), 0)
    for _ in range(runs):
        x = generator.normal(0.0, 1.0, 400)
        for name, check in (
            ("mean", lambda x: sh.assert_mean(x, 0.0, alpha)),
            ("std", lambda x: sh.assert_std(x, 1.0, alpha)),
            ("ks", lambda x: sh.assert_distribution(x, stats.norm.cdf, alpha)),
        ):
            try:
                check(x)
            except AssertionError:
                alarms[name] += 1
    for name, count in alarms.items():
        assert 0.03 < count / runs < 0.075, name


def test_bonferroni():
    assert sh.bonferroni(1e-3, 50) == pytest.approx(2e-5)
    assert sh.critical_z(0.05) == pytest.approx(1.96, abs=0.001)
    for bad in ((0.0, 1), (1.0, 1), (0.1, 0), (math.nan, 2)):
        with pytest.raises(ValueError, match="bonferroni"):
            sh.bonferroni(*bad)
