"""`analog-hil compare` and `analog-hil completion`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from report_helpers import estimate, new_run, training
from scipy import stats

from analog_sim.config import UserError
from learning.experiments.commands import compare, completion
from learning.experiments.commands.dispatch import COMMANDS
from learning.experiments.report.paired import compare_runs, welch_interval


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
    assert "+0.00 [+0.00, +0.00]" in shown, "the same chips: no difference, and no doubt of it"
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
    assert completion.words(["characterise", "pc"]) == ["pcm", "pcm_accumulate"]
    assert completion.words(["nothing", ""]) == []
    monkeypatch.chdir(tmp_path)
    new_run(tmp_path / "runs" / "mine")
    assert completion.words(["compare", "runs/m"]) == ["runs/mine"]
    assert completion.words(["completion", ""]) == ["bash", "fish", "zsh"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.main([shell]) == 0
    script = capsys.readouterr().out
    assert "completion words" in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The function of the script, asked as bash asks it, with a program in the place of ours that answers at once."""
    if not shutil.which("bash"):
        pytest.skip("no bash")
    completion.main(["bash"])
    script = capsys.readouterr().out
    program = f'analog-hil() {{ [ "$1 $2 $3" = "completion words est" ] && echo estimate; }}\n{script}\n'
    program += 'COMP_WORDS=(analog-hil est); COMP_CWORD=1; _analog_hil; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("estimate\n", "")
