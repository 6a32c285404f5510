"""A known card, measured by a lab that writes each format, read and fitted: the card comes back within the stated uncertainty."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from trace_writers import (
    PULSE_FORMATS,
    measure,
    write_distribution,
    write_noise_lines,
    write_retention_long,
)

from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.config import validate
from analog_sim.random.streams import Streams
from devices.card import DeviceCard, load_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.comparison import compare_card
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.measurements.pipeline.write_by_pulses import write_by_pulses
from devices.measurements.text.problems import MeasurementError

pytestmark = pytest.mark.jit

TRUE: dict[str, Any] = {
    "name": "true",
    "g_min": 2.0,
    "g_max": 40.0,
    "pulse": {"kind": "soft_bounds", "states": 60, "asymmetry": 0.1, "noise": 0.3, "noise_additive": 0.2},
    "read_noise": {"kind": "constant", "std": "0.2 uS"},
}
TRUTH = {"s_up": 1.1 * 38e-6 / 60, "s_down": 0.9 * 38e-6 / 60, "noise": 0.3, "noise_additive": 0.2, "read_std": 0.2e-6}


def true_card(**fields: Any) -> DeviceCard:
    return validate({**TRUE, **fields}, DeviceCard)


def fit(readers: list[dict[str, Any]], out: Path, **fields: Any) -> FitResult:
    config = validate(
        {"schema": "measurements/1", "name": "again", "measurements": readers, **fields}, MeasurementConfig
    )
    return fit_measurements(config, out)


@pytest.mark.parametrize("kind", PULSE_FORMATS)
def test_every_pulse_format(kind: str, tmp_path: Path) -> None:
    lab = measure(true_card().compile(), cells=12, up=90, down=90, start=0.05, seed=21)
    write, suffix = PULSE_FORMATS[kind]
    window = {"g_min": "2 uS", "g_max": "40 uS"}
    settings = {"laws": ["soft_bounds"], "use": "soft_bounds", "tables": "one"}
    # All reads are fitted and nothing is held out, so that the intervals are those of the whole data.
    result = fit(
        [write(tmp_path / f"lab{suffix}", lab)],
        tmp_path / "out",
        window=window,
        pulse=settings,
        held_out={"by": "none"},
    )
    assert result.pulse is not None
    law = result.pulse.fit.laws[0]
    width = stats.norm.isf(0.5e-5) / 1.96  # budget of the intervals: 1e-5 each instead of 5 %
    for estimate in law.estimates:
        middle, half = 0.5 * (estimate.low + estimate.high), 0.5 * (estimate.high - estimate.low)
        assert abs(TRUTH[estimate.name] - middle) <= width * half, estimate
    card = load_card(result.card)
    assert card.pulse is not None
    assert card.pulse.kind == "soft_bounds"
    u = np.array([0.2, 0.5, 0.8])
    for up in (True, False):
        np.testing.assert_allclose(card.step_mean(u, up), true_card().step_mean(u, up), rtol=0.1)
    assert float(card.read_std(20e-6, 0.0)) == pytest.approx(0.2e-6, rel=0.15)
    assert "UNPROVEN" in result.sentences[0]
    flagged = sum(line.count("in current compliance") for line in result.counted)
    assert flagged == (1 if kind == "keithley" else 0)


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    """Twenty cells of one card, six held out."""
    folder = tmp_path_factory.mktemp("proven")
    # As many pulses as it takes to show their scatter beneath the noise of the reads.
    lab = measure(true_card().compile(), cells=20, up=120, down=120, start=0.1, seed=22)
    reader = PULSE_FORMATS["csv"][0](folder / "lab.csv", lab)
    return fit([reader], folder / "out", pulse={"laws": ["soft_bounds", "linear_step"], "tables": "one"})


def test_a_card_of_tables_passes_its_proof(proven: FitResult) -> None:
    (proof,) = proven.proofs
    assert proof.verdict == "good", proof.sentence()
    assert proven.sentences[0].startswith("GOOD FIT of the pulse response")
    assert "20 devices in 3 folds" in proof.how
    for name, (measured, emulated, unit) in proof.facts.items():
        if unit == "S" and "mean" in name:
            assert emulated == pytest.approx(measured, rel=0.08), name


def test_the_card_of_tables_is_a_card_of_the_project(proven: FitResult) -> None:
    card = load_card(proven.card)
    assert card.pulse is not None
    assert card.pulse.kind == "measured"
    truth = true_card()
    u = np.array([0.3, 0.5, 0.7])
    for up in (True, False):
        g = truth.window.conductance(u)
        np.testing.assert_allclose(card.step_mean(card.window.state(g), up), truth.step_mean(u, up), atol=0.09e-6)
        np.testing.assert_allclose(card.step_std(card.window.state(g), up), truth.step_std(u, up), rtol=0.25)
    assert proven.files.law_card is not None
    other = load_card(proven.files.law_card)
    assert other.pulse is not None
    assert other.pulse.kind in ("soft_bounds", "linear_step")


def test_a_wrong_law_does_not_pass(tmp_path: Path) -> None:
    """Steps that grow with the state, and a card that holds soft bounds."""
    pulse = {
        "kind": "exp_step",
        "states": 150,
        "A_up": -0.8,
        "A_down": -0.8,
        "gamma_up": 1.0,
        "gamma_down": 1.0,
        "noise": 0.2,
    }
    lab = measure(true_card(pulse=pulse).compile(), cells=16, up=60, down=60, start=0.02, seed=23)
    reader = PULSE_FORMATS["csv"][0](tmp_path / "lab.csv", lab)
    settings = {"laws": ["soft_bounds"], "use": "soft_bounds", "tables": "one"}
    result = fit([reader], tmp_path / "out", pulse=settings, window={"g_min": "2 uS", "g_max": "40 uS"})
    (proof,) = result.proofs
    assert proof.verdict == "bad", proof.sentence()
    assert result.sentences[0].startswith("BAD FIT of the pulse response")
    assert "worst region" in result.sentences[0]
    assert any("no pulse law fits" in note for note in result.notes)


def test_spread_and_stuck_cells_come_back(tmp_path: Path) -> None:
    true = true_card(variation={"step": 0.2, "step_up": 0.1, "step_down": 0.1}, faults={"stuck_random": 0.06})
    lab = measure(true.compile(), cells=80, up=30, down=30, start=0.1, seed=25)
    stuck = int((np.ptp(lab.g, axis=1) < 1.6e-6).sum())
    assert stuck > 0
    window = {"g_min": "2 uS", "g_max": "40 uS"}
    result = fit(
        [PULSE_FORMATS["pymeasure"][0](tmp_path / "lab.csv", lab)],
        tmp_path / "out",
        window=window,
        pulse={"laws": ["soft_bounds"], "use": "soft_bounds"},
        held_out={"by": "none"},
    )
    assert result.pulse is not None
    assert result.pulse.fit.stuck is not None
    assert len(result.pulse.fit.stuck.cells) == stuck
    gains = result.pulse.fit.gains
    assert gains is not None
    assert gains.common.low <= 0.2 <= gains.common.high
    for own in (gains.up, gains.down):
        assert own.low <= 0.1 <= own.high
    card = load_card(result.card)
    faults = card.faults
    assert faults.stuck_low + faults.stuck_high + faults.stuck_random == pytest.approx(stuck / 80)
    assert card.variation.step == pytest.approx(gains.common.value, rel=1e-3)


def test_step_distribution_comes_back(tmp_path: Path) -> None:
    truth = true_card()
    p = np.linspace(0.0005, 0.9995, 200)
    u = np.linspace(0, 1, 11)
    for up, name in ((True, "up"), (False, "down")):
        dg = truth.step_mean(u, up)[None, :] + truth.step_std(u, up)[None, :] * stats.norm.ppf(p)[:, None]
        write_distribution(tmp_path / f"{name}.txt", truth.window.conductance(u), p, dg)
    readers = [
        {"kind": "step_distribution", "path": str(tmp_path / f"{name}.txt"), "direction": name, "device": "one"}
        for name in ("up", "down")
    ]
    result = fit(readers, tmp_path / "out")
    card = load_card(result.card)
    for up in (True, False):
        np.testing.assert_allclose(card.step_mean(u, up), truth.step_mean(u, up), atol=2e-9)
        np.testing.assert_allclose(card.step_std(u, up), truth.step_std(u, up), rtol=0.01, atol=1e-9)
    assert result.proofs[0].verdict == "good"


RETENTION: dict[str, Any] = {
    "programming": {"kind": "gaussian", "std": "0.4 uS"},
    "read_noise": {"kind": "none"},
}
RELAXATION: dict[str, Any] = {
    "kind": "relaxation",
    "mean": ["-0.2 uS"],
    "std": ["0.5 uS"],
    "reference_g_max": "40 uS",
    "t_0": "1 s",
}


def retention_of(true: DeviceCard, tmp_path: Path, level: np.ndarray) -> FitResult:
    """Program cells to the levels, read them for a day, write the file that a lab would, and fit it."""
    crossbar = EmulatedCrossbar(true.compile(), 1, len(level), pair=False, streams=Streams(26))
    crossbar.program(1e-6 * (0.5 + level)[None, None, :].astype(np.float32))
    written = crossbar.time
    times = np.array([0.0, 1.0, 10.0, 1e3, 1e5])
    reads = [crossbar.conductance_now()[0, 0].astype(np.float64)]
    for t in times[1:]:
        crossbar.wait(t - (crossbar.time - written))
        reads.append(crossbar.conductance_now()[0, 0].astype(np.float64))
    reader = write_retention_long(tmp_path / "r.tsv.gz", times, np.array(reads).T, level)
    return fit([reader], tmp_path / "out", window={"g_min": "2 uS", "g_max": "40 uS"})


def test_retention_and_programming_come_back(tmp_path: Path) -> None:
    true = true_card(**RETENTION, drift=RELAXATION)
    result = retention_of(true, tmp_path, np.random.default_rng(27).integers(10, 36, 3000))
    assert result.ageing.laws[0].kind == "relaxation"
    card = load_card(result.card)
    for t in (10.0, 1e3, 1e5):
        for u in (0.4, 0.6, 0.8):
            assert float(card.aged_mean(u, t)) == pytest.approx(float(true.aged_mean(u, t)), abs=0.12e-6)
            assert float(card.aged_std(u, t)) == pytest.approx(float(true.aged_std(u, t)), rel=0.12)
    np.testing.assert_allclose(card.program_std(1e-6 * np.array([15.0, 25.0, 33.0])), 0.4e-6, rtol=0.12)
    assert sorted(proof.key for proof in result.proofs) == ["ageing", "programming"]
    assert all(proof.verdict == "good" for proof in result.proofs), result.sentences


def test_a_heavy_tailed_retention_comes_back(tmp_path: Path) -> None:
    """Tail and skew of the emulated card within the stated errors, and a proof that a normal path would fail."""
    tail, skew = 5.0, -0.4
    true = true_card(**RETENTION, drift={**RELAXATION, "tail": [tail], "skew": [skew]})
    result = retention_of(true, tmp_path, np.repeat([12, 24, 34], 1000))
    best = result.ageing.laws[0]
    assert best.kind == "burst_relaxation"
    stretch = np.log10(1 + 1e5 / best.time) / np.log10(1 + 1e5)  # a tail is in decades of the fitted t_0
    width = stats.norm.isf(0.5e-5)  # budget: 1e-5 for each of the six
    assert (np.abs(best.values["tail"] - tail * stretch) < width * best.errors["tail"]).all()
    assert (np.abs(best.values["skew"] - skew) < width * best.errors["skew"]).all()
    assert (best.errors["tail"] < 0.3 * tail).all(), "not within its error by being vague"
    assert (best.errors["skew"] < 0.1).all()
    card = load_card(result.card)
    for t in (10.0, 1e3, 1e5):
        for u in (0.4, 0.6, 0.8):
            assert float(card.aged_mean(u, t)) == pytest.approx(float(true.aged_mean(u, t)), abs=0.15e-6)
            assert float(card.aged_std(u, t)) == pytest.approx(float(true.aged_std(u, t)), rel=0.15)
    proof = next(proof for proof in result.proofs if proof.key == "ageing")
    assert proof.verdict == "good", proof.sentence()


def test_read_noise_comes_back(tmp_path: Path) -> None:
    """The emulator draws reads independently: white noise of the right size is found."""
    true = true_card(read_noise={"kind": "proportional", "relative": 0.02})
    crossbar = EmulatedCrossbar(true.compile(), 1, 3, pair=False, streams=Streams(28))
    crossbar.add_ideal(1e-6 * np.array([[8.0, 18.0, 33.0]], np.float32))
    reads = np.array([crossbar.read_conductance()[0, 0] for _ in range(3000)]).T.astype(np.float64)
    reader = write_noise_lines(tmp_path / "n.tsv", reads, 100.0)
    result = fit([reader], tmp_path / "out", window={"g_min": "2 uS", "g_max": "40 uS"})
    card = load_card(result.card)
    g = 1e-6 * np.array([10.0, 20.0, 35.0])
    np.testing.assert_allclose(card.read_std(g, 1.0), 0.02 * g, rtol=0.1)
    assert result.proofs[0].verdict == "good", result.proofs[0].sentence()


def test_a_gzip_of_the_same_file_gives_the_same_card(tmp_path: Path) -> None:
    lab = measure(true_card().compile(), cells=6, up=30, down=30, start=0.1, seed=29)
    reader = PULSE_FORMATS["csv"][0](tmp_path / "lab.csv", lab)
    with (tmp_path / "lab.csv").open("rb") as source, gzip.open(tmp_path / "lab.csv.gz", "wb") as packed:
        shutil.copyfileobj(source, packed)
    results = [
        fit([{**reader, "path": str(path)}], tmp_path / path.suffix[1:], pulse={"laws": ["soft_bounds"]})
        for path in (tmp_path / "lab.csv", tmp_path / "lab.csv.gz")
    ]
    cards = [load_card(result.card).compile() for result in results]
    assert cards[0].pulse is not None
    assert cards[1].pulse is not None
    np.testing.assert_array_equal(cards[0].pulse.up_quantiles, cards[1].pulse.up_quantiles)


@pytest.mark.parametrize("reads", [3, 12])
def test_a_single_device_with_hardly_any_reads(reads: int, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("g (uS)\n" + "".join(f"{1 + 0.1 * k}\n" for k in range(reads)), encoding="utf-8")
    reader = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"g": "g"}, "direction": "up"}
    result = fit([reader], tmp_path / "out")
    assert result.sentences[0].startswith("UNPROVEN the pulse response: nothing is held out")
    assert any("fewer than 200 steps" in note for note in result.notes)
    card = load_card(result.card)
    assert float(card.step_mean(0.5, True)) == pytest.approx(0.1e-6, rel=0.05)


def test_two_reads_make_one_step(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("g (uS)\n1\n1.1\n", encoding="utf-8")
    reader = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"g": "g"}, "direction": "up"}
    result = fit([reader], tmp_path / "out")
    card = load_card(result.card)
    assert float(card.step_mean(0.0, True)) == pytest.approx(0.1e-6, rel=0.05)


def test_several_amplitudes_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "amplitudes.csv"
    rows = ["v (V),g (uS)"]
    g = 5.0
    for v, step, count in ((1.0, 0.1, 60), (1.5, 0.4, 20), (-1.2, -0.1, 60)):
        for k in range(count):
            g += step * (1 + 0.1 * (-1) ** k)
            rows.append(f"{v},{g}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    reader = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"v": "v", "g": "g"}}
    result = fit([reader], tmp_path / "most", pulse={"laws": ["linear_step"]})
    assert float(load_card(result.card).step_mean(0.5, True)) == pytest.approx(0.1e-6, rel=0.1)
    assert {(row.direction, row.condition.amplitude): row.fitted for row in result.pulse.kinds} == {
        (1, 1.0): True,
        (1, 1.5): False,
        (-1, 1.2): True,
    }
    assert any("3 kinds of pulses" in line for line in result.counted)
    chosen = fit([reader], tmp_path / "chosen", pulse={"laws": ["linear_step"], "up": {"amplitude": "1.5 V"}})
    assert float(load_card(chosen.card).step_mean(0.5, True)) == pytest.approx(0.4e-6, rel=0.1)


def test_further_keys_of_the_card(tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("g (uS)\n" + "".join(f"{1 + 0.1 * k}\n" for k in range(30)), encoding="utf-8")
    reader = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"g": "g"}, "direction": "up"}
    extra = {"cost": {"t_pulse": "50 ns"}, "read_noise": {"kind": "proportional", "relative": 0.01}, "endurance": 1e6}
    card = load_card(fit([reader], tmp_path / "out", card=extra, pulse={"laws": ["linear_step"]}).card)
    assert card.cost.t_pulse == pytest.approx(50e-9)
    assert card.read_noise.kind == "proportional"
    assert card.endurance == 1e6


def test_a_card_against_a_measurement(tmp_path: Path) -> None:
    """The true card passes on its own measurement, a card of other steps does not; neither was fitted to it."""
    true = true_card()
    lab = measure(true.compile(), cells=12, up=60, down=60, start=0.1, seed=32)
    readers = [PULSE_FORMATS["arc_one"][0](tmp_path / "lab.csv", lab)]
    config = validate({"schema": "measurements/1", "name": "m", "measurements": readers}, MeasurementConfig)
    (same,) = compare_card(true, config).proofs
    assert same.verdict == "good", same.sentence()
    other = true_card(pulse={"kind": "soft_bounds", "states": 25})
    (different,) = compare_card(other, config).proofs
    assert different.verdict == "bad", different.sentence()
    with pytest.raises(MeasurementError, match="no pulse law, and the measurement is of pulses"):
        compare_card(true_card(pulse=None), config)


def test_programming_error_of_pulses(tmp_path: Path) -> None:
    """Steps of 1 uS without noise: write-verify to half a step leaves a uniform error of at most half a step."""
    exact = validate(
        {"name": "x", "g_min": 2.0, "g_max": 40.0, "pulse": {"kind": "linear_step", "step": "1 uS"}}, DeviceCard
    )
    found = write_by_pulses(exact.compile(), max_pulses=None)
    assert found.tolerance == pytest.approx(0.5e-6)
    assert found.reached.min() == 1.0
    np.testing.assert_allclose(found.std[1:-1], 1e-6 / np.sqrt(12), rtol=0.1)
    hurried = write_by_pulses(exact.compile(), max_pulses=3)
    assert hurried.reached.max() < 0.5
    with pytest.raises(ValueError, match="no pulse response"):
        write_by_pulses(exact.model_copy(update={"pulse": None}).compile())
    lab = measure(true_card().compile(), cells=6, up=40, down=40, start=0.1, seed=33)
    reader = PULSE_FORMATS["csv"][0](tmp_path / "lab.csv", lab)
    with_error = fit([reader], tmp_path / "a", pulse={"laws": ["soft_bounds"]})
    assert any("programming was not measured" in note for note in with_error.notes)
    assert load_card(with_error.card).programming.kind == "measured"
    without = fit([reader], tmp_path / "b", pulse={"laws": ["soft_bounds"]}, write_by_pulses={"enabled": False})
    assert load_card(without.card).programming.kind == "none"
