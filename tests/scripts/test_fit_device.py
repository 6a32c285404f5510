"""The script end to end on a small lab file: card, report, exit status, and one line for a bad file."""

import subprocess
import sys
from pathlib import Path

import pytest
from trace_writers import measure, write_csv

from devices.card import DeviceCard, load_card

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
    assert done.stdout.split(" ", 1)[0] in ("GOOD", "FAIR", "BAD"), "the verdict is the first word"
    card = load_card(folder / "fit" / "mine.yaml")
    assert card.pulse is not None
    assert card.pulse.kind == "measured"
    page = (folder / "fit" / "report.html").read_text(encoding="utf-8")
    for text in ("Verdict", "Pulse laws", "8 devices", "lab.csv", "mine.yaml"):
        assert text in page, text
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
    assert "up, 1.5 V, 1e-07 s: 200 pulses" in done.stdout
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
