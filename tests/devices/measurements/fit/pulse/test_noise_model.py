"""Read noise that is correlated from read to read: told from pulses that scatter, found where it is and nowhere else, proven over lags."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analog_sim.config import validate
from devices.card import load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.split import Split
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.families import families
from devices.measurements.fit.pulse.fit import PulseFit, fit_pulses
from devices.measurements.fit.pulse.scatter import pulse_scatter
from devices.measurements.fit.pulse.statespace import StepTables
from devices.measurements.pipeline.comparison import compare_card
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.measurements.proof.proof import Lag, Proof
from devices.measurements.proof.variogram import with_lags
from devices.pulse.measured import quantile_moments
from devices.window import Window

WINDOW = Window(5e-6, 45e-6)
SLOW = ReadNoise(1.5e-6, 2.0e-6, 8.0)
SCATTER = 0.25e-6
STEP = 0.12e-6
LAWS = {"linear_step": families(True)["linear_step"][:1]}


def traces(
    noise: ReadNoise, *, scatter: float = SCATTER, reads: int = 400, cells: int = 2, seed: int, spread: float = 0.0
) -> Traces:
    """Cells pulsed up, then down, with linear steps that fall to half, no bounds, and reads with the given noise."""
    rng = np.random.default_rng(seed)
    g = np.empty((cells, 2 * reads))
    gain = 1.0 + spread * rng.normal(size=cells)
    g[:, 0] = 8e-6
    side = np.where(np.arange(2 * reads) < reads, 1, -1)
    for k in range(1, 2 * reads):
        u = (g[:, k - 1] - WINDOW.g_min) / WINDOW.width
        mean = STEP * (1.0 - 0.5 * (u if side[k] > 0 else 1.0 - u))
        g[:, k] = g[:, k - 1] + side[k] * gain * mean + scatter * rng.normal(size=cells)
    seen = g + noise.draw(rng, cells, 2 * reads)
    pulses = np.ones(g.shape, np.int64)
    pulses[:, 0] = 0
    ids, nothing = np.arange(cells), np.full(cells, np.nan)
    start = np.arange(cells + 1) * 2 * reads
    return Traces(seen.ravel(), pulses.ravel(), np.tile(side, cells).astype(np.int8), start, ids, ids, nothing, nothing)


def fitted(data: Traces) -> PulseFit:
    return fit_pulses(
        Split(data, None, "none", ""), window=None, laws=LAWS, read_noise="correlated", tables_per_device=False
    )


def test_drawn_noise_is_what_it_says() -> None:
    drawn = ReadNoise(0.5, 2.0, 5.0).draw(np.random.default_rng(0), 400, 200)
    variance = drawn.var(axis=0)
    np.testing.assert_allclose(variance, 4.25, rtol=6 * np.sqrt(2 / 400))  # from the first read on
    for lag in (1, 5, 15):
        covariance = float(np.mean(drawn[:, lag:] * drawn[:, :-lag]))
        assert covariance == pytest.approx(4.0 * np.exp(-lag / 5.0), abs=0.2)
    noise = ReadNoise(3.0, 4.0, 5.0)
    assert noise.total == 5.0
    assert noise.share == pytest.approx(0.64)
    assert noise.scaled_to(10.0) == ReadNoise(pytest.approx(6.0), pytest.approx(8.0), 5.0)  # type: ignore[arg-type]
    assert ReadNoise().share == 0.0


@pytest.mark.jit
def test_correlated_noise_and_scatter_come_back() -> None:
    """Five measurements: the true values lie in the 95 % intervals but for what chance allows (1e-4 per parameter)."""
    truth = {"read_std": SLOW.white, "read_correlated": SLOW.correlated, "read_length": SLOW.length}
    covered, chips = dict.fromkeys([*truth, "scatter"], 0), 5
    spreads = []
    for seed in range(chips):
        found = fitted(traces(SLOW, seed=seed))
        assert found.evidence.model == "correlated"
        assert found.evidence.correlated_gain > 10.0
        for estimate in found.laws[0].estimates:
            if estimate.name in truth:
                covered[estimate.name] += estimate.low <= truth[estimate.name] <= estimate.high
        assert found.scatter is not None
        covered["scatter"] += found.scatter.low <= SCATTER <= found.scatter.high
        first, second = quantile_moments(found.tables.up[0])
        spreads.append(float(np.median(second - first**2)))
        assert found.read_std == pytest.approx(SLOW.total, rel=0.25)
        assert any("correlated over" in note for note in found.notes)
    least = stats.binom.ppf(1e-4, chips, 0.93)
    for name, count in covered.items():
        assert count >= least, f"{name}: {count} of {chips}"
    # The tables are free of both parts of the noise: their variance is that of the pulse.
    assert np.mean(spreads) == pytest.approx(SCATTER**2, rel=0.5)
    assert max(spreads) < (3.0 * SCATTER) ** 2


@pytest.mark.jit
def test_white_noise_is_not_taken_for_slow_noise() -> None:
    """With pulses that scatter much or little: no false alarm in 10 measurements (at a rate of 1 % each, more than one comes in 4e-3)."""
    alarms = 0
    for seed in range(5):
        for scatter in (0.1e-6, 0.8e-6):
            found = fitted(traces(ReadNoise(1.5e-6), scatter=scatter, seed=100 + seed))
            alarms += found.evidence.model == "correlated"
            assert found.read_std == pytest.approx(1.5e-6, rel=0.15)
    assert alarms <= 1


@pytest.mark.jit
def test_devices_that_differ_are_not_slow_noise() -> None:
    data = traces(ReadNoise(0.5e-6), scatter=0.3e-6, reads=100, cells=12, seed=5, spread=0.4)
    found = fitted(data)
    assert found.evidence.model == "white"
    assert found.noise.total == pytest.approx(0.5e-6, rel=0.1)
    assert found.gains is not None


@pytest.mark.jit
def test_scatter_that_noise_hides_has_an_interval() -> None:
    """From 0 where there is none; about the truth where there is much, over three measurements (more than one miss comes in 7e-3)."""
    law = StepTables(np.array([[-0.09e-6] * 2, [0.09e-6] * 2]), np.full((2, 2), 0.1e-6), 5e-6, 45e-6, False)
    still = pulse_scatter(traces(SLOW, scatter=0.0, cells=1, seed=9), law, SLOW)
    assert still.low == 0.0
    assert 0.0 < still.value < still.high < 0.6e-6
    missed = 0
    for seed in range(3):
        loud = pulse_scatter(traces(SLOW, scatter=0.8e-6, seed=40 + seed), law, SLOW)
        missed += not loud.low <= 0.8e-6 <= loud.high
        assert 0.2e-6 < loud.value < 1.6e-6
    assert missed <= 1
    scaled = loud.put_on(law, traces(SLOW, seed=1))
    np.testing.assert_allclose(scaled.std, loud.value)


def lab_file(path: Path, data: Traces) -> dict[str, object]:
    """CSV of reads with cells and directions; return the reader's configuration."""
    cell = data.cell[data.trace_of()]
    rows = [
        f"c{c},{d * p},{1e6 * float(g)!r}" for c, d, p, g in zip(cell, data.direction, data.pulses, data.g, strict=True)
    ]
    path.write_text("cell,v (V),g (uS)\n" + "\n".join(rows) + "\n", encoding="utf-8")
    columns = {"cell": "cell", "v": "v", "g": "g"}
    return {"kind": "csv", "path": str(path), "role": "pulses", "columns": columns, "negative": "keep"}


@pytest.mark.jit
def test_round_trip_and_a_wrong_split_is_seen(tmp_path: Path) -> None:
    """The card scatters as the cell did; a card that takes slow noise for scatter does not pass, though its single steps do."""
    reader = lab_file(tmp_path / "lab.csv", traces(SLOW, reads=600, cells=1, seed=21))
    config = validate(
        {"schema": "measurements/1", "name": "slow", "measurements": [reader], "pulse": {"laws": ["linear_step"]}},
        MeasurementConfig,
    )
    result = fit_measurements(config, tmp_path / "out")
    (proof,) = result.proofs
    assert proof.verdict == "unproven", proof.sentence()
    assert {row.quantity for row in proof.not_shown} == {"mean step", "scatter of steps"}, (
        "0.09 uS a pulse beneath 3.5 uS of slow noise"
    )
    assert "scatter as measured" in proof.sentence()
    assert max(lag.reads for lag in proof.lags) >= 32
    card = load_card(result.card)
    assert float(card.read_std(25e-6, 0.0)) == pytest.approx(SLOW.total, rel=0.3)
    assert float(card.step_std(0.5, True)) < 2.0 * SCATTER
    (same,) = compare_card(card, config).proofs
    assert same.verdict == "unproven", same.sentence()
    assert all(lag.factor == 1.0 for lag in same.lags)
    assert "are correlated over" in same.how
    wrong = load_card(result.card, overrides=["pulse={kind: linear_step, step: 0.09 uS, noise_additive: 11}"])
    (seen,) = compare_card(wrong, config).proofs
    assert seen.verdict == "bad", seen.sentence()
    assert "are not split, or not correlated, as in the data" in seen.sentence()


def test_lags_judge_the_split() -> None:
    good = Proof("pulse", "", (), lags=(Lag(1, 1, 1e-6, 1.05e-6, 1.1), Lag(1, 8, 2e-6, 3e-6, 1.6)))
    assert [lag.factor for lag in good.lags] == [1.0, 1.0]
    off = Lag(-1, 16, 2e-6, 1e-6, 1.3)
    assert off.ratio == 0.5
    assert off.factor == 2.0
    assert replace(off, emulated=2.2e-6).factor == 1.0


@pytest.mark.parametrize(("slow", "inside"), [(SLOW, True), (ReadNoise(SLOW.total), False)])
def test_variogram_tells_slow_noise_from_white(slow: ReadNoise, inside: bool) -> None:
    data = traces(SLOW, reads=300, cells=10, seed=31)
    other = traces(slow, reads=300, cells=40, seed=32)
    proof = with_lags(Proof("pulse", "", ()), data, data, other)
    assert {lag.reads for lag in proof.lags} == {1, 2, 4, 8, 16}
    assert (max(lag.factor for lag in proof.lags) < 1.1) == inside
    assert len(proof.facts) == len(proof.lags) == 10
    short = data.take([0])
    few = replace(
        short, g=short.g[:30], pulses=short.pulses[:30], direction=short.direction[:30], start=np.array([0, 30])
    )
    assert with_lags(Proof("pulse", "", ()), few, few, few).lags == ()
