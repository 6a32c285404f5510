"""Published measurements: facts of the files, and what the emulator makes of them. Needs the files of ANALOG_SIM_DATA/measured."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.cases import different, lines_of_fit, table, text

from analog_sim.config import discover, load_config
from devices.card import load_card
from devices.measurements.columns.reader import Reader
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import histories_of
from devices.measurements.data.traces import Traces, traces_of
from devices.measurements.fit.noise.series import series_of
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.measurements.table.sink import Measurements, Sink
from devices.measurements.table.table import Op
from devices.measurements.text.problems import ReadLog

pytestmark = pytest.mark.data

CONFIGS = Path(__file__).resolve().parents[4] / "configs" / "measurements"
READERS = discover("devices.measurements.readers", Reader)
QUARTERS = {1: (2.35, 3.81, 5.09, 6.49), -1: (-5.26, -5.48, -5.97, -5.39)}


def config(name: str) -> MeasurementConfig:
    return load_config(CONFIGS / f"{name}.yaml", MeasurementConfig)


def read(settings: Mapping[str, Any]) -> Measurements:
    sink = Sink()
    READERS[settings["kind"]].model_validate(settings).read(sink)
    return sink.measurements()


def read_config(name: str) -> Measurements:
    sink = Sink()
    for reader in config(name).measurements:
        reader.read(sink)
    return sink.measurements()


@pytest.fixture(scope="module")
def ramps() -> Traces:
    measured = read_config("pulse_ramps")
    assert list(measured.log.lines()) == []
    return traces_of(measured.tables["pulses"], measured.log)


def quarters(g: np.ndarray, change: np.ndarray) -> list[float]:
    edges = np.quantile(g, [0, 0.25, 0.5, 0.75, 1])
    return [float(change[(g >= a) & (g <= b)].mean()) for a, b in pairwise(edges)]


def test_pulse_ramps(ramps: Traces) -> None:
    change, at, direction = ramps.changes()
    before = ramps.g[at - 1]
    for side, count, mean, std in ((1, 7323, 4.433e-6, 1.732e-6), (-1, 6015, -5.523e-6, 0.815e-6)):
        own = direction == side
        assert own.sum() == count
        assert change[own].mean() == pytest.approx(mean, abs=0.0006e-6)
        assert change[own].std() == pytest.approx(std, abs=0.0006e-6)
        np.testing.assert_allclose(1e6 * np.array(quarters(before[own], change[own])), QUARTERS[side], atol=0.006)
    assert np.mean(change[direction == 1] < 0) == pytest.approx(0.0022, abs=0.00005)
    up = np.repeat(direction, 1) == 1
    ends = ramps.g[at[up]]
    assert ramps.g.min() == pytest.approx(1.606e-3, abs=5e-7)
    assert ends.max() == pytest.approx(2.485e-3, abs=5e-7)
    lengths = np.diff(ramps.start)
    assert sorted(lengths)[0] == 149
    assert sorted(lengths)[-1] == 192
    assert (lengths > 160).sum() == 39


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    return fit_measurements(config("pulse_ramps"), tmp_path_factory.mktemp("ramps"))


@pytest.mark.jit
def test_the_emulator_shows_the_facts_of_the_ramps(fitted: FitResult) -> None:
    """Mean step growing with the state, wrong-sign steps, spread and end points, reads included; 10 replicas of every ramp."""
    assert fitted.whole is not None
    change, at, direction = fitted.whole.replayed.changes()
    before = fitted.whole.replayed.g[at - 1]
    for side, mean, std in ((1, 4.433e-6, 1.732e-6), (-1, -5.523e-6, 0.815e-6)):
        own = direction == side
        assert change[own].mean() == pytest.approx(mean, rel=0.02)
        assert change[own].std() == pytest.approx(std, rel=0.05)
        np.testing.assert_allclose(1e6 * np.array(quarters(before[own], change[own])), QUARTERS[side], rtol=0.04)
    assert np.mean(change[direction == 1] < 0) == pytest.approx(0.0022, abs=0.001)
    facts = fitted.whole.proof.facts
    for word in ("potentiation", "depression"):
        for what in ("mean", "spread"):
            measured, emulated, _ = facts[f"{word}: end of a ramp, {what}"]
            assert emulated == pytest.approx(measured, rel=0.01 if what == "mean" else 0.15)
        measured, emulated, _ = facts[f"{word}: pulses to the end, mean"]
        assert emulated == pytest.approx(measured, rel=0.03)


@pytest.mark.jit
def test_what_the_report_of_the_ramps_says(fitted: FitResult) -> None:
    assert different(text(lines_of_fit(fitted)), table("fit_pulse_ramps")) == []
    assert fitted.pulse is not None
    assert [law.kind for law in fitted.pulse.fit.laws[:2]] == ["piecewise", "exp_step"], (
        "the step grows: saturating laws do not fit"
    )
    assert [law.kind for law in fitted.pulse.fit.laws if law.score.adequate] == ["piecewise", "exp_step"]
    held_out = [law.score.held_out for law in fitted.pulse.fit.laws]
    assert held_out[0] == max(held_out)
    assert fitted.pulse.fit.read_std == pytest.approx(0.31e-6, abs=0.05e-6)
    assert fitted.pulse.fit.evidence.model == "white", (
        "changes over many pulses grow faster than a random walk: no slow read noise"
    )
    (proof,) = fitted.proofs
    assert proof.verdict == "fair", proof.sentence()
    assert sum(b.inside for b in proof.bins) >= len(proof.bins) - 3
    ratio, curve = proof.spread_off
    assert curve is not None
    assert curve.label == "potentiation"
    assert max(lag.factor for lag in proof.lags) < 1.2, "read noise and noise of pulses are split as in the data"
    assert ratio > 2.0
    assert any(note.startswith("history:") for note in fitted.notes)
    card = load_card(fitted.card)
    u = np.array([0.1, 0.4, 0.7, 0.95])
    assert (np.diff(card.step_mean(u, True)) > 0).all()


def test_gong() -> None:
    measured = read_config("gong")
    table = measured.tables["pulses"]
    assert len(table) == 2000
    assert (table.op == Op.PULSE_READ).all()
    x = (table.conductance() - 25e-6) / 20e-6  # back to the file's numbers
    assert x[0] == pytest.approx(-0.84444)
    assert x[1000] == pytest.approx(0.76667)
    assert measured.log.total("negative conductance, kept") == 8


@pytest.mark.jit
def test_slow_read_noise_of_gong_is_not_taken_for_scatter_of_pulses(tmp_path: Path) -> None:
    """The changes about the mean curve scatter by 3.3 uS over one pulse and 5 uS over 64, where they stay: pulses add little."""
    result = fit_measurements(config("gong"), tmp_path)
    assert different(text(lines_of_fit(result)), table("fit_gong")) == []
    assert result.pulse is not None
    noise, scatter = result.pulse.fit.noise, result.pulse.fit.scatter
    assert result.pulse.fit.evidence.correlated_gain > 20.0
    assert noise.white == pytest.approx(2.2e-6, rel=0.1)
    assert noise.correlated == pytest.approx(2.6e-6, rel=0.15)
    assert 5.0 < noise.length < 15.0
    assert scatter is not None
    assert scatter.low < 0.19e-6 < scatter.high < 0.4e-6, "the published fit of these data has 0.19 uS"
    card = load_card(result.card)
    u = np.array([0.1, 0.5, 0.9])
    assert (card.step_std(u, True) < 0.3e-6).all()
    assert (card.step_mean(u, True) > 0).all()
    assert float(card.read_std(25e-6, 0.0)) == pytest.approx(noise.total, rel=1e-6)
    (proof,) = result.proofs
    assert proof.verdict == "unproven", proof.sentence()
    assert {row.quantity for row in proof.not_shown} == {"mean step", "scatter of steps"}, (
        "two ramps whose reads scatter by a hundred mean steps"
    )
    assert all(b.inside for b in proof.bins)
    assert [lag.reads for lag in proof.lags if lag.direction > 0] == [1, 2, 4, 8, 16, 32, 64]
    assert all(lag.factor == 1.0 for lag in proof.lags)


def test_enode() -> None:
    measured = read_config("enode")
    assert len(measured.distributions) == 2
    up = next(d for d in measured.distributions if d.direction == 1)
    assert up.dg.shape == (122, 48)
    assert up.g[0] == pytest.approx(297.72e-6)
    assert up.mean()[0] == pytest.approx(7.667e-6, rel=1e-3)


def test_taox() -> None:
    measured = read_config("taox")
    assert len(measured.distributions) == 40
    assert measured.log.total("change out of order along the probability, sorted") > 0
    for distribution in measured.distributions:
        assert (np.diff(distribution.dg, axis=0) >= 0).all()
        assert distribution.g[0] > 0


@pytest.mark.jit
def test_twenty_devices_are_twenty_tables(tmp_path: Path) -> None:
    result = fit_measurements(config("taox"), tmp_path)
    assert different(text(lines_of_fit(result)), table("fit_taox")) == []
    cell = load_card(result.card).compile()
    assert cell.pulse is not None
    assert cell.pulse.tables == 20
    assert cell.windows is not None
    assert cell.windows.shape == (20, 2)
    reachable = [np.mean(cell.windows[:, 0] <= cell.g_min), np.mean(cell.windows[:, 1] >= cell.g_max)]
    assert min(reachable) >= 0.7
    first = next(d for d in read_config("taox").distributions if d.direction == 1)
    np.testing.assert_allclose(cell.pulse.up_mean[0], first.mean(), rtol=0.03, atol=1.5e-6)


def test_technology_c_short_file() -> None:
    folder = {
        "kind": "retention",
        "path": "rram_relaxation/techC_relaxdata.min_512cells.csv",
        "layout_is": "wide",
        "unit": "S",
    }
    found = histories_of(read(folder).tables["retention"], ReadLog())
    assert len(found) == 512
    np.testing.assert_allclose(found.nominal, [0, 0.01, 0.1, 1, 4, 1e5])
    change = found.g[:, -1] - found.initial
    assert found.initial.mean() == pytest.approx(15.505e-6, abs=0.001e-6)
    assert found.g[:, -1].mean() == pytest.approx(14.248e-6, abs=0.001e-6)
    assert change.mean() == pytest.approx(-1.256e-6, abs=0.001e-6)
    assert change.std() == pytest.approx(3.499e-6, abs=0.002e-6)
    assert (found.g[:, 1] - found.initial).std() == pytest.approx(1.05e-6, abs=0.005e-6)


@pytest.mark.jit
def test_technology_c(tmp_path: Path) -> None:
    result = fit_measurements(config("relaxation_techC"), tmp_path)
    assert different(text(lines_of_fit(result)), table("fit_relaxation_techC")) == []
    assert result.ageing is not None
    assert len(result.ageing.histories) == 16292
    assert result.ageing.laws[0].kind == "burst_relaxation"
    plain = next(fit for fit in result.ageing.laws if fit.kind == "relaxation")
    assert result.ageing.laws[0].held_out > plain.held_out + 0.2, "nats per held-out read"
    proof, programming = result.proofs
    assert programming.what == "programming"
    assert programming.verdict == "fair", programming.sentence()
    assert "0.16 standard deviations" in programming.sentence(), "of all 16,292 cells; a third of them was within 0.15"
    spread = [(m, e) for name, (m, e, _) in proof.facts.items() if name.startswith("spread")]
    for measured, emulated in spread:
        assert emulated == pytest.approx(measured, rel=0.1)
    assert proof.verdict == "good", f"a third of the cells was 0.18 off, all of them are 0.11: {proof.sentence()}"
    assert max(b.relative for b in proof.bins) < 0.13, "a path of normal steps is 0.46 off, and bad in every bin"
    assert "2 of 20 bins within the 95 % band" in proof.sentence(), "the band of all cells is narrow"
    assert result.programming is not None
    assert np.median(result.programming.fit.std) == pytest.approx(1.25e-6 / np.sqrt(12), rel=0.05)
    assert np.median(result.programming.fit.excess) == pytest.approx(-1.2, abs=0.15)
    assert any("negative conductance" in line for line in result.counted)
    share = result.ageing.laws[0].returning
    assert share is not None
    assert 0.0 < share.low < share.value < share.high < 1.0
    assert any("cells return: " in note and "drift.returning" in note for note in result.notes), "the card holds them"


@pytest.mark.jit
def test_technology_a_noise(tmp_path: Path) -> None:
    measured = read_config("noise_techA")
    series = series_of(measured.tables["noise"], measured.sources)
    assert [len(one.g) for one in series] == [100_000] * 5
    assert [one.interval for one in series] == pytest.approx([1 / 400] * 5)
    result = fit_measurements(config("noise_techA"), tmp_path)
    assert different(text(lines_of_fit(result)), table("fit_noise_techA")) == []
    assert result.noise is not None
    for one in result.noise.fit.spectra:
        assert "flicker" in one.parts
        assert "telegraph" in one.parts
        assert 0.9 < one.exponent < 1.8
    loudest = max(result.noise.fit.spectra, key=lambda one: one.std)
    assert loudest.mean == pytest.approx(85.3e-6, rel=0.01)


def test_arc_two_sample() -> None:
    table = read({"kind": "arc_two", "path": "arc2_sample_32x32.h5"}).tables["pulses"]
    assert len(table) == 16 * 20, "rows behind NROWS are no data"
    own = table.select((table.cell_row == 1) & (table.cell_col == 2))
    np.testing.assert_allclose(own.conductance()[:2], [1.0602015e-05 / 0.2, 1.1160017e-05 / 0.2], rtol=1e-6)
    assert (own.v_V == 1.0).all()
    np.testing.assert_allclose(own.width_s, 1e-6)
