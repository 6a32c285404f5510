"""`analog-hil compare` and `analog-hil completion`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from report_helpers import estimate, new_run, training
from scipy import stats

from analog_sim.config import UserError, find_key
from learning.experiments.commands import compare, completion
from learning.experiments.commands.dispatch import COMMANDS
from learning.experiments.report.paired import compare_runs, welch_interval
from learning.experiments.runs.examples import example_names, examples


def test_two_runs_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    one, two, taught = (new_run(tmp_path / name) for name in ("a", "b", "c"))
    estimate(one).save(one)
    estimate(two).save(two)
    training(taught).save(taught)
    text = (two.path / "config.yaml").read_text()
    (two.path / "config.yaml").write_text(f"{text}added: {{key: 3}}\n")
    assert compare.main([str(one.path), str(two.path)]) == 0
    shown = capsys.readouterr().out
    assert "added.key" in shown
    assert "+0.00 (the same for all 3)" in shown, "the same chips: no difference, and no doubt of it"
    assert "paired over common chips" in shown
    found = compare_runs(taught, taught)
    assert found.keys.rows == ()
    assert {row[3].split()[0] for row in found.scores.rows} == {"+0.00"}
    with pytest.raises(UserError, match="two finished estimates or two finished trainings"):
        compare_runs(one, taught)


def test_welchs_interval_is_scipys() -> None:
    a, b = np.array([0.1, 0.2, 0.4, 0.3]), np.array([0.5, 0.9, 0.7])
    ours, theirs = welch_interval(a, b), stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert np.isnan(welch_interval(a[:1], b).low)
    assert welch_interval([0.5, 0.5], [0.7, 0.7]).low == pytest.approx(0.2)


def test_words_that_come_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(completion.words([""])) == {*COMMANDS, "--help", "--version"}
    assert completion.words(["es"]) == ["estimate"]
    assert "digits_pcm" in completion.words(["estimate", "digits"])
    assert completion.words(["estimate", "digits_pcm", "--re"]) == ["--resume"]
    assert completion.words(["estimate", "digits_pcm", "--out", "digits"]) == []
    assert "--resume" in completion.words(["estimate", "digits_pcm", ""]), "the file is there: options come next"
    assert completion.words(["characterise", "pc"]) == ["pcm", "pcm_accumulate"]
    assert completion.words(["characterise", "pcm", "--against", "generic_p"]) == ["generic_pcm"]
    assert completion.words(["estimate", "digits_pcm", "--set", ""]) == ["device="]
    assert completion.words(["estimate", "digits_pcm", "--set", "device=ec"]) == ["device=ecram"]
    assert completion.words(["train", "x.yaml", "--chip", "se"]) == ["sealed"]
    assert completion.words(["init", "card", "x.yaml", "--from", "ec"]) == ["ecram"]
    assert completion.words(["init", "train", "x.yaml", "--from", "digits_s"]) == ["digits_sealed"]
    assert completion.words(["benchmark", "mvm", "wi"]) == ["wires", "wires_training"], "as many as wanted"
    assert completion.words(["benchmark", "mvm", "--clock", ""]) == ["cpu", "wall"]
    assert completion.words(["nothing", ""]) == []
    monkeypatch.chdir(tmp_path)
    new_run(tmp_path / "runs" / "mine")
    assert completion.words(["compare", "runs/m"]) == ["runs/mine"]
    assert completion.words(["completion", ""]) == ["bash", "fish", "zsh"]


def test_a_command_is_offered_the_files_that_it_takes() -> None:
    for command, schema in completion.SCHEMAS.items():
        names = completion.examples_for(command)
        assert names
        for name in names:
            assert str(find_key(examples() / f"{name}.yaml", "schema")[0]).startswith(schema)
    offered = {name for command in completion.SCHEMAS for name in completion.examples_for(command)}
    assert offered == set(example_names())
    swept = [name for name in example_names() if find_key(examples() / f"{name}.yaml", "sweep")[0] is not None]
    assert completion.examples_for("sweep") == swept


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main([shell]) == 0
    script = capsys.readouterr().out
    assert "completion words" in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


SHELLS = {
    "bash": 'COMP_LINE="{0}"; COMP_POINT=${{#COMP_LINE}}; _analog_hil; printf "%s\\n" "${{COMPREPLY[@]}}"',
    "zsh": "words=(${{=:-{0}}}); CURRENT=$#words; _analog_hil",
    "fish": 'complete -C "{0}" | string match -v -r "/"',
}
"""How each shell is asked what comes after {0}. zsh hands its answers to `compadd`, which stands in the test for its own."""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked as the shell itself asks, with the real command behind it: commands, options, examples, cards."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    (tmp_path / "analog-hil").write_text(f'#!/bin/sh\nexec {sys.executable} -m analog_hil "$@"\n')
    (tmp_path / "analog-hil").chmod(0o755)
    completion.main([shell])
    script = capsys.readouterr().out
    if shell == "zsh":
        before = "compdef() { :; }; _files() { :; }\n"
        before += 'compadd() { while [[ $1 != -- ]] do shift; done; shift; (( $# )) && print -l -- "$@"; }'
        script = f"{before}\n{script}"
    asked = ("est", "estimate --res", "characterise generic_p", "estimate digits_pcm --set device=pcm_")
    program = "\n".join([script, *(SHELLS[shell].format(f"analog-hil {line}") for line in asked)])
    done = subprocess.run(
        [shell, *({"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]), "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    card = "pcm_accumulate" if shell == "bash" else "device=pcm_accumulate"  # bash completes what stands behind the =
    assert done.stdout.split() == ["estimate", "--resume", "generic_pcm", card], done.stderr
