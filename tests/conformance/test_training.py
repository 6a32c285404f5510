"""A chip in one file of a user's: it runs a forward-only rule, and a rule that needs transposed reads is refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from catalogue import CHIPS

ROOT = Path(__file__).resolve().parents[2]
FILE = f"""
schema: train/1
dataset: {{name: digits, flatten: true, train_limit: 320, test_limit: 100}}
network: {{layers: [{{kind: linear, units: 16}}, relu, {{kind: linear, units: 10}}]}}
rule: activity_node_perturbation
device: ecram
chip: {{kind: factory, factory: "{CHIPS["factory"][0]["factory"]}"}}
tile: {{writing: stochastic_pulse, compensation: none}}
learning_rate: 0.1
batch: 16
twin: null
"""


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "resistors.yaml").write_text(FILE, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "resistors.yaml", "--out", "run", *more]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ))


@pytest.mark.jit
def test_a_forward_only_rule_trains_on_it(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()


def test_a_rule_that_needs_transposed_reads_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "--set", "rule=backprop")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "needs transposed reads" in done.stderr.strip().splitlines()[-1]


def test_the_example_is_short() -> None:
    assert len((ROOT / "tests" / "conformance" / "resistors.py").read_text(encoding="utf-8").splitlines()) <= 150
