"""Files in the dialects of other labs, one row per dialect: what is read is right, or one line says what to set. It never fits."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.config import discover
from devices.measurements.columns.reader import Reader
from devices.measurements.data.traces import traces_of
from devices.measurements.data.turning_points import turning_points
from devices.measurements.table.sink import Measurements, Sink
from devices.measurements.text.problems import MeasurementError, ReadLog

READERS = discover("devices.measurements.readers", Reader)
UP = {"kind": "csv", "role": "pulses", "direction": "up"}
G = [1.0, 2.0, 3.0]
"""Microsiemens in every file below."""


def read(folder: Path, text: str, **settings: Any) -> Measurements:
    path = folder / "lab.csv"
    path.write_text(text, encoding="utf-8")
    sink = Sink()
    READERS[settings["kind"]].model_validate({**settings, "path": str(path)}).read(sink)
    return sink.measurements()


DIALECTS: list[tuple[str, dict[str, Any], str]] = [
    ("slash", {**UP, "columns": {"g": "G"}}, "n;G/nS\n1;1000\n2;2000\n3;3000\n"),
    ("micro sign behind a slash", {**UP, "columns": {"g": "Conductance"}}, "n,Conductance / µS\n1,1\n2,2\n3,3\n"),
    ("underscore", {**UP, "columns": {"g": "G_uS"}}, "n G_uS\n1 1\n2 2\n3 3\n"),
    ("blank", {**UP, "columns": {"g": "G"}}, "n,G uS\n1,1\n2,2\n3,3\n"),
    ("word", {**UP, "columns": {"g": "G"}}, "n;G in mS\n1;1e-3\n2;2e-3\n3;3e-3\n"),
    ("kOhm", {**UP, "columns": {"r": "R"}}, "n\tR(kOhm)\n1\t1000\n2\t500\n3\t333.33333333\n"),
    ("numpy.savetxt", {**UP, "columns": {"g": "G_uS"}}, "# chip 7\n# n G_uS\n1.0e0 1.0e0\n2.0e0 2.0e0\n3.0e0 3.0e0\n"),
    ("percent signs", {**UP, "columns": {"g": "G"}}, "% chip, 7\n% 300 K\nn,G (uS)\n1,1\n2,2\n3,3\n"),
    ("semicolons", {**UP, "columns": {"g": "G"}}, "; chip; 7\n; 300 K\nn,G (uS)\n1,1\n2,2\n3,3\n"),
    ("nameless first column", {**UP, "columns": {"g": "G"}}, ";n;G (uS)\n0;1;1\n1;2;2\n2;3;3\n"),
    (
        "direction as a float",
        {**UP, "columns": {"g": "G", "direction": "d"}},
        "d,G (uS)\n1.0e+00,1\n1.0e+00,2\n1.0e+00,3\n",
    ),
    (
        "quotes and empty columns",
        {**UP, "decimal": ",", "columns": {"g": "G"}},
        '"n";"G [µS]";;\n"1";"1,0";;\n"2";"2,0";;\n"3";"3,0";;\n',
    ),
    (
        "other conditions",
        {**UP, "only": {"T": 85}, "columns": {"g": "G"}},
        "T (C),G (uS)\n25,9\n85,1\n85.0,2\n25,9\n85,3\n",
    ),
    ("NeuroSim in nS", {"kind": "neurosim", "direction": "up"}, "pulse\tG (nS)\n0\t1000\n1\t2000\n2\t3000\n"),
    ("NeuroSim, decimal commas", {"kind": "neurosim", "decimal": ",", "unit": "uS"}, "0\t1,0\n1\t2,0\n2\t3,0\n"),
    ("ramp behind a comment", {"kind": "pulse_ramps", "value": "conductance"}, "# device 3\n# G (uS)\n1\n2\n3\n"),
]


@pytest.mark.parametrize(("settings", "text"), [row[1:] for row in DIALECTS], ids=[row[0] for row in DIALECTS])
def test_dialects(settings: dict[str, Any], text: str, tmp_path: Path) -> None:
    table = read(tmp_path, text, **settings).tables["pulses"]
    np.testing.assert_allclose(table.conductance(), 1e-6 * np.array(G), rtol=1e-6)


TIMES = {"kind": "noise_series", "series_are": "columns", "sample_rate": "1 kHz"}
LINES: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "times among the series",
        TIMES,
        "0\t1e-6\n0.1\t2e-6\n0.2\t1e-6\n0.3\t1e-6\n0.4\t2e-6\n",
        "grows evenly: .* set leading: 1",
    ),
    ("cut numbers", TIMES, "19,5712\n19,0712\n", r"lab\.csv:2: got '19,0712': .* set decimal: ','"),
    (
        "condition that is not there",
        {**UP, "only": {"T": 60}, "columns": {"g": "G"}},
        "T,G (uS)\n25,1\n85,2\n",
        "no row holds T = 60; there are: 25; 85",
    ),
    (
        "near miss of a condition",
        {**UP, "only": {"Temp": 60}, "columns": {"g": "G"}},
        "Temq,G (uS)\n25,1\n",
        "did you mean 'Temq'",
    ),
    (
        "cells in columns",
        {"kind": "retention", "layout_is": "wide"},
        "t (s),a (uS),b (uS)\n1,2,3\n",
        "set cells_are: columns",
    ),
    (
        "cells in columns of nothing",
        {"kind": "retention", "layout_is": "wide", "cells_are": "columns", "header_row": False},
        "# nothing\n",
        "no column of a cell behind that of the time",
    ),
    (
        "delay is no day",
        {**UP, "columns": {"g": "G", "width": "t_d"}},
        "t_d,G (uS)\nx,1\n",
        "column 't_d': must be a number",
    ),
    ("only comments", {"kind": "neurosim"}, "# nothing\n", "holds only comments"),
]


@pytest.mark.parametrize(("settings", "text", "message"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_one_line_says_what_to_set(settings: dict[str, Any], text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=message) as caught:
        read(tmp_path, text, **settings)
    assert "\n" not in str(caught.value)


def test_a_missing_unit_is_counted(tmp_path: Path) -> None:
    bare = read(tmp_path, "n,G\n1,1e-6\n2,2e-6\n", **{**UP, "columns": {"g": "G"}})
    assert bare.log.total("column without a unit, its numbers taken as S") == 1
    stated = read(tmp_path, "n,G (S)\n1,1e-6\n2,2e-6\n", **{**UP, "columns": {"g": "G"}})
    assert not list(stated.log.lines())


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    measured = read(tmp_path, "T,G (uS)\n25,1\n85,2\n85,3\n", **{**UP, "only": {"T": 85}, "columns": {"g": "G"}})
    assert measured.log.total("row left out by 'only'") == 1


def test_pulse_numbers_that_begin_anew_are_ramps(tmp_path: Path) -> None:
    """Every second pulse is read, of two devices in turn; the count begins anew in each ramp."""
    lines = [f"D{d},{2 * k},{10 * d + k + 1}" for d in (1, 2) for _ in range(3) for k in range(1, 5)]
    columns = {"cell": "device", "pulse": "pulse", "g": "G"}
    table = read(tmp_path, "device,pulse,G (uS)\n" + "\n".join(lines), **{**UP, "columns": columns}).tables["pulses"]
    traces = traces_of(table, ReadLog())
    assert len(traces) == 6
    assert (traces.pulses[traces.inside()] == 2).all()


def test_retention_with_a_column_per_cell(tmp_path: Path) -> None:
    text = "t (h);cell 1 (µS);cell 2 (µS);\n0;10;20;\n1;9;19;\n2;8,5;18;\n"
    settings = {"kind": "retention", "layout_is": "wide", "cells_are": "columns", "decimal": ","}
    table = read(tmp_path, text, **settings).tables["retention"]
    np.testing.assert_allclose(table.t_s, [0, 3600, 7200] * 2)
    np.testing.assert_allclose(table.conductance(), 1e-6 * np.array([10, 9, 8.5, 20, 19, 18]))
    assert len(np.unique(table.cell())) == 2


@pytest.mark.parametrize(("pulses", "cycles", "noise"), [(40, 20, 0.0), (10, 50, 0.02), (5, 40, 0.02), (500, 3, 0.05)])
def test_many_cycles_in_one_column(pulses: int, cycles: int, noise: float) -> None:
    """As papers print them: turns are found however many cycles there are; a twentieth of the change at most counts for the wrong side."""
    rng = np.random.default_rng(pulses)
    side = np.tile(np.repeat([1, -1], pulses), cycles)
    g = [0.1]
    for s in side:
        g.append(g[-1] + (2.0 / pulses) * ((1 - g[-1]) if s > 0 else -g[-1]))
    reads = np.array(g[1:]) + noise * rng.normal(size=len(side))
    turns, first = turning_points(reads)
    assert len(turns) == 2 * cycles - 1
    legs = np.searchsorted(turns, np.arange(len(reads)), side="left")
    wrong = first * (-1) ** legs != side
    assert np.abs(np.diff(g))[wrong].sum() < 0.05 * np.abs(np.diff(g)).sum()


def test_resets_between_ramps_are_no_pulses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ramp = np.concatenate([10 + np.cumsum(1.0 + 0.2 * rng.normal(size=30)) for _ in range(8)])
    text = "G (uS)\n" + "\n".join(f"{x:.4f}" for x in ramp)
    measured = read(tmp_path, text, kind="csv", role="pulses", columns={"g": "G"})
    traces = traces_of(measured.tables["pulses"], measured.log)
    assert len(traces) == 8
    assert (traces.direction[traces.inside()] == 1).all()
    assert any("7 jump(s) back to the beginning" in note for note in measured.log.notes)


def test_gzip_of_a_commented_file(tmp_path: Path) -> None:
    path = tmp_path / "lab.csv.gz"
    path.write_bytes(gzip.compress(b"# chip\nn,G/uS\n1,1\n2,2\n3,3\n"))
    sink = Sink()
    READERS["csv"].model_validate({**UP, "columns": {"g": "G"}, "path": str(path)}).read(sink)
    np.testing.assert_allclose(sink.measurements().tables["pulses"].conductance(), 1e-6 * np.array(G))
