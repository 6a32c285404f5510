"""Kinds of mistakes in lab files that were once read as something else in silence: every member is refused, asked about or counted."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analog_sim.config import ConfigError, discover, validate
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, write_card
from devices.measurements.columns.files import find
from devices.measurements.columns.reader import Reader
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.alternation import turns_of
from devices.measurements.data.histories import histories_of
from devices.measurements.data.pulse_kinds import check_devices
from devices.measurements.data.traces import traces_of
from devices.measurements.pipeline.ageing_stage import FittedAgeing
from devices.measurements.pipeline.reading import LIFE_SECONDS, Life, describe, read_measurements
from devices.measurements.readers import keysight_b1500 as keysight_module
from devices.measurements.table.sink import Measurements, Sink
from devices.measurements.table.table import Flag, Op
from devices.measurements.text import head as head_module
from devices.measurements.text import lines as lines_module
from devices.measurements.text.problems import MeasurementError, ReadLog
from devices.tables_file import load_tables
from devices.window import Window

READERS = discover("devices.measurements.readers", Reader)
PULSES = {"kind": "csv", "role": "pulses"}
UP = {**PULSES, "direction": "up", "columns": {"g": "g"}}
RAMPS = {"kind": "pulse_ramps", "value": "conductance", "unit": "uS", "direction": "up"}
NOISE = {"kind": "noise_series", "unit": "uS", "sample_rate": "1 Hz", "series_are": "columns"}
WIDE = {"kind": "retention", "layout_is": "wide", "unit": "uS"}
LONG = {"kind": "retention", "columns": {"cell": "cell", "t": "t", "g": "g"}}


def read(folder: Path, text: str, **settings: Any) -> Measurements:
    path = folder / "lab.csv"
    path.write_text(text, encoding="utf-8")
    sink = Sink()
    READERS[settings["kind"]].model_validate({**settings, "path": str(path)}).read(sink)
    return sink.measurements()


def config(*readers: dict[str, Any], **more: Any) -> MeasurementConfig:
    return validate({"schema": "measurements/1", "name": "x", "measurements": list(readers), **more}, MeasurementConfig)


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    # More fields than the header: columns may have shifted.
    ("decimal comma in a comma file", LONG, "cell,t,g (uS)\na,1,19,5\n", r"lab\.csv:2: has 4 values, the header 3"),
    ("fields behind the header", UP, "g (uS)\n1,2\n", r"lab\.csv:2: has 2 values, the header 1"),
    (
        "fields behind the first line",
        {**UP, "header_row": False, "columns": {"g": {"name": 0, "unit": "uS"}}},
        "1,2\n3,4,5\n",
        r"lab\.csv:2: has 3 values, the first line 2",
    ),
    ("a wide table", {**WIDE, "times": ["1 s", "2 s"]}, "1,2\n1,2,3\n", r"lab\.csv:2: has 3 values, the header 2"),
    (
        "cells in columns",
        {**WIDE, "cells_are": "columns"},
        "t (s),a,b\n1,2,3,4\n",
        r"lab\.csv:2: has 4 values, the header 3",
    ),
    ("NeuroSim", {"kind": "neurosim", "unit": "uS"}, "1,2\n2,3,4\n", r"lab\.csv:2: has 3 values, the first line 2"),
    ("noise", NOISE, "1,2\n1,2,3\n", r"lab\.csv:2: has 3 values, the first line 2"),
    (
        "B1500",
        {"kind": "keysight_b1500", "columns": {"g": "G"}, "direction": "up"},
        "DataName,G\nDataValue,1e-6,5\n",
        r"lab\.csv:2: has 3 values, the header 2",
    ),
    (
        "blanks in white space",
        RAMPS,
        "1 2 3\n4 5 6\n1 3\n",
        r"lab\.csv:3: has 2 values, .* nobody knows which are missing",
    ),
    # Decimal marks.
    (
        "a point among commas",
        {**UP, "decimal": ","},
        "n;g (uS)\n1;10,5\n2;10.5\n",
        r"lab\.csv:3: column 'g \(uS\)': got '10\.5': a point, where decimal commas are set",
    ),
    ("thousands", {**RAMPS, "decimal": ","}, "1.000,5\n", r"lab\.csv:1: .* points between thousands are not read"),
    (
        "a point in a noise line",
        {**NOISE, "series_are": "lines", "decimal": ","},
        "1,5;1.5\n",
        r"lab\.csv:1: .* a point",
    ),
    ("digits in groups", UP, "g (uS)\n1_0\n", r"lab\.csv:2: column 'g \(uS\)': must be a number \(got '1_0'\)"),
    # Units that are none.
    ("umho", UP, "g (umho)\n1\n", r"lab\.csv:1: .*unknown unit 'umho' of conductance; allowed: aS, fS, pS, nS, uS"),
    ("umho behind a slash", {**UP, "columns": {"g": "g/umho"}}, "g/umho\n1\n", r"lab\.csv:1: .*unknown unit 'umho'"),
    ("arbitrary units", RAMPS | {"unit": None}, "g (a.u.)\n1\n", r"lab\.csv:1: .*unknown unit 'a\.u\.'"),
    (
        "points",
        {**UP, "columns": {"g": "g", "width": "w"}},
        "w (pts),g (uS)\n1,1\n",
        r"lab\.csv:1: .*unknown unit 'pts'",
    ),
    # Numbers that are no numbers of pulses, no targets, no times.
    (
        "negative number",
        {**UP, "columns": {"g": "g", "n_pulses": "n"}},
        "n,g\n-5,1e-6\n",
        r"lab\.csv:2: number of pulses must",
    ),
    ("half a pulse", {**UP, "columns": {"g": "g", "n_pulses": "n"}}, "n,g\n2.5,1e-6\n", r"lab\.csv:2: .*\(got 2\.5\)"),
    (
        "no pulse by op",
        {**UP, "columns": {"g": "g", "n_pulses": "n", "op": "o"}},
        "o,n,g\npulse_read,0,1\n",
        "read, where n_pulses is 0",
    ),
    (
        "half a pulse number",
        {"kind": "neurosim", "unit": "uS"},
        "0 1\n1.5 2\n",
        r"lab\.csv:2: .*pulse number must be whole",
    ),
    (
        "negative pulse number",
        {**UP, "columns": {"g": "g", "pulse": "n"}},
        "n,g\n-1,1e-6\n",
        r"lab\.csv:2: .*pulse number",
    ),
    (
        "negative target",
        {"kind": "retention", "columns": {"t": "t", "g": "g", "target": "x"}},
        "t,g,x (uS)\n1,1e-6,-5\n",
        r"lab\.csv:2: target must be 0 to 1 S: check its unit \(got -5e-06\)",
    ),
    (
        "target in the wrong unit",
        {**PULSES, "role": "programming", "columns": {"g": "g", "target": "x"}},
        "g,x\n1e-6,10\n",
        r"lab\.csv:2: target must be 0 to 1 S",
    ),
    ("eternity", LONG, "cell,t,g\na,1e30,1e-6\n", r"lab\.csv:2: time must be within"),
    (
        "read voltage",
        {**UP, "columns": {"i": "i", "v_read": "v"}},
        "i,v\n1e-6,1e30\n",
        r"lab\.csv:2: read voltage must be within",
    ),
    (
        "cell below 0",
        {**UP, "columns": {"g": "g", "cell_row": "r"}},
        "r,g\n-1,1e-6\n",
        r"lab\.csv:2: .*whole number >= 0",
    ),
    (
        "most pulses blank",
        {**PULSES, "columns": {"g": "g", "v": "v"}},
        "v,g\n1,1e-6\n,1e-6\n,1e-6\n",
        r"lab\.csv:3: 2 of 3 rows have a blank .* give its column default: 0",
    ),
    # Columns of a wide table.
    (
        "four columns for two times",
        {**WIDE, "times": ["1 s", "180 day"]},
        "G first,G later,,change (%)\n1,2,,3\n",
        r"lab\.csv:1: 2 times given for 4 columns \(G first, G later, a blank one, change \(%\)\); say which",
    ),
    (
        "a conductance as label",
        {**WIDE, "times": ["1 s"]},
        "G0 (uS),G1 (uS)\n1,2\n",
        r"lab\.csv:1: column 'G0 \(uS\)': has a unit",
    ),
    (
        "a cell without a name",
        {**WIDE, "times": ["1 s"]},
        "cell,G1\na,1\n,2\n",
        r"lab\.csv:3: column 'cell': the cell has no name",
    ),
    # Columns before and after.
    (
        "before beside after",
        {**UP, "columns": {"g": "G after"}},
        "G before (uS),G after (uS)\n1,2\n",
        r"lab\.csv:1: column 'G after \(uS\)': column 'G before \(uS\)' stands beside it: .* before: none",
    ),
    # RESET at positive voltage.
    (
        "potentiation that lowers",
        {**PULSES, "columns": {"v": "v", "g": "g"}},
        "v,g (uS)\n" + "".join(f"{-1 if k > 20 else 1},{abs(k - 20) + 1}\n" for k in range(41)),
        r"lab\.csv:3: pulses taken as potentiation lower the conductance \(20 of 20 steps\): .* potentiation: negative",
    ),
    (
        "steps up that lower",
        {"kind": "step_distribution", "direction": "up", "unit": "uS"},
        "#\n1 2\n0 1\n-1 -1\n-0.5 -0.5\n",
        "direction up lower the conductance at every state",
    ),
]


@pytest.mark.parametrize(("settings", "text", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_in_one_line(settings: dict[str, Any], text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=message) as caught:
        read(tmp_path, text, **settings)
    assert "\n" not in str(caught.value)


def test_a_stated_unit_stands_for_an_unknown_one(tmp_path: Path) -> None:
    table = read(tmp_path, "g (umho)\n1\n", **{**UP, "columns": {"g": {"name": "g (umho)", "unit": "uS"}}}).tables[
        "pulses"
    ]
    np.testing.assert_allclose(table.conductance(), [1e-6])


@pytest.mark.parametrize("name", ["up/down", "Set/Reset", "G in air", "G_top"])
def test_a_name_is_no_unit(name: str, tmp_path: Path) -> None:
    assert len(read(tmp_path, f"n,{name}\n1,1e-6\n", **{**UP, "columns": {"g": name}}).tables["pulses"]) == 1


ENDS: list[tuple[str, dict[str, Any], str, int]] = [
    ("columns", UP, "n,g (uS)\n1,2\n2,3\n,\n", 2),
    ("cells", {**UP, "columns": {"g": "g", "cell": "c"}}, "c;g (uS)\na;2\na;3\n;\n", 2),
    ("ramps", RAMPS, "1,2\n2,3\n,\n,\n", 4),
    ("tabs", RAMPS, "1\t2\n2\t3\n\t\n", 4),
    ("noise", NOISE, "1,2\n2,3\n,\n", 4),
    ("NeuroSim", {"kind": "neurosim", "unit": "uS"}, "1;2\n2;3\n;\n", 2),
    ("retention", {**WIDE, "times": ["1 s", "2 s"]}, "c,a,b\nx,1,2\n,,\n", 2),
]


@pytest.mark.parametrize(("settings", "text", "rows"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_a_last_line_of_delimiters_is_blank(settings: dict[str, Any], text: str, rows: int, tmp_path: Path) -> None:
    measured = read(tmp_path, text, **settings)
    (table,) = measured.tables.values()
    assert len(table) == rows
    assert (table.flag == 0).all()
    assert measured.log.total("line of delimiters only, skipped as blank") >= 1


def test_a_line_of_delimiters_inside_ramps_is_a_gap(tmp_path: Path) -> None:
    table = read(tmp_path, "1,2\n,\n2,3\n", **RAMPS).tables["pulses"]
    assert (table.flag == Flag.NOT_A_NUMBER).sum() == 2


def test_a_short_line_is_counted(tmp_path: Path) -> None:
    measured = read(tmp_path, "g (uS),remark\n1,a\n2\n", **UP)
    assert len(measured.tables["pulses"]) == 2
    assert measured.log.total("line shorter than the header, the rest taken as blank") == 1


LABELS = "c,v (V),g (uS)\n" + "".join(
    f"{name},1,{k}\n" for name in ("0", "1", "01", "ref", "spare") for k in range(1, 4)
)


def test_every_label_is_a_cell(tmp_path: Path) -> None:
    measured = read(tmp_path, LABELS, **{**PULSES, "columns": {"cell": "c", "v": "v", "g": "g"}})
    assert len(np.unique(measured.tables["pulses"].cell())) == 5
    assert "cells '1', '01' differ in their writing only: taken as 2 cells" in measured.log.notes


def test_long_labels_are_whole(tmp_path: Path) -> None:
    name = "2024-01-01T10:00:00_waferA_die07_measurement_cycle_"
    text = "s,g (uS)\n" + "".join(f"{name}{cycle},{k}\n" for cycle in range(3) for k in range(1, 4))
    table = read(tmp_path, text, **{**UP, "columns": {"sequence": "s", "g": "g"}}).tables["pulses"]
    assert len(np.unique(table.sequence)) == 3


def test_labels_of_a_second_file_are_no_numbers_of_the_first(tmp_path: Path) -> None:
    for file, names in (("a.csv", "01"), ("b.csv", "AB")):
        (tmp_path / file).write_text(
            "c,g (uS)\n" + "".join(f"{n},{k}\n" for n in names for k in (1, 2)), encoding="utf-8"
        )
    settings = {**UP, "columns": {"cell": "c", "g": "g"}}
    both = config({**settings, "path": str(tmp_path / "a.csv")}, {**settings, "path": str(tmp_path / "b.csv")})
    assert len(np.unique(read_measurements(both, print).tables["pulses"].cell())) == 4


def test_cells_of_two_files_are_the_same_unless_labels_part_them(tmp_path: Path) -> None:
    for file in ("a.csv", "b.csv"):
        (tmp_path / file).write_text(f"c,g (uS)\nA,1\nA,2\n{file},1\n", encoding="utf-8")
    settings = {**UP, "columns": {"cell": "c", "g": "g"}}
    one, two = ({**settings, "path": str(tmp_path / file)} for file in ("a.csv", "b.csv"))
    joined = read_measurements(config(one, two), print)
    assert len(np.unique(joined.tables["pulses"].cell())) == 3
    assert any(note.startswith("1 cell(s) are named in several files ('A')") for note in joined.log.notes)
    parted = read_measurements(config({**one, "device": "x"}, {**two, "device": "y"}), print)
    assert len(np.unique(parted.tables["pulses"].cell())) == 4


def test_places_and_labels_are_kept_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("r,g (uS)\n0,1\n0,2\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("g (uS)\n1\n2\n", encoding="utf-8")
    places = {**UP, "path": str(tmp_path / "a.csv"), "columns": {"cell_row": "r", "g": "g"}}
    table = read_measurements(config(places, {**UP, "path": str(tmp_path / "b.csv")}), print).tables["pulses"]
    assert len(np.unique(table.cell())) == 2


def test_one_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("g (uS)\n1\n2\n", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    path = str(tmp_path / "a.csv")
    for twice in ([path, path], [path, str(tmp_path / "link.csv")], str(tmp_path / "*.csv")):
        with pytest.raises(ConfigError, match=r"measurements\.0\.path: names '.*' twice"):
            config({**UP, "path": twice})
    with pytest.raises(ConfigError, match=r"reader 1 reads .* in the same way already"):
        config({**UP, "path": path}, {**UP, "path": path, "direction": "down"})
    config({**UP, "path": path}, {**UP, "path": path, "columns": {"g": 0}})
    assert len(find(str(tmp_path / "*.csv"), None)) == 2


def test_a_blank_pulse_is_no_read(tmp_path: Path) -> None:
    text = "v,w (ns),g (uS)\n1,100,1\n1,100,2\n,100,3\n1,,4\n0,,5\n1e30,100,6\n1,-5,7\n1,100,8\n1,100,9\n"
    settings = {**PULSES, "columns": {"v": "v", "width": "w", "g": "g"}}
    measured = read(tmp_path, text, **settings)
    table = measured.tables["pulses"]
    assert table.op.tolist() == [Op.PULSE_READ] * 4 + [Op.READ] + [Op.PULSE_READ] * 4
    assert (table.flag == Flag.PULSE_UNKNOWN).tolist() == [False] * 2 + [True] * 2 + [False] + [True] * 2 + [False] * 2
    assert any("lab.csv:4: 4 x blank or impossible pulse voltage" in line for line in measured.log.lines())
    steps, _, _ = traces_of(table, ReadLog()).changes()
    np.testing.assert_allclose(steps, [1e-6, 1e-6])
    plain = read(tmp_path, text, **{**settings, "columns": {"v": {"name": "v", "default": 0}, "width": "w", "g": "g"}})
    assert plain.tables["pulses"].op[2] == Op.READ, "a blank that was said to be a plain read"


@pytest.mark.parametrize(
    ("columns", "rows", "read_rows", "unknown"),
    [
        ({"v": "v"}, "1,0,1\n0,0,2\n,0,3\n1,1,4\n", [1, 2], [0]),
        ({"direction": "v"}, "up,0,1\n0,0,2\n,0,3\nup,1,4\n", [1, 2], [0]),
        ({"n_pulses": "v"}, "1,0,1\n0,0,2\n0,1,3\n1,1,4\n", [1, 2], [0]),
        ({}, "9,0,1\n9,1,2\n9,0,3\n9,1,4\n", [0, 2], []),
    ],
)
def test_a_width_of_zero_is_a_read_only_where_nothing_speaks_of_a_pulse(
    columns: dict[str, str], rows: str, read_rows: list[int], unknown: list[int], tmp_path: Path
) -> None:
    settings = {**PULSES, "columns": {**columns, "width": "w", "g": "g"}}
    table = read(tmp_path, f"v,w (ns),g (uS)\n{rows}", **settings).tables["pulses"]
    assert np.flatnonzero(table.op == Op.READ).tolist() == read_rows
    assert np.flatnonzero(table.flag == Flag.PULSE_UNKNOWN).tolist() == unknown


@pytest.mark.parametrize("head", ["V {mV}", "V <mV>", "V-mV", "V - mV", "mV", "V_mV", "V [mV]", "V in mV"])
def test_a_unit_is_found_however_it_is_set_off(head: str, tmp_path: Path) -> None:
    text = f"{head};g (uS)\n50;1\n50;2\n"
    measured = read(tmp_path, text, **{**PULSES, "columns": {"v": 0, "g": "g"}})
    np.testing.assert_allclose(measured.tables["pulses"].v_V, 0.05)
    assert not any("without a unit" in line for line in measured.log.lines())


def test_columns_without_a_unit_are_counted_whatever_they_hold(tmp_path: Path) -> None:
    columns = {name: name for name in ("t", "v", "width", "v_read", "i")}
    text = "t,v,width,v_read,i\n1,1,1e-7,0.1,1e-6\n2,1,1e-7,0.1,2e-6\n"
    log = read(tmp_path, text, **{**PULSES, "columns": columns}).log
    counted = {unit: log.total(f"column without a unit, its numbers taken as {unit}") for unit in ("s", "V", "A")}
    assert counted == {"s": 2, "V": 2, "A": 1}


def test_reads_of_small_currents_are_no_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reads = 1e-9 * (1.0 + 0.01 * rng.standard_normal((300, 2)))
    text = "a,b\n" + "".join(f"{a!r},{b!r}\n" for a, b in sorted(reads[:5].tolist()) + reads[5:].tolist())
    settings = {**NOISE, "value": "current", "unit": "A", "v_read": "0.1 V"}
    assert len(read(tmp_path, text, **settings).tables["noise"]) == 600


def test_copies_of_a_file_are_said(tmp_path: Path) -> None:
    text = "g (uS)\n1\n2\n3\n"
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "c.csv").write_text(text.replace("3", "4"), encoding="utf-8")
    lines = read_measurements(config({**UP, "path": str(tmp_path / "*.csv")}), lambda _: None).log.lines()
    (line,) = [line for line in lines if "same bytes" in line]
    assert "a.csv" in line
    assert "b.csv" in line
    assert "c.csv" not in line


def test_windows_that_no_card_can_have_are_refused_before_a_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"window\.g_min: must leave a window of at least 0\.0001 of g_max"):
        config({**UP, "path": __file__}, window={"g_min": "10 uS", "g_max": "10.0001 uS"})
    with pytest.raises(ConfigError, match=r"window\.g_min: must end between 1e-15 and 1 S"):
        config({**UP, "path": __file__}, window={"g_min": "1 aS", "g_max": "9 aS"})


def test_a_blank_number_of_pulses_is_no_read(tmp_path: Path) -> None:
    table = read(
        tmp_path, "n,g (uS)\n1,1\n2,2\n,3\n0,4\n1,5\n", **{**UP, "columns": {"n_pulses": "n", "g": "g"}}
    ).tables["pulses"]
    assert (table.flag == Flag.PULSE_UNKNOWN).tolist() == [False, False, True, False, False]
    assert table.op[3] == Op.READ


def test_only_by_number(tmp_path: Path) -> None:
    settings = {**UP, "header_row": False, "columns": {"g": {"name": 0, "unit": "uS"}}, "only": {1: 85}}
    np.testing.assert_allclose(
        read(tmp_path, "1,25\n2,85\n3,85\n", **settings).tables["pulses"].conductance(), [2e-6, 3e-6]
    )
    named = {**UP, "only": {1: 85}}
    np.testing.assert_allclose(read(tmp_path, "g (uS),T\n1,25\n2,85\n", **named).tables["pulses"].conductance(), [2e-6])


def test_wide_tables_say_their_columns(tmp_path: Path) -> None:
    text = "G first,G later,,change\n1,2,,3\n4,5,,6\n"
    settings = {**WIDE, "times": ["1 s", "180 day"], "time_columns": ["G first", 1]}
    table = read(tmp_path, text, **settings).tables["retention"]
    np.testing.assert_allclose(table.conductance(), [1e-6, 2e-6, 4e-6, 5e-6])
    labelled = read(
        tmp_path, "x,name,y\n1,a,2\n3,01,4.0\n5,1,6\n", **{**WIDE, "times": ["1 s", "1 h"], "label": "name"}
    )
    np.testing.assert_allclose(labelled.tables["retention"].conductance(), 1e-6 * np.arange(1, 7))
    assert len(np.unique(labelled.tables["retention"].cell())) == 3


def test_dense_retention_is_averaged_and_said() -> None:
    """20 cells, 3000 reads each, of which all but 300 were once left out, with a hint at temperatures."""
    rng = np.random.default_rng(0)
    t = np.linspace(1.0, 3000.0, 3000)
    sink = Sink()
    for cell in range(20):
        g = 20e-6 * t**-0.02 + rng.normal(0, 1e-7, len(t))
        rows = {"sequence": cell, "cell_row": cell, "t_s": t, "i_A": 0.1 * g, "v_read_V": 0.1}
        sink.rows("retention", Path("x"), np.arange(len(t)), rows)
    log = ReadLog()
    found = histories_of(sink.measurements().tables["retention"], log)
    assert len(found.nominal) == 12
    np.testing.assert_allclose(found.t[:, 0], 1.0)
    np.testing.assert_allclose(found.g[:, 1:], 20e-6 * found.t[:, 1:] ** -0.02, atol=4e-7 / np.sqrt(2))
    assert found.g[:, -1].std() < 1e-8, "the mean of a thousand reads"
    (note,) = log.notes
    assert note.startswith("59")
    assert "temperature" not in note
    assert "role: noise" in note


def test_reads_at_one_time_hint_at_conditions(tmp_path: Path) -> None:
    text = "cell,t,g (uS)\n" + "".join(f"{c},{t},{g}\n" for c in "ab" for g in (1, 2) for t in (1, 100))
    log = ReadLog()
    found = histories_of(read(tmp_path, text, **LONG).tables["retention"], log)
    np.testing.assert_allclose(found.g, 1e-6)
    assert log.notes[0].startswith("4 retention read(s) at a time at which")


FOLDERS = {"kind": "step_distribution", "unit": "uS"}


def lut(path: Path, sign: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#\n1 2 3\n0 0.5 1\n{'0.1 0.1 0.1' if sign > 0 else '-0.3 -0.3 -0.3'}\n"
        + "".join(f"{' '.join([str(sign * x)] * 3)}\n" for x in ((0.2, 0.3) if sign > 0 else (0.2, 0.1))),
        encoding="utf-8",
    )


def test_devices_are_named_by_their_folders(tmp_path: Path) -> None:
    for k in range(3):
        lut(tmp_path / str(k) / "up.txt", 1)
        lut(tmp_path / str(k) / "down.txt", -1)
    readers = [{**FOLDERS, "path": str(tmp_path / "*" / f"{side}.txt"), "direction": side} for side in ("up", "down")]
    measured = read_measurements(config(*readers), print)
    assert len({d.device for d in measured.distributions}) == 3
    assert any("named by its folder" in note for note in measured.log.notes)
    with pytest.raises(
        MeasurementError, match=r"none of the devices has both directions \(3 have up only, 3 down only\)"
    ):
        read_measurements(config(*({**reader, "devices_are": "files"} for reader in readers)), print)


def test_one_device_of_one_direction_is_refused_among_others(tmp_path: Path) -> None:
    for name, sign in (("a_up", 1), ("a_down", -1), ("b_up", 1)):
        lut(tmp_path / f"{name}.txt", sign)
    readers = [
        {**FOLDERS, "path": str(tmp_path / f"{name}.txt"), "direction": name[2:], "device": name[0]}
        for name in ("a_up", "a_down", "b_up")
    ]
    with pytest.raises(MeasurementError, match="only 1 of 2 of the devices has both directions"):
        read_measurements(config(*readers), print)
    read_measurements(config(*readers[::2]), print)


def test_pulses_of_devices_of_one_direction_each_are_asked_about(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"{2 * k},{101 - k}\n" for k in range(1, 50))
    log = ReadLog()
    settings = {**RAMPS, "direction": ["up", "down"]}
    parted = read(tmp_path, text, **{**settings, "columns_are": "devices"}).tables["pulses"]
    with pytest.raises(
        MeasurementError, match=r"no device was pulsed in both directions: 1 device\(s\) were pulsed up only and 1 down"
    ):
        check_devices(traces_of(parted, log), log)
    check_devices(traces_of(read(tmp_path, text, **settings).tables["pulses"], log), log)
    mixed = Sink()
    for name, data, columns in (("m.csv", text, "ramps"), ("n.csv", text, "devices")):
        (tmp_path / name).write_text(data, encoding="utf-8")
        reader = {**settings, "columns_are": columns, "path": str(tmp_path / name)}
        READERS["pulse_ramps"].model_validate(reader).read(mixed)
    check_devices(traces_of(mixed.measurements().tables["pulses"], log), log)
    assert log.notes[-1].startswith("1 device(s) were pulsed up only and 1 down only, 1 both ways")


def test_before_and_after_are_two_reads(tmp_path: Path) -> None:
    settings = {**UP, "columns": {"g": "G after", "before": "G before"}}
    table = read(
        tmp_path, "G before (uS),G after (uS)\n" + "".join(f"{k},{k + 1}\n" for k in range(1, 6)), **settings
    ).tables["pulses"]
    np.testing.assert_allclose(table.conductance(), 1e-6 * np.repeat(np.arange(1, 7), 2)[1:-1])
    assert len(np.unique(table.sequence)) == 1, "every line begins where the one before ended"
    reset = read(tmp_path, "G before (uS),G after (uS)\n" + "".join(f"1,{k + 2}\n" for k in range(6)), **settings)
    assert len(np.unique(reset.tables["pulses"].sequence)) == 6
    steps, _, _ = traces_of(reset.tables["pulses"], ReadLog()).changes()
    np.testing.assert_allclose(steps, 1e-6 * np.arange(1, 7))
    assert reset.log.total("line that does not begin where the one before ended: a new run") == 5
    plain = read(
        tmp_path, "G before (uS),G after (uS)\n1,2\n2,3\n", **{**UP, "columns": {"g": "G after", "before": "none"}}
    )
    assert len(plain.tables["pulses"]) == 2


def alternating(count: int, noise: float, drift: float = 0.0, seed: int = 0) -> np.ndarray:
    k = np.arange(count)
    return 50.0 + 20.0 * (-1.0) ** k + drift * k + np.random.default_rng(seed).normal(0, noise, count)


def test_pulses_in_turns_are_found(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(
        f"{x:.4f},{y:.4f}\n" for x, y in zip(alternating(60, 3.0), alternating(60, 3.0, 0.5, 1), strict=True)
    )
    measured = read(tmp_path, text, **{**RAMPS, "direction": "auto", "columns_are": "devices"})
    log = ReadLog()
    traces = traces_of(measured.tables["pulses"], log)
    change, _, direction = traces.changes()
    assert (np.sign(change) == direction).all()
    assert "go up and down by turns" in log.notes[0]


def test_turns_in_a_stretch_are_asked_about(tmp_path: Path) -> None:
    g = np.r_[np.linspace(10, 90, 200), np.linspace(90, 10, 200), alternating(200, 1.0)]
    measured = read(tmp_path, "".join(f"{x:.4f}\n" for x in g), **{**RAMPS, "direction": "auto"})
    with pytest.raises(MeasurementError, match="as if pulses of both directions came in turns"):
        traces_of(measured.tables["pulses"], ReadLog())


def test_ramps_are_not_in_turns() -> None:
    """Budget: 400 sequences of noise about bent ramps; under the stated thresholds not one in a thousand experiments has a false alarm."""
    rng = np.random.default_rng(2)
    ramp = 90.0 * (1 - np.exp(-np.arange(300) / 60))
    for noise in (0.0, 0.1, 3.0, 30.0):
        for _ in range(100):
            turns = turns_of([ramp + rng.normal(0, noise, 300)])
            assert not turns.found
            assert not turns.partly


@pytest.mark.parametrize("stated", [False, True])
def test_a_potentiation_that_raises_in_jumps_is_no_mistake(stated: bool, tmp_path: Path) -> None:
    """Abrupt SET: one large rise, many small falls; and a ramp that is reset without a line of its own."""
    g = np.tile(np.r_[10.0, 60.0 - 0.5 * np.arange(12)], 6)
    text = "v,g (uS)\n" + "".join(f"{1 if k % 13 else -1},{x}\n" for k, x in enumerate(g))
    settings = {**PULSES, "columns": {"v": "v", "g": "g"}} | ({"potentiation": "positive"} if stated else {})
    read(tmp_path, text, **settings)


def test_stated_directions_that_the_data_contradict_are_noted(tmp_path: Path) -> None:
    text = "v,g (uS)\n" + "".join(f"1,{50 - k}\n" for k in range(30))
    measured = read(tmp_path, text, **{**PULSES, "columns": {"v": "v", "g": "g"}, "potentiation": "positive"})
    assert any("lower the conductance" in note for note in measured.log.notes)
    fine = read(tmp_path, text, **{**PULSES, "columns": {"v": "v", "g": "g"}, "potentiation": "negative"})
    assert not fine.log.notes


def test_a_bake_is_on_the_card(tmp_path: Path) -> None:
    text = "cell,t,g (uS),Temp (C)\n" + "".join(f"{c},{t},5,100\n" for c in range(3) for t in (1, 10))
    (tmp_path / "lab.csv").write_text(text, encoding="utf-8")
    baked = {**LONG, "path": str(tmp_path / "lab.csv"), "only": {"Temp": 100}}
    assert any("temperature: ... C" in note for note in read_measurements(config(baked), print).log.notes)
    parts = CardParts("x", "", Window(1e-6, 9e-6))
    tables = {"mean": 1e-7 * np.ones(3), "std": 1e-7 * np.ones(3), "initial_std": np.zeros(3), "t_0": 1.0}
    laws = (SimpleNamespace(tables=tables),)
    asked = config(baked, temperature="100 C")
    histories = histories_of(read_measurements(asked, print).tables["retention"], ReadLog())
    FittedAgeing(asked, histories, parts.window, (), (), laws).compile(parts)  # type: ignore[arg-type]
    card = load_card(write_card(tmp_path, parts, {}))
    assert card.temperature == pytest.approx(373.15)
    (caution,) = card.cautions()
    assert "was measured at 100 C" in caution
    assert load_card("pcm").cautions() == ()


# ---- archives


def test_a_gzip_damaged_in_the_middle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = bytearray(gzip.compress(("g (uS)\n" + "".join(f"{x:.8f}\n" for x in rng.uniform(1, 9, 30000))).encode()))
    data[len(data) // 2 : len(data) // 2 + 30] = rng.bytes(30)
    (tmp_path / "d.csv.gz").write_bytes(bytes(data))
    with pytest.raises(MeasurementError, match=r"d\.csv\.gz:\d+: "):
        READERS["csv"].model_validate({**UP, "path": str(tmp_path / "d.csv.gz")}).read(Sink())


@pytest.mark.parametrize("content", ["\n", ",\n", "#\n", "\t\n"])
@pytest.mark.parametrize(
    "kind", ["csv", "neurosim", "pulse_ramps", "noise_series", "keysight_b1500", "step_distribution", "retention"]
)
def test_blank_lines_without_end(kind: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed, 1e8 of them are 100 kB; reading stops at the first 100,000 (here at 200), not at the end."""
    for module in (lines_module, head_module, keysight_module):
        monkeypatch.setattr(module, "MOST_BLANK", 200)
    (tmp_path / "d.gz").write_bytes(gzip.compress(content.encode() * 3000, 1))
    settings = {
        "csv": UP,
        "neurosim": {"kind": "neurosim"},
        "pulse_ramps": RAMPS,
        "noise_series": NOISE,
        "keysight_b1500": {"kind": "keysight_b1500", "columns": {"g": "g"}},
        "step_distribution": {"kind": "step_distribution", "direction": "up"},
        "retention": WIDE,
    }[kind]
    with pytest.raises(MeasurementError, match=r"d\.gz"):
        READERS[kind].model_validate({**settings, "path": str(tmp_path / "d.gz")}).read(Sink())


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LONGEST_LINE", 1000)
    (tmp_path / "d.csv").write_text("g\n" + "1," * 1000, encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"d\.csv:2: longer than 1000 characters"):
        READERS["csv"].model_validate({**UP, "path": str(tmp_path / "d.csv")}).read(Sink())


def archive(path: Path, **arrays: Any) -> None:
    p, g = np.array([0.0, 0.5, 1.0]), np.array([1e-6, 2e-6])
    dg = np.array([[1e-7, 1e-7], [2e-7, 2e-7], [3e-7, 3e-7]])
    np.savez(path, **({"cdf": p, "G": g, "dG_inc": dg, "dG_dec": -dg[::-1]} | arrays))


NPZ: list[tuple[str, dict[str, Any], str]] = [
    ("texts", {"G": np.array(["a", "b"])}, r"array 'G' holds <U1, not numbers"),
    (
        "objects",
        {"G": np.array([{}, None], object)},
        r"array 'G' holds Python objects, as lists of unequal length become",
    ),
    ("complex", {"G": np.array([1j, 2j])}, r"array 'G' holds complex128"),
    ("empty", {"G": np.empty(0)}, r"array 'G' has shape \(0,\)"),
    ("too deep", {"G": np.zeros((1, 1, 1))}, r"array 'G' has shape \(1, 1, 1\)"),
    ("siemens", {"G": np.array([1.0, 2.0])}, r"states of 2 S: more than 1 S"),
]


@pytest.mark.parametrize(("arrays", "message"), [row[1:] for row in NPZ], ids=[row[0] for row in NPZ])
def test_archives_of_other_things(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    archive(tmp_path / "d.npz", **arrays)
    with pytest.raises(MeasurementError, match=rf"d\.npz: {message}") as caught:
        READERS["step_distribution_npz"].model_validate({"path": str(tmp_path / "d.npz")}).read(Sink())
    assert "\n" not in str(caught.value)


def damaged_archives(folder: Path) -> list[Path]:
    archive(folder / "good.npz")
    good = (folder / "good.npz").read_bytes()
    rng = np.random.default_rng(3)
    paths = []
    for k in range(40):
        bad = bytearray(good)
        at = int(rng.integers(0, len(bad)))
        bad[at : at + 4] = rng.bytes(min(4, len(bad) - at))
        paths.append(folder / f"bad{k}.npz")
        paths[-1].write_bytes(bytes(bad if k % 4 else bad[:at]))
    np.save(folder / "one.npy", np.arange(3))
    with zipfile.ZipFile(folder / "text.npz", "w") as file:
        file.writestr("G.npy", "no array")
    return [*paths, folder / "one.npy", folder / "text.npz"]


def test_damaged_archives_end_in_a_line(tmp_path: Path) -> None:
    messages = []
    for path in damaged_archives(tmp_path):
        reader = READERS["step_distribution_npz"].model_validate({"path": str(path)})
        message = one_line(lambda reader=reader: reader.read(Sink()))
        assert path.name in (message or path.name)
        messages.append(message)
        with pytest.raises(ValueError, match=path.name):  # none is a tables file of a card, either
            load_tables(path)
    assert sum(message is not None for message in messages) > 30


def one_line(work: Callable[[], None]) -> str | None:
    """What a MeasurementError said, which must be one line; None without."""
    try:
        work()
    except MeasurementError as error:
        return str(error) if "\n" not in str(error) else "two lines"
    return None


def test_damaged_hdf5_ends_in_a_line(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for name, make in {
        "group": lambda f: f.create_group("crosspoints/W00B00/timeseries"),
        "data set": lambda f: f.create_dataset("crosspoints", data=[1, 2]),
        "texts": lambda f: f.create_dataset(
            "crosspoints/W00B00/timeseries",
            data=np.array(
                [(b"a",) * 5], [(n, "S1") for n in ("current", "voltage", "pulse_width", "read_voltage", "op_type")]
            ),
        ).attrs.create("NROWS", 1),
    }.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(MeasurementError, match=rf"{name}\.h5: ") as caught:
            READERS["arc_two"].model_validate({"path": str(path)}).read(Sink())
        assert "\n" not in str(caught.value)


def test_a_long_reading_shows_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("devices.measurements.pipeline.reading.time.monotonic", lambda: clock[0])
    said: list[str] = []
    life = Life(said.append)
    for k in range(10):
        clock[0] = 0.3 * LIFE_SECONDS * k
        life(str(k))
    assert said == ["4", "8"]
    clock[0] = 0.0
    monkeypatch.setattr("devices.measurements.pipeline.reading.LIFE_SECONDS", 0.0)
    for k in range(40):
        (tmp_path / f"{k:02}.csv").write_text("g (uS)\n" + "".join(f"{x}\n" for x in range(1, 1101)), encoding="utf-8")
    told: list[str] = []
    describe(config({**UP, "path": str(tmp_path / "*.csv")}), told.append)
    assert sum(text.startswith("reading 3") for text in told) >= 10
