"""Quantile tables: exact moments, tables from traces with skew and read noise, tables from distributions."""

import numpy as np
import pytest
from scipy import stats

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.quantiles import _deconvolved, distribution_table, fitted_table, scores
from devices.measurements.fit.pulse.statespace import StepTables
from devices.measurements.table.distribution import StepDistribution
from devices.pulse.measured import quantile_moments
from devices.window import Window

LOW, HIGH = 1e-4, 11e-4


def test_moments_of_a_normal_table() -> None:
    for nodes in (2, 9, 33, 65):
        first, second = quantile_moments(3.0 + 2.0 * scores(nodes))
        z = np.clip(np.random.default_rng(0).normal(size=200_000), -4, 4)
        assert first == pytest.approx(3.0, abs=1e-12)
        assert second - first**2 == pytest.approx(4.0 * float(np.mean(z**2)), rel=0.01)


def test_moments_of_any_table_are_those_of_draws() -> None:
    rng = np.random.default_rng(1)
    q = np.sort(rng.normal(size=(3, 17)), axis=1)
    first, second = quantile_moments(q)
    z = np.clip(rng.normal(size=400_000), -4, 4)
    for row, a, b in zip(q, first, second, strict=True):
        draws = np.interp(z, scores(17), row)
        assert a == pytest.approx(draws.mean(), abs=5 * draws.std() / np.sqrt(z.size))
        assert b == pytest.approx(np.mean(draws**2), rel=0.02)


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Mean 0, standard deviation 1, skewness 1.5."""
    k = (2.0 / 1.5) ** 2
    return (rng.gamma(k, size=n) - k) / np.sqrt(k)


def ramps(read_std: float, *, count: int = 40, length: int = 100, seed: int = 3) -> Traces:
    """Skewed steps whose mean grows with the state."""
    rng = np.random.default_rng(seed)
    g = np.empty((count, length + 1))
    g[:, 0] = LOW + rng.uniform(0, 0.1, count) * (HIGH - LOW)
    for k in range(length):
        mean = 6e-6 + 4e-6 * (g[:, k] - LOW) / (HIGH - LOW)
        g[:, k + 1] = g[:, k] + mean + 2e-6 * skewed(rng, count)
    reads = g + rng.normal(0, read_std, g.shape) if read_std else g
    pulses = np.ones(g.shape, np.int64)
    pulses[:, 0] = 0
    ids = np.arange(count)
    nothing = np.full(count, np.nan)
    return Traces(
        reads.ravel(),
        pulses.ravel(),
        np.ones(g.size, np.int8),
        np.arange(count + 1) * (length + 1),
        ids * 0,
        ids,
        nothing,
        nothing,
    )


@pytest.mark.parametrize("read_std", [0.0, 0.8e-6])
def test_table_from_traces(read_std: float) -> None:
    law = StepTables(np.array([[-8e-6, -8e-6], [6e-6, 10e-6]]), np.full((2, 2), 2e-6), LOW, HIGH)
    table = fitted_table(ramps(read_std), law, ReadNoise(read_std), True)
    assert table is not None
    assert not table.normal_shape
    assert (np.diff(table.q, axis=1) >= 0).all()
    first, second = quantile_moments(table.q)
    u = np.linspace(0, 1, len(first))
    seen = (u > 0.1) & (u < 0.75)
    np.testing.assert_allclose(first[seen], 6e-6 + 4e-6 * u[seen], atol=0.5e-6)
    assert np.median(np.sqrt(second - first**2)[seen]) == pytest.approx(2e-6, rel=0.06)
    z = np.clip(np.random.default_rng(4).normal(size=20_000), -4, 4)
    draws = np.interp(z, scores(), table.q[len(u) // 2])
    assert stats.skew(draws) == pytest.approx(1.5, abs=0.5)
    assert fitted_table(ramps(read_std), law, ReadNoise(read_std), False) is None


def test_steps_without_the_read_noise_are_narrower_than_they_look() -> None:
    law = StepTables(np.array([[-8e-6, -8e-6], [6e-6, 10e-6]]), np.full((2, 2), 2e-6), LOW, HIGH)
    noisy = ramps(0.8e-6)
    spreads = []
    for assumed in (0.0, 0.8e-6):
        table = fitted_table(noisy, law, ReadNoise(assumed), True)
        assert table is not None
        first, second = quantile_moments(table.q)
        spreads.append(float(np.median(np.sqrt(second - first**2))))
    assert spreads[0] == pytest.approx(np.hypot(2e-6, np.sqrt(2) * 0.8e-6), rel=0.12)
    assert spreads[1] == pytest.approx(2e-6, rel=0.08)


@pytest.mark.parametrize("n", [300, 1000, 4000])
def test_noise_is_taken_out_of_a_shape(n: int) -> None:
    found, scaled, skewness = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        noisy = skewed(rng, n) + rng.normal(0, 0.6, n)
        r = noisy - noisy.mean()
        q = _deconvolved(r, 0.36, float(r.var()) - 0.36, scores())
        draws = np.interp(np.clip(rng.normal(size=20_000), -4, 4), scores(), q)
        assert draws.std() == pytest.approx(np.sqrt(r.var() - 0.36), rel=0.04)
        truth = skewed(rng, 20_000)
        found.append(stats.wasserstein_distance(draws, truth))
        scaled.append(stats.wasserstein_distance(r / r.std(), truth))
        skewness.append(stats.skew(draws))
    assert np.mean(found) < 0.9 * np.mean(scaled)
    assert np.mean(skewness) == pytest.approx(1.5, abs=0.4), "noise of this size makes it 0.95"


def test_noise_that_hides_the_shape_leaves_a_normal() -> None:
    law = StepTables(np.array([[-8e-6, -8e-6], [6e-6, 10e-6]]), np.full((2, 2), 2e-6), LOW, HIGH)
    table = fitted_table(ramps(20e-6), law, ReadNoise(20e-6), True)
    assert table is not None
    assert table.normal_shape


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_few_steps(steps: int) -> None:
    law = StepTables(np.array([[-8e-6, -8e-6], [6e-6, 10e-6]]), np.full((2, 2), 2e-6), LOW, HIGH)
    table = fitted_table(ramps(0.0, count=1, length=steps), law, ReadNoise(), True)
    assert table is not None
    assert table.steps == steps
    assert np.isfinite(table.q).all()
    assert (np.diff(table.q, axis=1) >= 0).all()


def test_table_from_a_distribution() -> None:
    rng = np.random.default_rng(6)
    p = np.linspace(0, 1, 101)
    g = np.linspace(2e-5, 4e-5, 11)
    dg = np.quantile(1e-6 * skewed(rng, 5000), p)[:, None] * np.linspace(1, 2, 11) + 2e-6
    d = StepDistribution(0, 1, g, p, dg, "")
    table = distribution_table(d, Window(2e-5, 4e-5))
    first, second = quantile_moments(table.q)
    np.testing.assert_allclose(first, d.mean(), rtol=3e-3)
    np.testing.assert_allclose(np.sqrt(second - first**2), d.std(), rtol=0.02)


@pytest.mark.parametrize("n", [5, 6, 40])
def test_sorted_steps_stand_for_the_middles_of_their_shares(n: int) -> None:
    """Plotting positions (k + 1/2)/n: a symmetric sample has symmetric quantiles, and its median in the middle; k/n shifts both."""
    half = np.random.default_rng(n).exponential(size=n // 2)
    sample = np.concatenate([half, -half, [0.0] * (n % 2)])
    z = scores(9)
    found = _deconvolved(sample, 0.0, float(np.mean(sample**2)), z)
    np.testing.assert_allclose(found, -found[::-1], atol=1e-12)
    assert found[4] == pytest.approx(0.0, abs=1e-12)
    # The lowest of n stands for half an n-th: what lies below it is the lowest itself.
    levels = stats.norm.cdf(z)
    slow = [np.interp(p, (np.arange(n) + 0.5) / n, np.sort(sample)) for p in levels]
    assert np.corrcoef(found, slow)[0, 1] == pytest.approx(1.0, abs=1e-9)
