"""The command `analog-hil`: its help, examples by name, the small commands, and a wheel in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from report_helpers import estimate, new_run, training
from wheel_helpers import in_empty_folder, installed_wheel

from analog_sim.config import validate
from learning.experiments.commands import dispatch
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment
from learning.experiments.runs.examples import config_file, example_names, examples

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "analog_hil", *map(str, arguments)]
    env = {key: value for key, value in os.environ.items() if key != "COLUMNS"} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)


def test_help_names_every_command_and_every_module_is_one() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in dispatch.COMMANDS)
    folder = Path(dispatch.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} - {"dispatch"}
    assert modules == set(dispatch.COMMANDS)
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("command", sorted(dispatch.COMMANDS))
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys; from learning.experiments.commands import dispatch\n"
        f"try: dispatch.dispatch([{command!r}, '--help'])\n"
        "except SystemExit: pass\n"
        "print('heavy:', [name for name in ('numpy', 'numba', 'torch', 'pydantic', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"usage: analog-hil {command} " in done.stdout
    assert "example" in done.stdout
    assert done.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize("command", sorted(dispatch.COMMANDS))
def test_help_fits_80_columns_and_its_examples_are_commands(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        dispatch.dispatch([command, "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80, max(text.splitlines(), key=len)
    examples = [line for line in text.replace("\\\n", "").splitlines() if re.match(r" +analog-hil ", line)]
    assert examples
    assert all(line.split()[1] in dispatch.COMMANDS for line in examples)


def test_a_command_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch.dispatch(["estimat"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("analog-hil: no command 'estimat'; did you mean 'estimate'?")
    assert error.count("\n") == 1


def test_examples_are_found_by_name_and_a_users_file_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "paper/mnist_np" in example_names()
    assert config_file("digits_pcm") == examples() / "digits_pcm.yaml"
    assert config_file("digits_pcm.yaml") == Path("digits_pcm.yaml"), "with a suffix it is a path"
    (tmp_path / "digits_pcm").write_text("schema: estimate/1\n")
    assert config_file("digits_pcm") == Path("digits_pcm")


def test_init_writes_files_that_check_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("estimate", "train", "card"):
        assert dispatch.dispatch(["init", kind]) == 0, capsys.readouterr().err
        text = (tmp_path / f"my_{kind}.yaml").read_text(encoding="utf-8")
        assert text.startswith(f"# yaml-language-server: $schema=analog-hil-{kind}.schema.json\n")
        assert "scripts/" not in text
        assert kind == "card" or f"analog-hil {kind} my_{kind}.yaml" in text
        assert (tmp_path / f"analog-hil-{kind}.schema.json").stat().st_size > 1000
        capsys.readouterr()
        assert dispatch.dispatch(["check", f"my_{kind}.yaml"]) == 0
        assert capsys.readouterr().out == f"OK: my_{kind}.yaml\n"
    assert dispatch.dispatch(["init", "fit"]) == 0
    assert "made-up pulses" in capsys.readouterr().out
    assert dispatch.dispatch(["check", "my_fit.yaml"]) == 0, "its data are there too"
    assert dispatch.dispatch(["init", "fit", "other.yaml"]) == 2
    assert capsys.readouterr().err == "my_pulses.csv: is there already; choose another name for it, or another folder\n"
    assert not (tmp_path / "other.yaml").exists()
    assert dispatch.dispatch(["init", "model"]) == 0
    assert "--model my_model.py:build" in capsys.readouterr().out
    compile((tmp_path / "my_model.py").read_text(encoding="utf-8"), "my_model.py", "exec")
    assert dispatch.dispatch(["init", "card"]) == 2
    assert capsys.readouterr().err == "my_card.yaml: is there already; choose another name\n"
    assert dispatch.dispatch(["init", "estimate", "x.yaml", "--from", "digits_node_perturbation"]) == 2
    assert "'train/1' is for analog-hil train" in capsys.readouterr().err
    assert not (tmp_path / "x.yaml").exists()


def made_up_pulses() -> str:
    """The text of configs/measurements/my_pulses.csv: 32 soft-bounds cells, 2 cycles of 20 pulses up and 20 down."""
    rng = np.random.default_rng(0)
    lines = ["Cell,V pulse,width,I read"]

    def read(cell: int, g: float, volts: float) -> None:
        current = 0.2 * g * (1 + 0.005 * rng.standard_normal()) * 1e6
        lines.append(f"{cell},{volts:g},{100 if volts else 0},{current:.3f}")

    for cell in range(1, 33):
        low, high = 8e-6 * rng.lognormal(0, 0.1), 60e-6 * rng.lognormal(0, 0.1)
        gain, u = 0.09 * rng.lognormal(0, 0.1), 0.0
        read(cell, low, 0.0)
        for volts in [1.2] * 20 + [-1.3] * 20 + [1.2] * 20 + [-1.3] * 20:
            step = gain * (1 - u if volts > 0 else u) * (1 + 0.3 * rng.standard_normal())
            u = float(np.clip(u + (step if volts > 0 else -step), 0, 1))
            read(cell, low + (high - low) * u, volts)
    return "\n".join(lines) + "\n"


def test_the_measurement_that_init_writes_is_made_up_here() -> None:
    assert (examples() / "measurements" / "my_pulses.csv").read_text(encoding="utf-8") == made_up_pulses()


def test_warm_says_what_it_compiles_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of its jobs alone; whether a later run still compiles is measured by hand."""
    from learning.experiments.commands import warm

    asked = [name.partition(":")[0] for name, _ in warm.jobs(tmp_path)]
    assert set(asked) == {"estimate", "train", "characterise", "read", "fit"}
    for model, small, kinds in (
        (Experiment, warm._ESTIMATE, warm.ESTIMATES),
        (TrainExperiment, warm._TRAIN, warm.TRAININGS),
    ):
        for keys in kinds.values():
            validate({**small, **keys}, model)  # type: ignore[type-var]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warm, "ESTIMATES", {"convolution": warm.ESTIMATES["convolution"]})
    monkeypatch.setattr(warm, "TRAININGS", {})
    monkeypatch.setattr(warm, "_fit", lambda folder: None)
    assert dispatch.dispatch(["warm"]) == 0
    shown = capsys.readouterr()
    assert "estimate: convolution" in shown.err
    assert "  read: known inputs of wide arrays" in shown.out
    assert re.search(r"  estimate: convolution +\d+\.\d s\n", shown.out)
    assert re.search(r"^\d+ kernels compiled in .*, \d+ kept in\n", shown.out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_cards_lists_every_card_with_window_and_source() -> None:
    done = run("cards", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    for name in (path.stem for path in (ROOT / "devices" / "cards").glob("*.yaml")):
        assert f"{name} " in done.stdout
    assert "0 to 25 µS" in done.stdout
    assert "doi:10.1038/s41467-020-16108-9" in done.stdout
    assert run("cards", "pcm").stdout == (ROOT / "devices" / "cards" / "pcm.yaml").read_text(encoding="utf-8")


def test_runs_lists_what_runs_were_and_a_damaged_one(tmp_path: Path) -> None:
    one, two, three, four, five = (new_run(tmp_path / name) for name in ("a", "b", "c", "d", "e"))
    estimate(one).save(one)
    training(two).save(two)
    (one.path / "report.html").write_text("")
    (four.path / "summary.json").write_text("{")
    (five.path / "summary.json").write_text('{"kind": "sweep", "title": "t", "points": 3}')
    done = run("runs", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [str(each.path) for each in (one, two, three, four, five)]
    assert "  estimate  finished  " in lines[0]
    assert "(mean of 3 chips; digital " in lines[0]
    assert " at 1 s, " in lines[0]
    assert "  training  unfinished  " in lines[1]
    assert " %" in lines[1]
    assert "  unfinished" in lines[2]
    assert "  damaged: " in lines[3]
    assert "summary.json: points: input should be a valid list" in lines[4]
    assert run("runs", tmp_path / "none").stderr == f"{tmp_path / 'none'}: no such folder\n"


@pytest.mark.jit
def test_a_wheel_does_the_main_job_in_an_empty_folder(tmp_path: Path) -> None:
    """A full small estimate, files of one's own and Python, where there is no repository; kernels come from the cache of this version."""
    pytest.importorskip("hatchling")
    command, empty = installed_wheel(tmp_path), tmp_path / "empty"

    def done(*arguments: str) -> str:
        found = in_empty_folder(command, empty, *arguments)
        assert found.returncode == 0, found.stderr
        return found.stdout

    assert done("--version").startswith("analog-hil ")
    small = (
        "--set",
        "chips=2",
        "--set",
        "training.epochs=2",
        "--set",
        "sensitivity=null",
        "--set",
        "times=[1 s, 1 day]",
    )
    written = done("estimate", "digits_pcm", *small, "--jobs", "1", "--out", "run")
    assert "2 chips, 596 test samples" in written
    assert (empty / "run" / "report.html").stat().st_size > 50_000
    assert "  estimate  finished  " in done("runs", ".")
    done("init", "model")
    done("init", "train")
    assert done("check", "my_train.yaml") == "OK: my_train.yaml\n"
    assert "benchmark" in done("benchmark", "--help"), "the cases are there"
    python = command.with_name("python")
    where = in_empty_folder(
        python,
        empty,
        "-c",
        "import analog_hil as ah, learning; print(learning.__file__, ah.load_run('run').table.rows[0][0])",
    )
    assert where.stdout.startswith(str(tmp_path)), where.stderr
    assert "digital twin" in where.stdout
