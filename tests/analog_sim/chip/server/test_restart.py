"""A killed server comes back with every write that it acknowledged, and goes on to the same bits as one that was not killed."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analog_sim.chip.server.serve import running
from analog_sim.config import UserError, validate
from learning.experiments.commands.serve import _ready
from learning.experiments.configs.serve import ServeConfig, served_chip

from .conftest import Terminal

ROOT = Path(__file__).resolve().parents[4]
FILE = "schema: serve/1\ndevice: ecram\nseed: 4\narrays: {w: {rows: 2, cols: 3}}\njournal: chip.journal\n"
STEPS = [
    "WAIT 0.5",
    "TIME:ADV 0.25",
    "TIME:PAR;:WAIT 1;WAIT 2;:TIME:END",
    f"PROG {','.join(['1e-9'] * 12)}",
    "TIME:ADV 3",
]
LOOK = "FORM ASC;:READ:COND?;:READ:MVM? 0.1,0.1;:TIME?"


def start(folder: Path) -> tuple[subprocess.Popen[str], int, list[str]]:
    (folder / "chip.yaml").write_text(FILE, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "serve_chip.py"), "chip.yaml", "--port", "0"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line)
        if line.startswith("serving"):
            return server, int(line.rsplit(":", 1)[1]), lines
    raise AssertionError(f"the server ended: {lines}")


def stop(server: subprocess.Popen[str], number: int) -> None:
    server.send_signal(number)
    server.wait(60)
    assert server.stdout is not None
    server.stdout.close()


def test_a_killed_server_loses_no_acknowledged_write(tmp_path: Path) -> None:
    server, port, _ = start(tmp_path)
    it = Terminal(port)
    for step in STEPS:
        assert it.ask(f"{step};*OPC?") == "1"
    stop(server, signal.SIGKILL)
    it.close()
    again, port, lines = start(tmp_path)
    assert lines[0].startswith("did ")
    it = Terminal(port)
    seen = it.ask(LOOK)
    it.close()
    stop(again, signal.SIGTERM)
    assert again.returncode == 0

    (tmp_path / "whole").mkdir()
    whole, port, _ = start(tmp_path / "whole")
    it = Terminal(port)
    for step in STEPS:
        it.write(step)
    assert it.ask(LOOK) == seen
    it.close()
    stop(whole, signal.SIGTERM)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set on Linux only")
def test_a_full_disk_loses_nothing_and_the_server_goes_on_when_there_is_room(tmp_path: Path) -> None:
    server, port, _ = start(tmp_path)
    it, journal = Terminal(port), tmp_path / "chip.journal"
    assert it.ask(f"{STEPS[0]};*OPC?") == "1"
    size, unlimited = journal.stat().st_size, resource.RLIM_INFINITY
    for room in (0, 40, 75):  # none, a part of the frame, nearly all of it
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size + room, unlimited))
        for refused in (STEPS[3], "READ:MVM? 0.1,0.1", "TIME:ADV 5"):
            it.write(refused)
            told = it.ask("SYST:ERR?")
            assert told.startswith("-221,")
            assert "cannot be written (File too large)" in told
            assert it.errors() == []
        assert journal.stat().st_size == size, "nothing of it is in the file"
        assert it.ask("TIME?") == "0.5"
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    assert it.ask(f"{STEPS[3]};*OPC?") == "1"
    stop(server, signal.SIGKILL)
    it.close()
    fields = {"schema": "serve/1", "device": "ecram", "seed": 4, "arrays": {"w": {"rows": 2, "cols": 3}}}
    seen = []
    for more in ({"journal": journal}, {}):
        chip, _ = served_chip(validate(fields | more, ServeConfig))
        with running(chip) as port:
            it = Terminal(port)
            if not more:
                assert it.ask(f"{STEPS[0]};{STEPS[3]};*OPC?") == "1"
            seen.append(it.ask(LOOK))
            it.close()
        if chip.journal is not None:
            chip.journal.close()
    assert seen[0] == seen[1]


def test_an_array_that_could_not_be_journalled_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip, _ = served_chip(validate({"schema": "serve/1", "device": "ecram", "journal": tmp_path / "j"}, ServeConfig))
    assert chip.journal is not None

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(chip.journal._writer, "_write", full)
        with pytest.raises(UserError, match="No space left"):
            chip.define("a", 2, 2, True, 0)
        with pytest.raises(UserError, match="No space left"):
            chip.advance(1.0)
    assert chip.arrays == {}
    assert chip.fabric.clock.now == 0.0
    chip.define("a", 2, 2, True, 0)
    chip.journal.close()


def test_a_journal_that_was_damaged_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the middle it is refused, with what to do; of its last operation the start of the server tells."""
    config = validate({"schema": "serve/1", "device": "ecram", "seed": 4, "journal": tmp_path / "j"}, ServeConfig)
    chip, _ = served_chip(config)
    assert chip.journal is not None
    chip.define("w", 2, 3, True, 0)
    for seconds in range(5):
        chip.advance(float(seconds))
    chip.journal.close()
    whole = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(whole[:-3] + b"???")
    chip = _ready(config)
    assert chip.journal is not None
    chip.journal.close()
    assert "are no whole operation and were left out" in capsys.readouterr().out
    middle = len(whole) // 2
    damaged = whole[:middle] + b"???" + whole[middle + 3 :]
    (tmp_path / "j").write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged at operation \d+ .*; put a whole copy in its place, or begin anew"):
        served_chip(config)
    assert (tmp_path / "j").read_bytes() == damaged


def test_another_chip_is_refused(tmp_path: Path) -> None:
    fields = {"schema": "serve/1", "device": "ecram", "journal": tmp_path / "j"}
    first, _ = served_chip(validate(fields, ServeConfig))
    assert first.journal is not None
    first.journal.close()
    with pytest.raises(UserError, match="journal is of another chip"):
        served_chip(validate({**fields, "seed": 1}, ServeConfig))


def test_two_servers_do_not_write_one_journal(tmp_path: Path) -> None:
    config = validate({"schema": "serve/1", "device": "ecram", "journal": tmp_path / "j"}, ServeConfig)
    first, _ = served_chip(config)
    assert first.journal is not None
    with pytest.raises(UserError, match="another server writes this journal"):
        served_chip(config)
    first.journal.close()
    again, _ = served_chip(config)
    assert again.journal is not None
    again.journal.close()


def test_a_journal_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    fields = {"schema": "serve/1", "device": "ecram", "journal": tmp_path / "file" / "j"}
    with pytest.raises(UserError, match="folder cannot be made"):
        served_chip(validate(fields, ServeConfig))


def test_a_public_address_needs_a_flag(tmp_path: Path) -> None:
    (tmp_path / "chip.yaml").write_text(FILE, encoding="utf-8")
    command = [
        sys.executable,
        str(ROOT / "scripts" / "serve_chip.py"),
        str(tmp_path / "chip.yaml"),
        "--host",
        "0.0.0.0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--anyone" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_fixed_arrays_and_limits_come_from_the_file() -> None:
    chip, _ = served_chip(
        validate(
            {
                "schema": "serve/1",
                "device": "ecram",
                "chip": {"kind": "fixed_arrays", "arrays": 2, "rows": 4, "cols": 4, "bad_cells": 0.0},
                "limits": {"volts": 0.05},
            },
            ServeConfig,
        )
    )
    assert chip.fabric.largest == (4, 4)
    info = chip.define("a", 3, 2, True, 0).info
    assert info.v_max == pytest.approx(0.05)
    with pytest.raises(UserError, match="needs 2 arrays of 4x4 cells"):
        chip.define("b", 3, 2, True, 0)
    assert np.isfinite(info.g_max)
