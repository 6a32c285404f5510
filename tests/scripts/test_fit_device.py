"""The script end to end on a small lab file: card, report, exit status, and one line for a bad file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trace_writers import measure, write_csv, write_noise_lines, write_retention_long

import analog_hil as ah
from devices.card import DeviceCard, load_card
from learning.experiments.commands.runs import about
from learning.experiments.report.measurement.results import FitSummary
from learning.experiments.runs.run_folder import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
schema: measurements/1
name: mine
reference: a test
measurements:
  - kind: csv
    path: lab.csv
    role: pulses
    columns: {cell: cell, v: V pulse, width: width, i: I read}
    v_read: 0.2 V
pulse: {laws: [linear_step]}
"""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "fit_device.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def find_verdict(folder: Path) -> str:
    """The verdict that `analog-hil runs` and `ah.load_run` tell of a fit."""
    found = FitSummary.load(RunDirectory.open(folder))
    assert found is not None
    assert about(RunDirectory.open(folder)) == ("fit", f"pulse response is {found.verdicts['pulse response']}")
    assert ah.load_run(folder).verdicts == tuple(found.sentences) != ()  # type: ignore[attr-defined]
    return found.verdicts["pulse response"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    card = DeviceCard.model_validate(
        {
            "name": "true",
            "g_min": 2.0,
            "g_max": 40.0,
            "pulse": {"kind": "linear_step", "states": 40, "noise_additive": 0.3},
        }
    )
    write_csv(tmp_path / "lab.csv", measure(card.compile(), cells=8, up=25, down=25, start=0.1, seed=31))
    (tmp_path / "mine.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.mark.jit
def test_card_and_report(folder: Path) -> None:
    done = run("mine.yaml", "--out", "fit", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" ", 1)[0] in ("GOOD", "FAIR", "BAD", "UNPROVEN"), "the verdict is the first word"
    card = load_card(folder / "fit" / "mine.yaml")
    assert card.pulse is not None
    assert card.pulse.kind == "measured"
    page = (folder / "fit" / "report.html").read_text(encoding="utf-8")
    for text in ("Verdict", "Pulse laws", "8 devices", "lab.csv", "mine.yaml"):
        assert text in page, text
    assert find_verdict(folder / "fit") in done.stdout.split(":")[0].lower()
    assert "http://" not in page.replace("http://www.w3.org", "")
    for name in ("steps", "ramps", "distances_0", "distributions"):
        assert (folder / "fit" / "figures" / f"{name}.png").stat().st_size > 5000


@pytest.mark.jit
def test_a_key_can_be_changed_and_a_run_is_not_overwritten(folder: Path) -> None:
    assert run("mine.yaml", "--out", "fit", "--set", "pulse.use=linear_step", cwd=folder).returncode == 0
    card = load_card(folder / "fit" / "mine.yaml")
    assert card.pulse is not None
    assert card.pulse.kind == "linear_step"
    again = run("mine.yaml", "--out", "fit", cwd=folder)
    assert again.returncode == 2
    assert "holds a run already" in again.stderr


def test_dry_run_says_what_the_files_hold(folder: Path) -> None:
    done = run("mine.yaml", "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "pulses: 408 rows of 8 cell(s) in 8 sequence(s)" in done.stdout
    assert "up, 1.5 V, 100 ns: 200 pulses" in done.stdout
    assert not (folder / "runs").exists()


def test_a_bad_file_is_one_line_and_status_2(folder: Path) -> None:
    text = (folder / "lab.csv").read_text(encoding="utf-8").splitlines()
    text[7] = text[7].rsplit(",", 1)[0] + ",broken"
    (folder / "lab.csv").write_text("\n".join(text), encoding="utf-8")
    done = run("mine.yaml", "--out", "fit", cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    line = done.stderr.strip().splitlines()[-1]
    assert line == "lab.csv:8: column 'I read (uA)': must be a number (got 'broken')"
    assert not (folder / "fit").exists(), "nothing half-made is left, and the same command may be given again"
    (folder / "fit").mkdir()
    (folder / "fit" / "notes.txt").write_text("mine")
    assert run("mine.yaml", "--out", "fit", cwd=folder).returncode == 2
    assert [path.name for path in (folder / "fit").iterdir()] == ["notes.txt"], "what was there stays"


@pytest.mark.jit
def test_ageing_programming_noise_and_devices_in_one_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(32)
    level = rng.integers(5, 36, 400)
    written = 1e-6 * (0.5 + level + 0.3 * rng.normal(size=400))
    times = np.array([0.0, 1.0, 100.0, 1e4])
    path = np.cumsum(1e-6 * np.sqrt(np.diff(np.log10(1 + times))) * rng.normal(size=(400, 3)), axis=1)
    write_retention_long(tmp_path / "r.tsv.gz", times, written[:, None] + np.pad(path, ((0, 0), (1, 0))), level)
    write_noise_lines(tmp_path / "n.tsv", 2e-5 + 1e-7 * rng.normal(size=(2, 2000)), 100.0)
    card = DeviceCard.model_validate(
        {
            "name": "true",
            "g_min": 2.0,
            "g_max": 40.0,
            "pulse": {"kind": "linear_step", "states": 40, "noise_additive": 0.2},
            "variation": {"step": 0.2},
        }
    )
    write_csv(tmp_path / "lab.csv", measure(card.compile(), cells=40, up=25, down=25, start=0.1, seed=33))
    more = """\
  - {kind: retention, path: r.tsv.gz, header_row: false, columns: {cell: 0, t: {name: 1, unit: s}, g: {name: 2, unit: S}},
     levels: {column: 3, step: 1 uS, first: 0.5 uS}}
  - {kind: noise_series, path: n.tsv, sample_rate: 100 Hz, leading: 2}
pulse: {laws: [linear_step], tables: one}
window: {g_min: 2 uS, g_max: 40 uS}
"""
    (tmp_path / "all.yaml").write_text(CONFIG.replace("pulse: {laws: [linear_step]}\n", more), encoding="utf-8")
    done = run("all.yaml", "--out", "fit", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for what in ("the pulse response", "retention", "read noise"):
        assert f" {what}:" in done.stdout
    page = (tmp_path / "fit" / "report.html").read_text(encoding="utf-8")
    for title in ("Retention", "Programming error", "Read noise", "Device to device", "Stuck cells", "Files"):
        assert title in page, title
    for name in ("ageing", "ageing_state", "programming", "spectra", "gains"):
        assert (tmp_path / "fit" / "figures" / f"{name}.png").stat().st_size > 4000
    made = load_card(tmp_path / "fit" / "mine.yaml")
    kinds = (made.pulse.kind if made.pulse else "", made.programming.kind, made.read_noise.kind, made.drift.kind)
    assert kinds == ("measured", "measured", "measured", "measured")
    compared = subprocess.run(
        [
            sys.executable,
            str(ROOT / "scripts" / "characterise.py"),
            "fit/mine.yaml",
            "--against",
            "all.yaml",
            "--out",
            "cmp",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert compared.returncode == 0, compared.stderr
    assert compared.stdout.count(" FIT of ") == 3
    assert "against a measurement" in (tmp_path / "cmp" / "report.html").read_text(encoding="utf-8")
