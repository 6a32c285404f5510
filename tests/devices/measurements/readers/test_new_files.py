"""Files as a lab sends them and no test had before: what went wrong with them once, each a test. It never needs published data."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.config import discover, validate
from devices.measurements.columns.reader import Reader
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import histories_of
from devices.measurements.data.read_noise import NO_READ_NOISE
from devices.measurements.data.split import split
from devices.measurements.data.traces import Traces, traces_of
from devices.measurements.data.turning_points import turning_points
from devices.measurements.fit.pulse.history import history_note
from devices.measurements.fit.pulse.quantiles import fitted_table
from devices.measurements.fit.pulse.statespace import StepTables
from devices.measurements.fit.pulse.tables import window_span_note
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.measurements.proof.proof import Bin, Curve, Lag, Proof, compare
from devices.measurements.table.sink import Measurements, Sink
from devices.measurements.table.table import Op
from devices.measurements.text.problems import MeasurementError, ReadLog
from devices.window import Window
from learning.experiments.report.measurement.page import write_fit_report
from learning.experiments.runs.run_folder import RunDirectory

READERS = discover("devices.measurements.readers", Reader)
LOW, HIGH = 0.0, 100e-6


def read(path: Path, text: str, **settings: Any) -> Measurements:
    path.write_text(text, encoding="utf-8")
    sink = Sink()
    READERS[settings["kind"]].model_validate({**settings, "path": str(path)}).read(sink)
    return sink.measurements()


def fit(folder: Path, text: str, more: dict[str, Any] | None = None, **settings: Any) -> tuple[FitResult, RunDirectory]:
    path = folder / "lab.csv"
    path.write_text(text, encoding="utf-8")
    reader = {**settings, "path": str(path)}
    config = validate(
        {"schema": "measurements/1", "name": "new", "measurements": [reader], **(more or {})}, MeasurementConfig
    )
    run = RunDirectory.create(folder / "out", config, name="new", seed=0, resumable=False)
    return fit_measurements(config, run.path), run


def traces_from(runs: list[np.ndarray]) -> Traces:
    """Potentiation ramps of one cell, siemens."""
    lengths = [len(run) for run in runs]
    pulses = np.concatenate([np.r_[0, np.ones(n - 1, np.int64)] for n in lengths])
    nothing = np.full(len(runs), np.nan)
    return Traces(
        np.concatenate(runs),
        pulses,
        np.ones(len(pulses), np.int8),
        np.concatenate(([0], np.cumsum(lengths))),
        np.zeros(len(runs), np.int64),
        np.arange(len(runs)),
        nothing,
        nothing,
    )


def saturating(count: int, length: int, *, noise: float, seed: int = 0) -> Traces:
    """Steps of 4 % of what is left of the window, scattering in proportion."""
    rng = np.random.default_rng(seed)
    runs = []
    for _ in range(count):
        g = [1e-6]
        for _ in range(length):
            g.append(g[-1] + 0.04 * (HIGH - g[-1]) * (1.0 + noise * rng.normal()))
        runs.append(np.array(g))
    return traces_from(runs)


FLAT = StepTables(np.array([[-1.6e-6] * 2, [1.6e-6] * 2]), np.full((2, 2), 1e-6), LOW, HIGH)


def test_the_spread_of_few_steps_follows_the_state() -> None:
    """300 steps whose scatter falls fivefold over the window: one shape for all of them once had one spread as well."""
    table = fitted_table(saturating(6, 50, noise=0.3), FLAT, NO_READ_NOISE, True)
    assert table is not None
    u = np.linspace(0.0, 1.0, len(table.q))
    spread = table.q[:, 24] - table.q[:, 8]  # four standard deviations
    for state in (0.1, 0.45, 0.75):
        expected = 4.0 * 0.3 * 0.04 * (1.0 - state) * HIGH
        assert np.interp(state, u, spread) == pytest.approx(expected, rel=0.35)


def test_the_misfit_of_a_law_is_no_history() -> None:
    assert history_note(saturating(10, 60, noise=0.1), FLAT, NO_READ_NOISE) == ""


@pytest.mark.parametrize("decades", [3.0, 6.0])
def test_a_window_of_decades(decades: float) -> None:
    rng = np.random.default_rng(1)
    paths = [np.cumsum(np.r_[0.0, rng.normal(decades / 100, decades / 300, 100)]) for _ in range(8)]
    traces = traces_from([1e-3 * 10 ** (np.clip(path, 0.0, decades) - decades) for path in paths])
    law = StepTables(np.array([[-1e-5] * 2, [1e-5] * 2]), np.full((2, 2), 1e-5), 0.0, 1e-3)
    table = fitted_table(traces, law, NO_READ_NOISE, True)
    assert table is not None
    assert np.isfinite(table.q).all()
    note = window_span_note(traces.g, Window(0.0, 1e-3))
    assert "give a window" in note
    assert window_span_note(np.linspace(0.0, 1e-3, 50), Window(0.0, 1e-3)) == ""


def test_data_without_scatter_have_the_resolution_as_yardstick() -> None:
    rng = np.random.default_rng(0)
    same, near, far = (np.full(50, 2e-7 * factor) for factor in (1.0, 1.00001, 1.1))
    good = compare(same, near, same, label="x", rng=rng)
    assert good.inside
    assert good.relative < 0.01
    bad = compare(same, far, same, label="x", rng=rng)
    assert not bad.inside
    assert bad.relative == pytest.approx(5.0, rel=0.01), "a tenth of the step, in fiftieths of it"


@pytest.mark.jit
def test_noise_free_ramps_are_fitted_well(tmp_path: Path) -> None:
    text = "LTP (uS),LTD (uS)\n" + "\n".join(f"{1 + 0.2 * k},{21 - 0.2 * k}" for k in range(101))
    settings = {"kind": "pulse_ramps", "value": "conductance", "device": "d", "direction": ["up", "down"]}
    result, _ = fit(tmp_path, text, {"pulse": {"laws": ["linear_step"]}}, **settings)
    (proof,) = result.proofs
    assert proof.verdict == "good", proof.sentence()
    assert proof.worst is not None
    assert proof.worst.relative < 0.1
    assert all(lag.factor == 1.0 for lag in proof.lags)


def bins(*distances: float, band: float = 0.1, whole: bool = False) -> tuple[Bin, ...]:
    return tuple(
        Bin(f"bin {k}", 1, 0, 1, 100, 100, (1, 1), (1, 1), d, 0.0, band, 0.0, 1.0, whole=whole)
        for k, d in enumerate(distances)
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (bins(0.05, 0.05), "GOOD FIT of the pulse response: 2 of 2 bins within the 95 % band of the data against themselves; worst"),
        (bins(*[0.05] * 9, 0.12), "9 of 10 bins .* themselves, the others no farther outside than chance explains; worst"),
        (bins(0.05, *[0.14] * 4), "GOOD .* 1 of 5 .*, the others off by less than 0.15 standard deviations .* too little"),
        (bins(0.05, *[0.05] * 3, band=0.4), "^UNPROVEN .*: cannot tell, the data are too few or scatter too much .*: 4 of 4 bins"),
        (bins(*[0.05] * 3, band=0.4) + bins(0.05, whole=True), "^GOOD .* in places the data differ from themselves by up to 0.40"),
        (bins(*[0.7] * 3, band=0.4), "^BAD FIT of the pulse response: 0 of 3 bins"),
        (bins(*[0.05] * 9) + bins(0.13, whole=True), "^GOOD .* 0.15 standard deviations of the data, which is too little"),
        (bins(*[0.05] * 9, band=0.2) + bins(0.3, band=0.2, whole=True), "^FAIR FIT of the pulse response: 9 of 10"),
        (bins(0.05, *[0.3] * 4), "FAIR FIT of the pulse response: 1 of 5 bins within the 95 % band of the data against themselves; worst"),
    ],
)  # fmt: skip
def test_the_first_line_says_why_a_fit_is_good(found: tuple[Bin, ...], words: str) -> None:
    assert re.search(words, Proof("pulse", "", found).sentence())


def test_the_first_line_says_what_a_fit_is_fair_for() -> None:
    x = np.arange(10.0)
    narrow = Curve("pulses", "potentiation", x, np.stack([x, x]), np.stack([x + 1, 2 * (x + 1)]), np.full(10, 20), 1.2)
    steps = bins(0.05, 0.05)
    assert (
        Proof("pulse", "", steps, (narrow,))
        .sentence()
        .startswith("FAIR FIT of the pulse response, for its spread over ramps: 2 of 2")
    )
    lag = Lag(1, 4, 1.0, 1.3, 1.1)
    both = Proof("pulse", "", steps, (narrow,), lags=(lag,)).sentence()
    assert both.startswith(
        "FAIR FIT of the pulse response, for its spread over ramps and its scatter over several reads: 2 of 2"
    )
    by_chance = Curve("pulses", "potentiation", x, narrow.mean, narrow.std, narrow.count, 2.5)
    assert Proof("pulse", "", steps, (by_chance,)).sentence().startswith("GOOD FIT of the pulse response: 2 of 2")


def test_bins_of_the_same_devices_go_outside_together() -> None:
    outside = bins(*[0.25] * 9, band=0.2) + bins(0.1, band=0.2, whole=True)
    assert Proof("pulse", "", outside).verdict == "fair"
    assert Proof("pulse", "", outside, together=1.4).verdict == "good"
    assert Proof("pulse", "", outside, together=1.2).verdict == "fair"


def test_a_mean_step_below_the_scatter_is_said() -> None:
    found = [replace(b, mean=(0.01, 0.05)) for b in bins(0.05, 0.05) + bins(0.05, whole=True)]
    line = Proof("pulse", "", tuple(found)).sentence()
    assert "single steps scatter too much to show their mean" in line


def test_devices_of_different_speed_make_the_band_wide() -> None:
    """Two of seven devices held out: single steps drawn from all would make a band that no such pair stays within."""
    rng = np.random.default_rng(2)
    speed = rng.normal(1.0, 0.2, 7)
    steps = [1e-6 * s * (1.0 + 0.1 * rng.normal(size=30)) for s in speed]
    cluster = np.repeat(np.arange(7), 30)
    held, rest = np.concatenate(steps[:2]), np.concatenate(steps[2:])
    kinds = {
        "devices": compare(
            held, rest, rest, label="", measured_cluster=cluster[:60], reference_cluster=cluster[60:], fewest=3, rng=rng
        ),
        "steps": compare(held, rest, rest, label="", rng=rng),
    }  # fmt: skip
    assert kinds["devices"].band > 2.0 * kinds["steps"].band


def test_turning_points() -> None:
    rise, fall = np.linspace(1, 20, 60), np.linspace(20, 2, 60)
    noise = 0.4 * np.random.default_rng(3).normal(size=240)
    assert turning_points(rise)[0].size == 0
    assert turning_points(fall)[1] == -1
    assert turning_points(rise[:30] + noise[:30])[0].size == 0, "noise makes no turn"
    turns, first = turning_points(np.concatenate((rise, fall, rise, fall)) + noise)
    assert first == 1
    np.testing.assert_allclose(turns, [59, 119, 179], atol=8)
    assert turning_points(noise)[0].size == 0


def test_one_column_up_and_down(tmp_path: Path) -> None:
    g = [*range(1, 31), *range(30, 0, -1)]
    measured = read(
        tmp_path / "x.csv", "G (uS)\n" + "\n".join(map(str, g)), kind="pulse_ramps", value="conductance", device="d"
    )
    log = ReadLog()
    traces = traces_of(measured.tables["pulses"], log)
    change, _, direction = traces.changes()
    assert (np.sign(change[change != 0]) == direction[change != 0]).all()
    assert any("1 of them do both, by turns" in note for note in log.notes)


def test_a_column_of_pulse_numbers(tmp_path: Path) -> None:
    text = "Pulse #,Ramp (uS)\n" + "\n".join(f"{k},{2 + k}" for k in range(6))
    settings = {"kind": "pulse_ramps", "value": "conductance", "device": "d", "direction": "up"}
    with pytest.raises(
        MeasurementError, match=r"x\.csv:1: column 'Pulse #': counts 0, 1, 2, .* not a ramp\? set leading: 1"
    ):
        read(tmp_path / "x.csv", text, **settings)
    table = read(tmp_path / "x.csv", text, **settings, leading=1).tables["pulses"]
    np.testing.assert_allclose(table.conductance(), 1e-6 * np.arange(2, 8))
    with pytest.raises(MeasurementError, match="no column after 2 leading"):
        read(tmp_path / "x.csv", text, **settings, leading=2)


def test_a_blank_direction_is_a_read(tmp_path: Path) -> None:
    text = "way,g (uS)\n,1\nSET,2\nRESET,1\n,1\n"
    columns = {"direction": "way", "g": "g"}
    table = read(tmp_path / "x.csv", text, kind="csv", role="pulses", columns=columns).tables["pulses"]
    assert table.op.tolist() == [Op.READ, Op.PULSE_READ, Op.PULSE_READ, Op.READ]


def test_probabilities_in_percent(tmp_path: Path) -> None:
    text = "#\n1e-6 2e-6\n5 50 95\n1e-7 1e-7\n2e-7 2e-7\n3e-7 3e-7\n"
    with pytest.raises(MeasurementError, match=r"x\.txt:3: probabilities must ascend .*percent\? divide by 100"):
        read(tmp_path / "x.txt", text, kind="step_distribution", direction="up")


def test_dense_retention_times_are_many_nominal_times(tmp_path: Path) -> None:
    t = np.logspace(0, 4, 200)
    text = "cell,t (s),g (uS)\n" + "\n".join(f"{c},{x:.5g},{20 * x**-0.04}" for c in range(2) for x in t)
    columns = {"cell": "cell", "t": "t", "g": "g"}
    found = histories_of(
        read(tmp_path / "x.csv", text, kind="retention", columns=columns).tables["retention"], ReadLog()
    )
    assert len(found) == 2
    assert 12 <= len(found.nominal) <= 16, "a factor of two each over four decades"
    assert (found.nominal[1:] / found.nominal[:-1] < 2.5).all()
    assert np.isfinite(found.g).all()


def test_retention_of_one_cell(tmp_path: Path) -> None:
    t = np.logspace(0, 5, 100)
    text = "t (s),g (uS)\n" + "\n".join(f"{x:.5g},{20 * x**-0.04}" for x in t)
    result, _ = fit(tmp_path, text, kind="retention", columns={"t": "t", "g": "g"})
    assert result.sentences[0].startswith("UNPROVEN retention")
    assert result.window.g_max == pytest.approx(20e-6, rel=0.01)


def test_four_short_ramps_hold_one_out() -> None:
    parts = split(saturating(4, 30, noise=0.1))
    assert parts.by == "trace"
    assert parts.held_out is not None
    assert len(parts.held_out) == 1


def programmed(folder: Path, tail: bool) -> FitResult:
    rng = np.random.default_rng(5)
    target = np.repeat([5.0, 10.0, 20.0, 40.0], 500)
    error = rng.normal(0.2, 0.5, 2000)
    if tail:
        error[::5] += 2.5
    text = "Target (uS),Read (uS)\n" + "\n".join(f"{a},{a + e:.5f}" for a, e in zip(target, error, strict=True))
    return fit(folder, text, kind="csv", role="programming", columns={"target": "Target", "g": "Read"})[0]


@pytest.mark.jit
def test_programming_is_proven(tmp_path: Path) -> None:
    good = programmed(tmp_path, False).proofs[0]
    assert good.verdict == "good", good.sentence()
    assert good.sentence().startswith("GOOD FIT of programming")


@pytest.mark.jit
def test_programming_with_a_second_peak_is_not_good(tmp_path: Path) -> None:
    bad = programmed(tmp_path, True).proofs[0]
    assert bad.verdict in ("fair", "bad"), bad.sentence()


def test_few_programmed_cells_are_unproven(tmp_path: Path) -> None:
    text = "Target (uS),Read (uS)\n" + "\n".join(f"{k},{k + 0.1 * (-1) ** k}" for k in range(1, 21))
    result, _ = fit(tmp_path, text, kind="csv", role="programming", columns={"target": "Target", "g": "Read"})
    assert result.sentences == ("UNPROVEN programming: nothing is held out: too few cells, so the fit is not proven",)


def test_a_short_noise_series_is_named(tmp_path: Path) -> None:
    text = "# reads\ncell (uS)\n" + "5\n6\n" * 50
    with pytest.raises(
        MeasurementError, match=r"lab\.csv:\d+: no noise series is long enough .* needs 256 reads \(longest: 100\)"
    ):
        fit(tmp_path, text.split("\n", 1)[1], kind="noise_series", series_are="columns", sample_rate="10 Hz")


def test_reads_without_noise_make_a_page_without_a_spectrum(tmp_path: Path) -> None:
    text = "cell (uS)\n" + "5\n" * 300
    more = {"window": {"g_min": "1 uS", "g_max": "10 uS"}}
    result, run = fit(tmp_path, text, more, kind="noise_series", series_are="columns", sample_rate="10 Hz")
    page = write_fit_report(run, result).read_text(encoding="utf-8")
    assert "1 series hold the same value in every read" in page
