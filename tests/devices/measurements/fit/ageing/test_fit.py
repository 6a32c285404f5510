"""Ageing laws fitted to cells that follow them: the right one is chosen, and its parameters come back within their errors."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from devices.measurements.data.histories import Histories
from devices.measurements.fit.ageing import bursts
from devices.measurements.fit.ageing.fit import fit_ageing, path_memory
from devices.measurements.fit.ageing.returning import returning_share
from devices.measurements.fit.parameters import Estimate
from devices.window import Window

WINDOW = Window(1e-6, 101e-6)
TAIL, SKEW = 4.0, -0.3
"""Of the path in bursts that `relaxing` draws."""


def relaxing(kind: str, cells: int = 2500, seed: int = 11) -> Histories:
    """Cells that follow one of the emulator's laws exactly."""
    rng = np.random.default_rng(seed)
    nominal = (
        np.array([1.0, 10.0, 100.0, 1e4, 1e6])
        if kind == "power_law"
        else np.array([0.0, 0.01, 0.1, 1.0, 10.0, 1e3, 1e5])
    )
    g0 = rng.uniform(20e-6, 90e-6, cells)
    if kind == "power_law":
        nu = 0.05 + 0.01 * rng.normal(size=cells)
        g = g0[:, None] * (nominal / nominal[0]) ** -nu[:, None]
    else:
        s = np.log10(1.0 + nominal / 0.02)
        steps = np.tile(np.diff(s), (cells, 1))
        if kind == "burst_relaxation":
            clock = rng.wald(steps, steps**2 / TAIL)
            moves = np.sqrt((1.0 - SKEW**2) * clock) * rng.normal(size=steps.shape)
            moves += SKEW * (clock - steps) / np.sqrt(TAIL)
        else:
            moves = np.sqrt(steps) * rng.normal(size=steps.shape)
        g = g0[:, None] - 0.3e-6 * s + 1e-6 * np.pad(np.cumsum(moves, axis=1), ((0, 0), (1, 0)))
    return Histories(g, np.tile(nominal, (cells, 1)), nominal, np.full(cells, np.nan), np.arange(cells))


def returning(kind: str, share: float, cells: int, seed: int, noise: float = 0.0) -> Histories:
    """The same with a share of cells that are on another path in every decade, and noise of the reads."""
    data = relaxing(kind, cells, seed)
    rng = np.random.default_rng(seed + 1000)
    decade = np.log10(1.0 + data.nominal / 0.02).astype(int)
    g, returns = data.g.copy(), rng.random(cells) < share
    for k in np.unique(decade):
        other = relaxing(kind, cells, seed + 10_000 * (k + 1))
        here = np.ix_(returns, decade == k)
        g[here] = (data.initial[:, None] + other.g - other.initial[:, None])[here]
    g[:, 0] = data.initial
    return replace(data, g=g + noise * rng.normal(size=g.shape))


@pytest.mark.parametrize("kind", ["relaxation", "burst_relaxation"])
def test_the_returning_share_comes_back(kind: str) -> None:
    """20 experiments of 600 cells whose reads are noisy: found in 18 or more; 95 % intervals hold it in 15 or more (chance 0.003)."""
    found = [_share(returning(kind, 0.4, 600, 50 + k, 0.3e-6)) for k in range(20)]
    shown = [one for one in found if one is not None]
    assert len(shown) >= 18
    assert sum(one.low <= 0.4 <= one.high for one in shown) >= len(shown) - 4


def test_no_returning_share_is_invented() -> None:
    """100 experiments without one, with noise of the reads that does not persist: one alarm at most (chance 0.005 at a rate of 0.1 %)."""
    found = [
        _share(returning(kind, 0.0, 400, 500 + k, 0.3e-6))
        for k in range(50)
        for kind in ("relaxation", "burst_relaxation")
    ]
    assert sum(one is not None for one in found) <= 1


def _share(data: Histories) -> Estimate | None:
    level = np.array([20e-6, 90e-6])
    return returning_share(data, level, np.full(2, -0.3e-6), np.full(2, 1e-6), 0.02)


def test_the_share_is_in_the_tables() -> None:
    fits = fit_ageing(returning("relaxation", 0.5, 400, 7), None, WINDOW, kinds=("relaxation",), errors=False)
    assert fits[0].returning is not None
    assert fits[0].tables["returning"] == fits[0].returning.value == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("kind", ["relaxation", "burst_relaxation", "power_law"])
def test_the_right_ageing_law_is_chosen_and_recovered(kind: str) -> None:
    data = relaxing(kind)
    fits = fit_ageing(data.take(np.arange(1700)), data.take(np.arange(1700, 2500)), WINDOW)
    best = fits[0]
    assert best.kind == kind
    if kind == "power_law":
        np.testing.assert_allclose(best.values["nu_mean"], 0.05, atol=0.004)
        np.testing.assert_allclose(best.values["nu_std"], 0.01, atol=0.003)
    else:
        assert best.time == pytest.approx(0.02, rel=0.4)
        decades = np.log10(1 + 1e5 / 0.02) / np.log10(1 + 1e5 / best.time)  # t_0 and the rates trade against each other
        np.testing.assert_allclose(best.values["mean"], -0.3e-6 * decades, atol=0.12e-6)
        np.testing.assert_allclose(best.values["std"], 1e-6 * np.sqrt(decades), rtol=0.15)
        memory = path_memory(data)
        assert memory is not None
        assert abs(memory) < 0.1, "increments of this path are independent"
    for errors in best.errors.values():
        assert (errors > 0).all()


def test_states_of_one_group_do_not_pass_for_a_spread_of_exponents() -> None:
    """Two groups of 50 cells, each over half of the window: the spread was found 1.8 times too large."""
    (fit,) = fit_ageing(relaxing("power_law", cells=100), None, WINDOW, kinds=("power_law",), errors=False)
    assert len(fit.values["nu_std"]) == 2
    np.testing.assert_allclose(fit.values["nu_std"], 0.01, rtol=0.3)  # three standard errors
    np.testing.assert_allclose(fit.values["nu_mean"], 0.05, atol=0.0045)


def test_cells_that_begin_or_end_at_zero_are_no_accident() -> None:
    data = relaxing("power_law", cells=100)
    data.g[:5] = 0.0
    data.g[5:10, 2:] = 0.0
    fits = fit_ageing(data, None, WINDOW, errors=False)
    assert all(np.isfinite(value).all() for fit in fits for value in fit.values.values())


def test_the_tail_of_a_path_comes_back_within_its_uncertainty() -> None:
    """Three levels of 400 cells on ten chips, with t_0 found as well: 95 % intervals, of the tail on a logarithmic scale.

    Fewer than 24 of 30 cover the truth with a probability of 6e-4 when they are what they say.
    """
    covered: dict[str, list[bool]] = {"tail": [], "skew": []}
    found = []
    for seed in range(10):
        data = relaxing("burst_relaxation", cells=1200, seed=seed)
        data = replace(data, target=np.repeat([20e-6, 50e-6, 80e-6], 400))  # groups are of equal targets
        (fit,) = fit_ageing(data, None, WINDOW, kinds=("burst_relaxation",), seed=seed)
        tail, skew = fit.values["tail"], fit.values["skew"]
        covered["tail"] += (np.abs(np.log(tail / TAIL)) < 1.96 * fit.errors["tail"] / tail).tolist()
        covered["skew"] += (np.abs(skew - SKEW) < 1.96 * fit.errors["skew"]).tolist()
        found.append((tail, skew))
    for name, inside in covered.items():
        assert len(inside) == 30
        assert np.mean(inside) >= 0.8, name
    np.testing.assert_allclose(np.array(found).mean(axis=(0, 2)), (TAIL, SKEW), rtol=0.15)


def test_a_normal_path_is_not_taken_for_bursts() -> None:
    for seed in range(2):
        data = relaxing("relaxation", seed=seed)
        fits = fit_ageing(data.take(np.arange(1700)), data.take(np.arange(1700, 2500)), WINDOW, seed=seed)
        assert fits[0].kind == "relaxation"
        heavy = next(fit for fit in fits if fit.kind == "burst_relaxation")
        assert (heavy.values["tail"] < 4 * heavy.errors["tail"] + 0.05).all()
        assert np.median(heavy.values["tail"]) < 0.1


def test_a_few_cells_have_no_tail() -> None:
    """Two changes of one cell lie as close to a spike as one likes: its likelihood says nothing."""
    cell = relaxing("relaxation", cells=1)
    assert fit_ageing(cell, None, WINDOW)[0].kind != "burst_relaxation"
    (forced,) = fit_ageing(cell, None, WINDOW, kinds=("burst_relaxation",))
    assert all(np.isfinite(table).all() for table in forced.tables.values())


def test_likelihood_of_bursts_is_that_of_the_closed_form() -> None:
    """Against scipy's density where nothing is cut, and its gradient against differences where cells stop at 0 S."""
    rng = np.random.default_rng(5)
    theta, s = np.array([-0.2e-6, 1.5e-6, 1e-10, 6.0, -0.4]), np.array([0.3, 2.0, 7.0])
    mean, std, _, tail, skew = theta
    exact, counts, cut = 0.0, [], []
    for decades in s:
        normal = np.sqrt(1 - skew**2)
        scale, beta = normal * decades / np.sqrt(tail), skew / np.sqrt(tail) / normal**2
        alpha = np.hypot(1 / (np.sqrt(tail) * normal), beta)
        shift = mean * decades - std * skew * decades / np.sqrt(tail)
        law = stats.norminvgauss(alpha * scale, beta * scale, shift, std * scale)
        change = law.rvs(1500, random_state=rng)
        exact += law.logpdf(change).sum()
        counts.append(bursts.counted(change, np.full(1500, 1.0)))
        initial = np.full(1500, 4e-6)
        cut.append(bursts.counted(np.maximum(change, -initial), initial))
    assert bursts.loglik(theta, s, counts)[0] == pytest.approx(exact, abs=1e-3 * 4500)
    assert sum(one.gone.sum() for one in cut) > 300
    theta[2] = 0.3e-6
    _, gradient = bursts.loglik(theta, s, cut)
    for j in range(5):
        step = np.zeros(5)
        step[j] = 1e-4 * abs(theta[j])
        difference = bursts.loglik(theta + step, s, cut)[0] - bursts.loglik(theta - step, s, cut)[0]
        assert gradient[j] == pytest.approx(difference / (2 * step[j]), rel=1e-4)
