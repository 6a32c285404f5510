"""The sessions of docs/instrument.md run as they are written, each on a served chip at the port that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.chip.warm_up import warm_up
from analog_sim.random.streams import Streams

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs: deprecations inside the packages
PAGE = Path(__file__).resolve().parents[4] / "docs" / "instrument.md"
SESSIONS = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
ADDRESS = "TCPIP::127.0.0.1::5025::SOCKET"
NEEDS = ("pyvisa_py", "pymeasure.experiment", "qcodes.dataset")


def test_there_are_three() -> None:
    assert [session.count(ADDRESS) for session in SESSIONS] == [1, 1, 1]


@pytest.mark.parametrize("number", range(3), ids=["pyvisa", "pymeasure", "qcodes"])
def test_a_session(
    number: int, cell: CellModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in dict.fromkeys(("pyvisa_py", NEEDS[number])):
        pytest.importorskip(name, reason=f"{name} is not installed (pip install analog-hil[lab])")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    warm_up(cell)
    chip = ServedChip(SealedFabric(EmulatedFabric(cell, Streams(0), Clock())))
    if number:
        chip.define("w", 64, 32, True, 0)
    names: dict[str, Any] = {"__name__": "session"}
    with running(chip) as port:
        exec(compile(SESSIONS[number].replace("::5025::", f"::{port}::"), "session", "exec"), names)
        if "manager" in names:
            names["manager"].close()
        elif not number:
            names["chip"].close()
    said = capsys.readouterr().out
    if number == 0:
        assert '0,"No error"' in said
        assert said.count(",") > 30
    elif number == 1:
        data = names["results"].data
        assert list(data["Pulse"]) == list(range(20))
        assert data["Mean conductance (S)"].iloc[-1] > data["Mean conductance (S)"].iloc[0]
        assert data["Chip time (s)"].is_monotonic_increasing
        assert (tmp_path / "potentiation.csv").exists()
        assert "[]" in said
    else:
        assert '0,"No error"' in said
        frame = names["saver"].dataset.to_pandas_dataframe_dict()["chip_mean_current"]
        assert len(frame) == 5
        assert (tmp_path / "cells.db").exists()
