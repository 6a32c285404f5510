"""Statistical assertions with a budget of false alarms. They draw nothing themselves: samples come from a stream with a fixed seed.

A suite that makes many statistical checks at 1 % each would fail every day by chance. Here one run of the whole suite has a budget of
`SUITE_ALPHA` = 1e-3: a test says how many checks it makes, `bonferroni(alpha, n)` splits its share, and every assertion states the z-score
at which it would have failed. Since seeds are fixed a passing check passes for ever; the budget is the chance that a *change of the draws*
(not of the distribution) makes one fail, so a failure after a correct change may be cured by another seed only once in a thousand changes.

Moments are compared through the central limit theorem: use a few hundred samples at least, more for heavy tails.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

SUITE_ALPHA = 1e-3
"""Probability that one run of the whole suite with fresh seeds raises any false alarm."""

TEST_ALPHA = SUITE_ALPHA / 200
"""Share of one test function (or of one parametrised family), for at most 200 of them."""


def bonferroni(alpha_total: float, n: int) -> float:
    """The level of each of n checks so that any of them fails by chance with probability at most `alpha_total`."""
    if n < 1 or not 0.0 < alpha_total < 1.0:
        raise ValueError(f"bonferroni: got alpha_total={alpha_total}, n={n}; allowed: 0 < alpha_total < 1, n >= 1")
    return alpha_total / n


def critical_z(alpha: float) -> float:
    """The two-sided z-score that is exceeded with probability alpha."""
    return float(stats.norm.isf(alpha / 2.0))


def _finite(samples: ArrayLike, what: str) -> NDArray[np.float64]:
    x = np.asarray(samples, dtype=np.float64).ravel()
    assert x.size >= 2, f"{what}: got {x.size} samples, at least 2 are needed"
    bad = int(np.count_nonzero(~np.isfinite(x)))
    assert bad == 0, f"{what}: {bad} of {x.size} samples are not finite"
    return x


def _report(what: str, got: float, expected: float, error: float, alpha: float, n: int, slack: float = 0.0) -> None:
    distance = max(abs(got - expected) - slack, 0.0)
    z = distance / error if error > 0.0 else (0.0 if distance == 0.0 else math.inf)
    limit = critical_z(alpha)
    assert z <= limit, (
        f"{what}: got {got:.6g}, expected {expected:.6g} +- {error:.2g} (n = {n}): z-score {z:.2f}, allowed {limit:.2f} "
        f"(false alarm {alpha:.1e})"
    )


def assert_mean(
    samples: ArrayLike,
    expected: float,
    alpha: float,
    *,
    std: float | None = None,
    slack: float = 0.0,
    what: str = "mean",
) -> None:
    """The samples' mean is `expected`: z = (|mean - expected| - slack) sqrt(n)/std within the two-sided level alpha.

    std: the true standard deviation when it is known, else the samples'; slack: a systematic difference that is allowed (same unit).
    """
    x = _finite(samples, what)
    spread = float(x.std(ddof=1)) if std is None else std
    # The mean of float32 numbers cannot be closer than their rounding.
    rounding = 4.0 * float(np.finfo(np.float64).eps) * float(np.abs(x).max())
    _report(what, float(x.mean()), expected, spread / math.sqrt(x.size), alpha, x.size, slack + rounding)


def assert_std(
    samples: ArrayLike, expected: float, alpha: float, *, slack: float = 0.0, what: str = "standard deviation"
) -> None:
    """The samples' standard deviation is `expected`; its standard error comes from the samples' fourth moment (any distribution).

    SE(s) = sqrt((m4 - m2^2 (n - 3)/(n - 1))/n)/(2 s), with central moments m2, m4; slack as in assert_mean.
    """
    x = _finite(samples, what)
    s = float(x.std(ddof=1))
    centred = x - x.mean()
    m2 = float(np.mean(centred**2))
    m4 = float(np.mean(centred**4))
    variance_error = math.sqrt(max(m4 - m2 * m2 * (x.size - 3) / (x.size - 1), 0.0) / x.size)
    error = variance_error / (2.0 * s) if s > 0.0 else 0.0
    rounding = 4.0 * float(np.finfo(np.float64).eps) * float(np.abs(x).max())
    _report(what, s, expected, error, alpha, x.size, slack + rounding)


def assert_probability(hits: int, trials: int, expected: float, alpha: float, *, what: str = "probability") -> None:
    """`hits` of `trials` independent events of probability `expected`: exact two-sided binomial test."""
    assert trials >= 1, f"{what}: got {trials} trials, at least 1 is needed"
    p = float(stats.binomtest(int(hits), int(trials), expected).pvalue)
    error = math.sqrt(max(expected * (1.0 - expected), 0.0) / trials)
    z = abs(hits / trials - expected) / error if error > 0.0 else math.inf
    assert p >= alpha, (
        f"{what}: got {hits} of {trials} = {hits / trials:.6g}, expected {expected:.6g} +- {error:.2g}: z-score {z:.2f}, "
        f"p = {p:.1e}, allowed >= {alpha:.1e}"
    )


def assert_distribution(
    samples: ArrayLike, cdf: Callable[[Any], Any], alpha: float, *, what: str = "distribution"
) -> None:
    """The samples are drawn from the continuous distribution function `cdf` (Kolmogorov-Smirnov, two-sided)."""
    x = _finite(samples, what)
    result = stats.kstest(x, cdf, method="asymp" if x.size > 1000 else "auto")
    _report_p(what, float(result.statistic), float(result.pvalue), alpha, x.size)


def assert_same_distribution(a: ArrayLike, b: ArrayLike, alpha: float, *, what: str = "distributions") -> None:
    """Two independent sets of samples come from one continuous distribution (two-sample Kolmogorov-Smirnov)."""
    x = _finite(a, what)
    y = _finite(b, what)
    result = stats.ks_2samp(x, y, method="asymp" if min(x.size, y.size) > 1000 else "auto")
    _report_p(what, float(result.statistic), float(result.pvalue), alpha, min(x.size, y.size))


def assert_uncorrelated(a: ArrayLike, b: ArrayLike, alpha: float, *, what: str = "correlation") -> None:
    """Two sets of paired samples have no linear correlation: Fisher's z = atanh(r) sqrt(n - 3)."""
    x = _finite(a, what)
    y = _finite(b, what)
    assert x.size == y.size, f"{what}: got {x.size} and {y.size} samples, allowed: pairs"
    r = float(np.corrcoef(x, y)[0, 1])
    _report(what, math.atanh(r), 0.0, 1.0 / math.sqrt(x.size - 3), alpha, x.size)


def _report_p(what: str, distance: float, p: float, alpha: float, n: int) -> None:
    z = float(stats.norm.isf(max(p, 5e-324) / 2.0))
    assert p >= alpha, (
        f"{what}: largest distance between distribution functions {distance:.4g} (n = {n}): z-score {z:.2f}, "
        f"allowed {critical_z(alpha):.2f} (p = {p:.1e}, false alarm {alpha:.1e})"
    )
