"""Every reader against the sample of its format, the traps of each format, and the counts of what was handled."""

import gzip
import shutil
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue import READERS
from trace_writers import (
    PULSE_FORMATS,
    V_PULSE,
    V_READ,
    WIDTH,
    Lab,
    write_noise_columns,
    write_noise_lines,
    write_retention_long,
    write_retention_wide,
)

from analog_sim.config import discover
from devices.measurements.columns.reader import Reader
from devices.measurements.table.sink import Measurements, Sink
from devices.measurements.table.table import Flag, Op
from devices.measurements.text.lines import LineReader
from devices.measurements.text.problems import MeasurementError

READER_PARTS = discover("devices.measurements.readers", Reader)
UP, DOWN = 5, 4


def read(settings: Mapping[str, Any]) -> Measurements:
    sink = Sink()
    READER_PARTS[settings["kind"]].model_validate(settings).read(sink)
    return sink.measurements()


def small_lab(cells: int = 3) -> Lab:
    """Distinct conductances, so that no two reads can be mixed up."""
    direction = np.array([0] + [1] * UP + [-1] * DOWN, np.int8)
    g = 1e-5 * (1.0 + np.arange(cells)[:, None] + 0.01 * np.cumsum(direction) + 1e-4 * np.arange(len(direction)))
    return Lab(g, direction)


@pytest.mark.parametrize("kind", READERS)
def test_every_sample_is_read(kind: str) -> None:
    for row in READERS[kind]:
        measured = read({"kind": kind, **row})
        rows = sum(len(table) for table in measured.tables.values()) + len(measured.distributions)
        assert rows > 0
        for table in measured.tables.values():
            good = table.flag == 0
            assert good.mean() > 0.95
            g = table.conductance()[good]
            assert ((g > 1e-6) & (g < 1e-4)).all(), "samples are of cells between 2 and 40 uS"


@pytest.mark.parametrize("kind", PULSE_FORMATS)
def test_a_pulse_format_gives_back_what_was_written(kind: str, tmp_path: Path) -> None:
    write, suffix = PULSE_FORMATS[kind]
    lab = small_lab()
    table = read(write(tmp_path / f"lab{suffix}", lab)).tables["pulses"]
    good = table.flag == 0
    precision = 1e-6 if kind == "arc_two" else 1e-12  # that file holds float32
    if kind in ("pulse_ramps", "neurosim"):  # ramps: the read between up and down belongs to both
        expected = np.concatenate([np.concatenate((g[: UP + 1], g[UP:])) for g in lab.g])
    else:
        expected = lab.g.ravel()
    assert len(table) == len(expected)
    np.testing.assert_allclose(table.conductance()[good], expected[good], rtol=precision)
    assert len(np.unique(table.sequence)) == (6 if kind in ("pulse_ramps", "neurosim") else 3)
    if kind not in ("pulse_ramps", "neurosim"):
        np.testing.assert_array_equal(table.direction, np.tile(lab.direction, 3))
        np.testing.assert_array_equal(table.op, np.tile(np.where(lab.direction == 0, Op.READ, Op.PULSE_READ), 3))
        np.testing.assert_array_equal(table.n_pulses, np.tile(lab.direction != 0, 3))
        np.testing.assert_allclose(np.abs(table.v_V[table.op == Op.PULSE_READ]), V_PULSE)
        assert np.isnan(table.v_V[table.op == Op.READ]).all(), "a read has no pulse voltage"
        np.testing.assert_allclose(table.v_read_V, V_READ)
    if kind in ("csv", "arc_one", "arc_two"):
        np.testing.assert_allclose(table.width_s[table.op == Op.PULSE_READ], WIDTH)


def test_word_and_bit_lines(tmp_path: Path) -> None:
    lab = small_lab(2)
    for kind, column in (("arc_one", 2), ("arc_two", 5)):  # ArC ONE counts from 1
        write, suffix = PULSE_FORMATS[kind]
        table = read(write(tmp_path / f"{kind}{suffix}", lab)).tables["pulses"]
        assert set(table.cell_row.tolist()) == {0, 1}
        assert set(table.cell_col.tolist()) == {column}


def test_rows_behind_nrows_are_no_data(tmp_path: Path) -> None:
    settings = PULSE_FORMATS["arc_two"][0](tmp_path / "lab.h5", small_lab(2))
    table = read(settings).tables["pulses"]
    assert len(table) == 2 * (1 + UP + DOWN)
    assert (table.i_A != 0).all()


def test_a_pulse_without_a_read_is_no_missing_value(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    settings = PULSE_FORMATS["arc_two"][0](tmp_path / "lab.h5", small_lab(1))
    with h5py.File(tmp_path / "lab.h5", "r+") as file:
        series = file["crosspoints/W00B05/timeseries"]
        row = series[3]
        row["current"], row["op_type"] = np.nan, 2
        series[3] = row
    measured = read(settings)
    assert (measured.tables["pulses"].flag == 0).all()
    assert measured.tables["pulses"].op[3] == Op.PULSE


def test_compliance_is_flagged_and_counted(tmp_path: Path) -> None:
    lab = small_lab(12)
    settings = PULSE_FORMATS["keithley"][0](tmp_path / "lab.tsv", lab)
    measured = read(settings)
    table = measured.tables["pulses"]
    assert len(table) == lab.g.size
    assert (table.flag == Flag.COMPLIANCE.value).sum() == lab.g.size // 100
    assert measured.log.total("in current compliance") == lab.g.size // 100
    limited = {**settings, "compliance": {"limit": "1 mA"}}
    assert (read(limited).tables["pulses"].flag == Flag.COMPLIANCE.value).sum() == lab.g.size // 100


def test_gzip_is_read_directly(tmp_path: Path) -> None:
    settings = PULSE_FORMATS["csv"][0](tmp_path / "lab.csv", small_lab())
    plain = read(settings).tables["pulses"]
    with (tmp_path / "lab.csv").open("rb") as source, gzip.open(tmp_path / "lab.csv.gz", "wb") as packed:
        shutil.copyfileobj(source, packed)
    again = read({**settings, "path": str(tmp_path / "lab.csv.gz")}).tables["pulses"]
    np.testing.assert_array_equal(again.i_A, plain.i_A)


def test_long_files_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PULSE_FORMATS["csv"][0](tmp_path / "lab.csv", small_lab(20))
    whole = read(settings).tables["pulses"]
    block = LineReader.block
    monkeypatch.setattr(LineReader, "block", lambda self: block(self, rows=7))
    pieces = read(settings).tables["pulses"]
    for name in ("i_A", "sequence", "cell_row", "direction", "line"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))


def test_a_gap_inside_a_ramp_is_flagged_and_blanks_after_it_end_it(tmp_path: Path) -> None:
    path = tmp_path / "ramps.csv"
    path.write_text("a,b\n1e-6,2e-6\n,3e-6\n3e-6,\n4e-6,\n", encoding="utf-8")
    measured = read({"kind": "pulse_ramps", "path": str(path), "value": "conductance", "direction": "up"})
    table = measured.tables["pulses"]
    assert [len(table.select(table.sequence == s)) for s in np.unique(table.sequence)] == [4, 2]
    assert table.flag.tolist() == [0, Flag.NOT_A_NUMBER.value, 0, 0, 0, 0]
    assert table.line.tolist() == [2, 3, 4, 5, 2, 3]
    assert measured.log.total("missing or not a number") == 1


def test_arbitrary_units(tmp_path: Path) -> None:
    path = tmp_path / "ramps.csv"
    path.write_text("-1,1\n0,0.5\n1,-1\n", encoding="utf-8")
    meaning = {"low": -1, "high": 1, "g_min": "5 uS", "g_max": "45 uS"}
    table = read({"kind": "pulse_ramps", "path": str(path), "arbitrary": meaning}).tables["pulses"]
    np.testing.assert_allclose(table.conductance(), 1e-6 * np.array([5, 25, 45, 45, 35, 5]))


def test_neurosim_pulse_numbers(tmp_path: Path) -> None:
    path = tmp_path / "weights.txt"
    path.write_text("0 1e-6\n1 2e-6\n5 4e-6\n1 3e-6\n2 1e-6\n", encoding="utf-8")
    table = read({"kind": "neurosim", "path": str(path)}).tables["pulses"]
    assert (np.diff(table.sequence) != 0).tolist() == [False, False, True, False]
    assert table.n_pulses.tolist() == [0, 1, 4, 1, 1]


@pytest.mark.parametrize("shape", ["long", "wide"])
def test_retention(shape: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    t, level = np.array([0.0, 0.01, 100.0]), np.array([3, 7, 11, 20])
    g = 1e-6 * (0.5 + level[:, None] + rng.normal(0, 0.1, (4, 3)))
    if shape == "long":
        settings = write_retention_long(tmp_path / "r.tsv.gz", t, g, level)
    else:
        settings = write_retention_wide(tmp_path / "r.csv", t, g)
    table = read(settings).tables["retention"]
    np.testing.assert_allclose(np.sort(table.conductance()), np.sort(g.ravel()), rtol=1e-12)
    for sequence in np.unique(table.sequence):
        own = table.select(table.sequence == sequence)
        np.testing.assert_allclose(own.t_s, t)
        cell = int(np.argmin(np.abs(g[:, 0] - own.conductance()[0])))
        np.testing.assert_allclose(own.conductance(), g[cell], rtol=1e-12)
        if shape == "long":
            np.testing.assert_allclose(own.target_S, 1e-6 * (0.5 + level[cell]))


@pytest.mark.parametrize("write", [write_noise_lines, write_noise_columns])
def test_noise_series(write: Any, tmp_path: Path) -> None:
    g = np.random.default_rng(3).normal(1e-5, 1e-7, (3, 40))
    table = read(write(tmp_path / "noise.txt", g, 50.0)).tables["noise"]
    np.testing.assert_allclose(table.conductance().reshape(3, 40), g, rtol=1e-12)
    np.testing.assert_allclose(table.t_s[:40], np.arange(40) / 50.0)


def test_reads_below_zero(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("g (uS)\n1\n-0.1\n2\n", encoding="utf-8")
    settings = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"g": "g"}, "direction": "up"}
    flagged = read(settings)
    assert flagged.tables["pulses"].flag.tolist() == [0, Flag.NEGATIVE.value, 0]
    assert flagged.log.total("negative conductance (current against the read voltage)") == 1
    magnitude = read({**settings, "negative": "magnitude"})
    np.testing.assert_allclose(magnitude.tables["pulses"].conductance(), [1e-6, 1e-7, 2e-6])
    assert magnitude.log.total("negative conductance, magnitude taken") == 1
    kept = read({**settings, "negative": "keep"})
    np.testing.assert_allclose(kept.tables["pulses"].conductance(), [1e-6, -1e-7, 2e-6])
    assert (kept.tables["pulses"].flag == 0).all()


def test_a_sign_convention_is_no_noise(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("i (uA)\n-1\n-2\n-3\n", encoding="utf-8")
    settings = {
        "kind": "csv",
        "path": str(path),
        "role": "pulses",
        "columns": {"i": "i"},
        "v_read": "0.1 V",
        "direction": "up",
    }
    with pytest.raises(MeasurementError, match=r"r\.csv:2: 3 of 3 reads have a current against the read voltage"):
        read(settings)


def test_times_out_of_order_are_sorted_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("cell,t (s),g (S)\n1,0,1e-6\n1,10,3e-6\n1,1,2e-6\n2,0,5e-6\n", encoding="utf-8")
    measured = read({"kind": "retention", "path": str(path), "columns": {"cell": "cell", "t": "t", "g": "g"}})
    table = measured.tables["retention"]
    np.testing.assert_allclose(table.t_s, [0, 1, 10, 0])
    np.testing.assert_allclose(table.conductance(), [1e-6, 2e-6, 3e-6, 5e-6])
    assert measured.log.total("time runs backwards (rows sorted by time)") == 1


def test_one_file_per_device_or_a_label_for_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("g (uS)\n1\n2\n", encoding="utf-8")
    settings = {
        "kind": "csv",
        "path": str(tmp_path / "*.csv"),
        "role": "pulses",
        "columns": {"g": "g"},
        "direction": "up",
    }
    assert len(np.unique(read(settings).tables["pulses"].cell_row)) == 2
    assert len(np.unique(read({**settings, "device": "x"}).tables["pulses"].cell_row)) == 1


def test_values_with_their_own_unit_are_converted_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text("g\n1 uS\n900 nS\n2e-6\n", encoding="utf-8")
    settings = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"g": "g"}, "direction": "up"}
    measured = read(settings)
    np.testing.assert_allclose(measured.tables["pulses"].conductance(), [1e-6, 9e-7, 2e-6])
    assert measured.log.total("value with its own unit, converted") == 2


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xef\xbb\xbfg (uS)\n1\n2\n", "byte order mark (UTF-8) skipped"),
        ("\ufeffg (uS)\n1\n2\n".encode("utf-16-le"), "UTF-16 text with byte order mark"),
        ("g (µS)\n1\n2\n".encode("cp1252"), "line in Windows code page 1252 instead of UTF-8"),
        (b"g (uS)\r\n1\r\n\r\n2\r\n", "blank line skipped"),
        (b"g (uS)\n1\n2\n9.9E37\n", "overflow mark of the instrument, taken as missing"),
    ],
)
def test_odd_files_are_read_and_counted(data: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(data)
    settings = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"g": "g"}, "direction": "up"}
    measured = read(settings)
    table = measured.tables["pulses"]
    np.testing.assert_allclose(table.conductance()[table.flag == 0], [1e-6, 2e-6])
    assert measured.log.total(what) == 1
    assert any(what in line for line in measured.log.lines())


def test_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "comma.csv"
    path.write_text("t;g\n0,5;1,25\n", encoding="utf-8")
    settings = {
        "kind": "csv",
        "path": str(path),
        "role": "noise",
        "columns": {"t": "t", "g": {"name": "g", "unit": "uS"}},
    }
    table = read({**settings, "decimal": ","}).tables["noise"]
    assert table.t_s.tolist() == [0.5]
    np.testing.assert_allclose(table.conductance(), [1.25e-6])


def test_a_file_without_rows_is_counted(tmp_path: Path) -> None:
    empty, full = tmp_path / "a_empty.csv", tmp_path / "b_full.csv"
    empty.write_text("g\n", encoding="utf-8")
    full.write_text("g\n1e-6\n", encoding="utf-8")
    settings = {"kind": "csv", "path": [str(empty), str(full)], "role": "noise", "columns": {"g": "g"}}
    measured = read(settings)
    assert measured.log.total("file without data rows") == 1
    assert len(measured.tables["noise"]) == 1


def test_an_empty_ramp_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "ramps.csv"
    path.write_text("a,b,c\n1e-6,,2e-6\n2e-6,,3e-6\n", encoding="utf-8")
    measured = read({"kind": "pulse_ramps", "path": str(path), "value": "conductance", "direction": "up"})
    assert measured.log.total("empty ramp") == 1
    assert any("column 'b': 1 x empty ramp" in line for line in measured.log.lines())
    assert len(np.unique(measured.tables["pulses"].sequence)) == 2


def test_rows_are_never_held_twice(tmp_path: Path) -> None:
    """Peak memory above the table itself is a few blocks, not another table."""
    path = tmp_path / "long.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("v,g (uS)\n")
        for k in range(120_000):
            file.write(f"{1.5 if k % 200 < 100 else -1.5},{5 + 0.001 * (k % 97)}\n")
    settings = {"kind": "csv", "path": str(path), "role": "pulses", "columns": {"v": "v", "g": "g"}}
    tracemalloc.start()
    table = read(settings).tables["pulses"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table) == 120_000
    assert peak < 1.9 * table.nbytes() + 12e6
