"""The Kalman filter against the exact multivariate normal of a linear law, and the clipping against an integral."""

import numpy as np
import pytest
from scipy import integrate, stats

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.statespace import StepTables, _clipped, run_filter

LOW, HIGH = 0.0, 1e-3  # far from the states: nothing is clipped


def trace(g: np.ndarray, pulses: np.ndarray, direction: np.ndarray) -> Traces:
    n = len(g)
    one = np.zeros(1, np.int64)
    return Traces(
        g,
        pulses.astype(np.int64),
        direction.astype(np.int8),
        np.array([0, n]),
        one,
        one,
        np.full(1, np.nan),
        np.full(1, np.nan),
    )


def exact_loglik(
    g: np.ndarray, pulses: np.ndarray, direction: np.ndarray, slope: float, level: float, s: float, noise: ReadNoise
) -> float:
    """Log density of reads 2..n given the first, for ``g <- g + side (level - slope g) + s w`` and reads with noise.

    States and reads are one linear map of the first read, its errors and independent normals; the first state is the first read
    less its errors.
    """
    n = len(g)
    # Each state: constant + weights on (white error of the first read, slow errors of all reads, pulse noises...).
    total = int(pulses.sum())
    constant, weights = np.zeros(n), np.zeros((n, 1 + n + total))
    c, w = g[0], np.zeros(1 + n + total)
    w[:2] = -noise.white, -1.0
    used = 0
    for k in range(n):
        for _ in range(pulses[k]):
            a = 1.0 - direction[k] * slope
            c, w = a * c + direction[k] * level, a * w
            w[1 + n + used] = s
            used += 1
        constant[k], weights[k] = c, w
        weights[k, 1 + k] += 1.0  # the slow error of this read itself
    lag = np.abs(np.arange(n)[:, None] - np.arange(n)[None, :])
    sources = np.eye(1 + n + total)
    sources[1 : 1 + n, 1 : 1 + n] = noise.correlated**2 * noise.correlation**lag
    covariance = weights[1:] @ sources @ weights[1:].T + noise.white**2 * np.eye(n - 1)
    return float(stats.multivariate_normal(constant[1:], covariance).logpdf(g[1:]))


@pytest.mark.parametrize(
    "noise",
    [ReadNoise(0.05e-6), ReadNoise(0.8e-6), ReadNoise(0.3e-6, 0.6e-6, 2.5), ReadNoise(0.1e-6, 1.5e-6, 12.0)],
)
def test_linear_law_is_exact(noise: ReadNoise) -> None:
    rng = np.random.default_rng(1)
    slope, level, s = 0.02, 5e-6, 0.3e-6
    pulses = np.array([0, 1, 1, 3, 0, 1, 2, 1])
    direction = np.array([0, 1, 1, 1, 0, -1, -1, 1])
    g = 4e-4 + np.cumsum(rng.normal(0, 1e-6, len(pulses)))
    u = np.array([LOW, HIGH])
    law = StepTables(np.stack([-(level - slope * u), level - slope * u]), np.full((2, 2), s), LOW, HIGH)
    found = run_filter(trace(g, pulses, direction), law, noise)
    expected = exact_loglik(g, pulses, direction, slope, level, s, noise)
    assert found.loglik.sum() == pytest.approx(expected, rel=1e-9)
    assert found.loglik[0] == 0.0


def test_gains_scale_mean_and_spread() -> None:
    law = StepTables(np.array([[-1e-6, -1e-6], [2e-6, 2e-6]]), np.full((2, 2), 0.1e-6), LOW, HIGH)
    doubled = StepTables(2.0 * law.mean, 2.0 * law.std, LOW, HIGH)
    reads = trace(np.array([5e-4, 5.01e-4, 5.0e-4]), np.array([0, 1, 1]), np.array([0, 1, -1]))
    with_gain = run_filter(reads, law, ReadNoise(1e-7), np.full((1, 2), 2.0))
    assert with_gain.loglik.sum() == pytest.approx(run_filter(reads, doubled, ReadNoise(1e-7)).loglik.sum(), rel=1e-12)


def test_innovations_of_the_true_law_are_standard_normal() -> None:
    rng = np.random.default_rng(2)
    n, s, r = 3000, 0.5e-6, 0.4e-6
    direction = np.where(np.arange(n) % 200 < 100, 1, -1)
    pulses = np.ones(n, np.int64)
    pulses[0] = 0
    states = 5e-4 + np.concatenate(([0], np.cumsum((direction * 2e-6)[1:] + rng.normal(0, s, n - 1))))
    reads = trace(states + rng.normal(0, r, n), pulses, direction)
    law = StepTables(np.array([[-2e-6, -2e-6], [2e-6, 2e-6]]), np.full((2, 2), s), LOW, HIGH)
    z = run_filter(reads, law, ReadNoise(r)).residuals(reads.g)[1:]
    assert stats.kstest(z, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 4.0 / np.sqrt(n)


def test_innovations_under_correlated_noise_are_standard_normal() -> None:
    rng = np.random.default_rng(3)
    n, s, noise = 4000, 0.2e-6, ReadNoise(0.5e-6, 0.8e-6, 8.0)
    pulses = np.ones(n, np.int64)
    pulses[0] = 0
    states = 2e-4 + np.concatenate(([0], np.cumsum(1e-7 + rng.normal(0, s, n - 1))))
    reads = trace(states + noise.draw(rng, 1, n)[0], pulses, np.ones(n))
    law = StepTables(np.array([[-1e-7, -1e-7], [1e-7, 1e-7]]), np.full((2, 2), s), LOW, HIGH)
    z = run_filter(reads, law, noise).residuals(reads.g)[1:]
    assert stats.kstest(z, "norm").pvalue > 1e-4
    for lag in (1, 2, 5, 10):
        assert abs(np.corrcoef(z[lag:], z[:-lag])[0, 1]) < 4.5 / np.sqrt(n)
    white = run_filter(reads, law, ReadNoise(noise.total)).residuals(reads.g)[1:]
    assert abs(np.corrcoef(white[1:], white[:-1])[0, 1]) > 0.2, "the test can fail"


@pytest.mark.parametrize("mean", [-0.2, 0.0, 0.03, 0.5, 0.98, 1.4])
@pytest.mark.parametrize("std", [0.01, 0.2])
def test_clipped_moments(mean: float, std: float) -> None:
    density = stats.norm(mean, std).pdf
    below, above = stats.norm(mean, std).cdf(0.0), stats.norm(mean, std).sf(1.0)
    inside = [
        integrate.quad(lambda x, k=k: x**k * density(x), 0.0, 1.0, points=[min(max(mean, 0), 1)])[0] for k in (1, 2)
    ]
    first, second = inside[0] + above, inside[1] + above
    got = _clipped(mean, std**2, 0.0, 1.0, 1e-12)
    assert got[0] == pytest.approx(first, abs=1e-6)
    assert got[1] == pytest.approx(second - first**2, abs=2e-6)
    assert got[2] == pytest.approx(1.0 - below - above, abs=1e-6)
