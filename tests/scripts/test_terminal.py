"""The terminal at 80 columns, and what an interruption says."""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from learning.experiments.commands._cli import resume_command
from learning.experiments.commands._terminal import wrapped
from learning.experiments.report.tables import Table

DIGITS = ["--set", "dataset={name: digits, train_limit: 60, test_limit: 20}", "--set", "parallel.jobs=2"]
WIDE = Table(
    ("arm", "seeds", "accuracy % [95 %]", "vs twin", "loss", "samples", "pulses", "chip time", "energy", "empty"),
    (("plain " + "x" * 90, "3", "91.20 [90.10, 92.30]", "-1.20", "0.3", "24000", "1.2 M", "12 s", "3 mJ", ""),) * 2,
    "At the end of training, 596 test samples; intervals: Student-t over seeds, Wilson for one seed",
)


def test_a_wide_table_is_stacked_and_loses_no_column() -> None:
    text = WIDE.text(80)
    assert max(map(len, text.splitlines())) <= 80
    for word in (*WIDE.header[:-1], *WIDE.rows[0][1:-1]):
        assert word in text, word
    assert "empty" not in text
    assert WIDE.text().count("\n") == 4, "whole where nobody asks for a width"
    narrow = Table(("a", "b"), (("1", "2"),))
    assert narrow.text(80) == narrow.text()


def test_a_table_of_texts_is_written_row_by_row() -> None:
    source = "Joshi et al., Nat. Commun. 11, 2473 (2020), doi:10.1038/s41467-020-16108-9; Nandakumar et al., ICECS 2019"
    table = Table(
        ("key", "A", "B"), (("tile.adc.bits", "9", "6"), ("device.reference", source, "")), "keys that differ"
    )
    shown = table.text(80).splitlines()
    assert shown[:4] == ["keys that differ", "tile.adc.bits  A: 9  B: 6", "device.reference", f"  A: {source[:75]}"]
    assert shown[-1] == "  B: -"
    assert max(map(len, shown)) <= 80
    assert " ".join(shown).replace("       ", " ").count(source) == 1, "nothing is cut"


def test_a_number_keeps_its_unit_at_the_end_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert wrapped(f"{'x' * 36} 96 % at 1 year of all", 40).splitlines() == ["x" * 36, "  96 % at 1 year of all"]


def test_sentences_are_wrapped_at_blanks_and_words_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    path = "/a/very/long/path/" + "x" * 80
    text = wrapped(f"  note: {'some words ' * 12}\n{path} end", 40)
    assert all(len(line) <= 40 for line in text.splitlines() if path not in line)
    assert path in text
    assert text.splitlines()[1].startswith("    ")
    assert wrapped("x " * 200) == "x " * 200, "no terminal: as it is"


def at_a_terminal(arguments: list[str], folder: Path, interrupt_at: str = "") -> tuple[str, int]:
    """What `analog-hil ARGUMENTS` writes to a terminal of 80 x 24, and its status; interrupted (Ctrl-C) when a text has appeared."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")} | {
        "TERM": "xterm"
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "analog_hil", *arguments], cwd=folder, env=environment,
        stdin=other, stdout=other, stderr=other,
        # Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    os.close(other)
    written, until = b"", time.monotonic() + 200
    while time.monotonic() < until:
        try:
            written += os.read(main, 65536)
        except OSError:  # the program has closed its end
            break
        if interrupt_at and interrupt_at.encode() in written:
            interrupt_at = ""
            process.send_signal(signal.SIGINT)
    os.close(main)
    return written.decode(), process.wait(timeout=60)


def printed(written: str) -> list[str]:
    """Lines without what moves the cursor: every one of them, those of the board too."""
    written = written.replace("\x1b[0m", "")
    for code in ("\x1b[J", *(f"\x1b[{n}A" for n in range(1, 20))):
        written = written.replace(code, "\n")
    return [line for line in written.replace("\r", "\n").split("\n") if line.strip()]


@pytest.mark.jit
def test_a_training_on_two_workers_fits_80_columns_and_an_interruption_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["train", "digits_node_perturbation", *DIGITS, "--set", "epochs=60", "--set", "seeds=[0]"]
    written, status = at_a_terminal(arguments, tmp_path, interrupt_at="seed 0: 0 samples")
    assert status == 130, written
    lines = printed(written)
    [folder] = (tmp_path / "runs").iterdir()
    assert any(line == f"run folder: runs/{folder.name}" for line in lines)
    assert any("[" in line and "%" in line for line in lines), "a bar is shown"
    assert any("ideal digital twin" in line and "of 1" in line for line in lines)
    place = next(k for k, line in enumerate(lines) if line.startswith("interrupted; what is finished is kept"))
    command = lines[place + 1].strip()
    assert command == f"analog-hil {shlex.join(arguments)} --out runs/{folder.name} --resume"
    assert max(len(line) for line in lines[:place]) <= 80, max(lines[:place], key=len)
    # The same command with fewer epochs is another run; as it is printed it goes on, to its end.
    short = shlex.split(command)[1:]
    checked = subprocess.run(
        [sys.executable, "-m", "analog_hil", *short, "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.jit
def test_an_estimate_with_variants_fits_80_columns(tmp_path: Path) -> None:
    study = "sensitivity={chips: 1, without: [], only: [], sweeps: [{set: tile.adc.bits, values: [4, 6]}]}"
    arguments = ["estimate", "digits_pcm", *DIGITS, "--set", "training.epochs=2", "--set", "chips=2", "--set", study]
    written, status = at_a_terminal([*arguments, "--set", "times=[1 s, 1 h]"], tmp_path)
    assert status == 0, written
    lines = printed(written)
    [folder] = (tmp_path / "runs").iterdir()
    assert f"run folder: runs/{folder.name}" in lines
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    assert any("2 variants x 1 chip " in line for line in lines)
    assert any("vs twin" in line for line in lines), "the last column is there"
    assert lines[-1] == f"report: runs/{folder.name}/report.html"


def test_the_command_that_resumes() -> None:
    words = ["analog-hil train", "my file.yaml", "--out", "old", "--set", "a=[1, 2]", "--resume"]
    assert resume_command(words, "runs/x") == "analog-hil train 'my file.yaml' --set 'a=[1, 2]' --out runs/x --resume"
    assert (
        resume_command(["scripts/train.py", "c.yaml", "--out=o"], "o")
        == "python scripts/train.py c.yaml --out o --resume"
    )
