"""A killed server comes back with every write that it acknowledged, and goes on to the same bits as one that was not killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analog_sim.config import UserError, validate
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
