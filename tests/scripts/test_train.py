"""The command lines of training and of the search: what they print, refuse and leave behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from analog_sim.config import UserError
from learning.experiments.commands.runs import about
from learning.experiments.runs.run_folder import RunDirectory

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CONFIG = """
schema: train/1
name: tiny
dataset: {name: digits, train_limit: 80, test_limit: 40}
network: {layers: [flatten, {kind: linear, units: 10}]}
rule: backprop
learning_rate: 0.1
batch: 8
parallel: {jobs: 1}
arms:
  - {name: slow, set: {learning_rate: 0.01}}
  - {name: fast}
"""


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path


def test_train_prints_a_table_and_leaves_a_run(config: Path, tmp_path: Path) -> None:
    done = run("train.py", config, "--out", tmp_path / "run", "--seed", 3)
    assert done.returncode == 0, done.stderr
    assert "fast, seed 3: 80 samples: loss" in done.stdout
    assert "ideal twin" in done.stdout
    assert "report: " in done.stdout
    for name in ("config.yaml", "environment.json", "metrics.csv", "layers.csv", "comparison.csv", "report.html"):
        assert (tmp_path / "run" / name).stat().st_size > 0, name
    again = run("train.py", config, "--out", tmp_path / "run", "--seed", 3)
    assert again.returncode == 2
    assert "--resume" in again.stderr


def test_a_dry_run_checks_and_stops(config: Path, tmp_path: Path) -> None:
    done = run("train.py", config, "--out", tmp_path / "run", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "slow: backprop, digital, learning rate 0.01, 10 batches of 8" in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "rule=backprob"], "rule"),
        (["--set", "learning_rate=-1"], "learning_rate"),
        (["--set", "device=pmc"], "device"),
        (["--chip", "no_such_kind"], "chip.kind"),
        (
            ["--chip", "no_such:chip", "--set", "device=ecram", "--set", "tile.writing=write_verify"],
            "chip.factory: 'no_such' cannot be imported",
        ),
    ],
)
def test_mistakes_end_with_one_line(config: Path, arguments: list[str], message: str) -> None:
    done = run("train.py", config, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_search_finds_the_best_rate(config: Path, tmp_path: Path) -> None:
    done = run("search.py", config, "--try", "learning_rate=1e-6,0.1", "--hold-out", 20, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    best = (tmp_path / "run" / "best.yaml").read_text()
    assert best.startswith("# analog-hil search ")
    assert best.count("learning_rate: 0.1") == 2
    kind, found = about(RunDirectory(tmp_path / "run"))  # what `analog-hil runs` says of it
    assert kind == "search"
    assert found.startswith("best of slow: learning_rate=0.1 (accuracy ")
    (tmp_path / "run" / "candidates.csv").write_bytes(b"arm\n\xff\n")
    with pytest.raises(UserError, match=r"candidates\.csv: not a table of candidates"):
        about(RunDirectory(tmp_path / "run"))
    wrong = run("search.py", config, "--try", "learning_rate")
    assert wrong.returncode == 2
    assert "--try learning_rate: must be PATH=V1,V2" in wrong.stderr
    twice = run("search.py", config, "--try", "learning_rate=1", "--try", "learning_rate=2")
    assert "--try learning_rate: is given twice" in twice.stderr
