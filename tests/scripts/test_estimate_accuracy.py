"""The script: its help is quick, a run ends with a table and a report, and mistakes end with one line each and status 2."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import analog_sim

ROOT = Path(analog_sim.__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "estimate_accuracy.py"
CONFIG = ROOT / "configs" / "digits_pcm.yaml"
SMALL = [
    "--set", "dataset.train_limit=200", "--set", "dataset.test_limit=40", "--set", "training.epochs=2",
    "--set", "network.hidden=[8]", "--set", "chips=2", "--set", "times=[1 s]", "--set", "sensitivity=null",
]  # fmt: skip


@pytest.fixture
def script(tmp_path: Path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
        environment.pop("ANALOG_SIM_DATA", None)
        # Compiled kernels are shared with this process: importing analog_sim has named their folder.
        command = [sys.executable, str(SCRIPT), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )

    return run


def test_help_is_quick_and_has_an_example(script) -> None:
    start = time.monotonic()
    done = script("--help")
    assert done.returncode == 0
    assert "example:" in done.stdout
    assert "--checkpoint" in done.stdout
    assert time.monotonic() - start < 5.0  # 0.05 s when the machine is idle; importing torch alone would take 2 s


def test_a_run_prints_the_table_and_the_path_of_the_report(script, tmp_path: Path) -> None:
    done = script(str(CONFIG), *SMALL, "--out", "run", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "digital twin" in done.stdout
    assert done.stdout.splitlines()[-1] == "report: run/report.html"
    for name in ("report.html", "metrics.csv", "config.yaml", "environment.json", "summary.json"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    again = script(str(CONFIG), *SMALL, "--out", "run", "--jobs", "1")
    assert (again.returncode, again.stdout) == (2, "")
    assert "holds a run already; give --resume" in again.stderr
    assert script(str(CONFIG), *SMALL, "--out", "run", "--jobs", "1", "--resume").returncode == 0


def test_a_dry_run_makes_nothing(script, tmp_path: Path) -> None:
    done = script(str(CONFIG), *SMALL, "--dry-run", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "fc1: linear, 1 x 8 x 64 weights" in done.stdout
    assert done.stderr == ""
    assert not (tmp_path / "run").exists()
    done = script(str(CONFIG), *SMALL, "--dry-run", "--set", "sweep.seed=[1, 2]")
    assert (done.returncode, done.stderr) == (0, "note: the file's `sweep` is left out; analog-hil sweep runs it\n")


def test_a_users_model_and_checkpoint(script, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    torch.save({"1.weight": torch.zeros(10, 64), "1.bias": torch.eye(10)[3]}, tmp_path / "w.pt")
    small = [option for option in SMALL if option != "network.hidden=[8]"]
    small.pop(small.index("--set", small.index("training.epochs=2")))
    done = script(
        str(CONFIG),
        *small,
        "--model",
        "net.py:build",
        "--checkpoint",
        "w.pt",
        "--only-chip",
        "1",
        "--out",
        "r",
        "--seed",
        "3",
    )
    assert done.returncode == 0, done.stderr
    assert "10.00" in done.stdout  # always the class 3: 4 of 40
    assert "seed: 3" in (tmp_path / "r" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yaml"], "missing.yaml"),
        ([str(CONFIG), "--set", "chips=0"], "chips: must be >= 1"),
        ([str(CONFIG), "--set", "chpis=1"], "did you mean 'chips'"),
        ([str(CONFIG), "--set", "device.read_noise.coefficient=-1"], "device.read_noise.coefficient: must be >= 0"),
        ([str(CONFIG), "--set", "tile.adc.bits=0"], "tile.adc.bits: must be >= 2"),
        ([str(CONFIG), "--set", "device.g_min=30 uS"], "device.g_min: must be < g_max"),
        ([str(CONFIG), "--set", "device.g_max=30 V"], "device.g_max"),
        ([str(CONFIG), "--model", "net.py"], "--model: must be FILE.py:NAME"),
        ([str(CONFIG), "--model", "net.py:build"], "model.file: no such file"),
        ([str(CONFIG), "--checkpoint", "w.pt"], "--checkpoint: holds the weights of your own network"),
        ([str(CONFIG), "--chip", "no_such_kind"], "chip.kind"),
        ([str(CONFIG), "--chip", "3"], "--only-chip 3"),
        ([str(CONFIG), "--only-chip", "-1"], "--only-chip: chips are counted from 0"),
        ([str(CONFIG), "--resume"], "--resume: needs the folder"),
    ],
)
def test_mistakes_end_with_status_2_and_no_traceback(
    script, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = script(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
