"""Files that cannot be used: one line that names file, line and column, what was found and what is allowed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_sim.config import ConfigError, discover, validate
from devices.measurements.columns.reader import Reader
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.pipeline import fit_measurements
from devices.measurements.table.sink import Sink
from devices.measurements.text.problems import MeasurementError

READERS = discover("devices.measurements.readers", Reader)
CSV: dict[str, Any] = {"kind": "csv", "role": "pulses", "direction": "up", "columns": {"g": "g"}}


def read(settings: Mapping[str, Any]) -> None:
    sink = Sink()
    READERS[settings["kind"]].model_validate(settings).read(sink)
    sink.measurements()


RAMPS: dict[str, Any] = {"kind": "pulse_ramps", "direction": "up", "unit": "A", "v_read": "0.1 V"}
BAD_TEXT: list[tuple[str, dict[str, Any], bytes, str]] = [
    ("empty file", CSV, b"", r"bad\.txt: the file is empty"),
    ("only a header", CSV, b"g\n", r"no measurement was read"),
    ("no header", CSV, b"\n\n", r"bad\.txt: there is no header line"),
    ("missing column", CSV, b"t,conductance\n1,2\n", r"bad\.txt:1: missing column 'g'; the header has: t, conductance"),
    ("near miss", {**CSV, "columns": {"g": "Conductnce"}}, b"t,Conductance\n1,2\n", r"did you mean 'Conductance'\?"),
    ("twice", CSV, b"g,g\n1,2\n", r"bad\.txt:1: 2 columns are called 'g'"),
    ("no such number", {**CSV, "columns": {"g": 7}}, b"a,b\n1,2\n", r"there is no column number 7: the header has 2"),
    ("wrong delimiter", {**CSV, "delimiter": ","}, b"t;g\n1;2\n", r"wrong delimiter: .* ',', 2 with ';'"),
    ("text", CSV, b"g\n1e-6\nabc\n", r"bad\.txt:3: column 'g': must be a number \(got 'abc'\)"),
    ("decimal comma", CSV, b"t;g\n1;1,5\n", r"bad\.txt:2: column 'g': .* decimal comma\?"),
    (
        "short row",
        {**CSV, "columns": {"g": "g"}},
        b"t,g\n1,2\n3\n",
        r"bad\.txt:3: column 'g': missing: the line has 1 field",
    ),
    ("other delimiter below", CSV, b"t,g\n1;2\n", r"bad\.txt:2: column 'g': missing: .* is the delimiter ';'\?"),
    (
        "wrong dimension",
        CSV,
        b"g (V)\n1\n",
        r"bad\.txt:1: column 'g \(V\)': 'V' is a unit of voltage, not of conductance",
    ),
    (
        "mixed units",
        {**CSV, "columns": {"g": {"name": "g", "unit": "uS"}}},
        b"g (nS)\n1\n",
        r"mixed units: .*'nS'.*'uS'",
    ),
    ("mixed units below", CSV, b"g (uS)\n1\n2 V\n", r"bad\.txt:3: column 'g \(uS\)': 'V' is a unit of voltage"),
    ("current", {**CSV, "columns": {"i": "i"}}, b"i\n1\n", r"a current needs the read voltage: give v_read"),
    ("longer row", RAMPS, b"1,2\n3,4,5\n", r"bad\.txt:2: has 3 values, the first line 2: whose are the others\?"),
    (
        "mixed delimiters",
        RAMPS,
        b"1e-6,2e-6\n1e-6;2e-6\n",
        r"bad\.txt:2: column 'column 1': .*; it holds ';': are all lines",
    ),
    ("no value", RAMPS, b"nan,nan\n,\n", r"no measurement was read: .*bad\.txt:1, column 'column 1': 2 x empty ramp"),
    (
        "mistaken unit",
        {**RAMPS, "unit": "A"},
        b"0.5,0.7\n",
        r"bad\.txt:1: conductance of 5 S: .* check unit and v_read",
    ),
    (
        "before programming",
        {"kind": "retention", "columns": {"cell": "cell", "t": "t", "g": "g"}},
        b"cell,t,g\n1,1,1e-6\n1,-2,1e-6\n",
        r"bad\.txt:3: time since programming must be >= 0 s \(got -2 s\)",
    ),
    ("not text", CSV, b"PK\x03\x04 workbook", r"a zip archive or an Excel workbook, not text"),
    ("binary", CSV, b"a\0b\0c", r"holds NUL bytes: not a text file"),
    ("gzip cut", CSV, b"\x1f\x8b\x08\x00\x00", r"not a complete gzip file"),
    (
        "cell number",
        {**CSV, "columns": {"g": "g", "cell_row": "x"}},
        b"x,g\n1.5,1\n",
        r"bad\.txt:2: column 'x': must be a whole",
    ),
    (
        "word",
        {**CSV, "columns": {"g": "g", "direction": "d"}},
        b"d,g\nsideways,1\n",
        r"bad\.txt:2: column 'd': got 'sideways'",
    ),
    ("B1500", {"kind": "keysight_b1500", "columns": {"g": "g"}}, b"a,b\n", r"no line begins with 'DataName'"),
    (
        "ArC ONE",
        {"kind": "arc_one"},
        b"x\ny\nrow,column\n",
        r"bad\.txt:3: not an ArC ONE header: missing column 'Wordline'",
    ),
    ("PyMeasure", {"kind": "pymeasure", "columns": {"g": "g"}}, b"g\n1\n", r"no '#' preamble before a header"),
    (
        "PyMeasure parameter",
        {"kind": "pymeasure", "columns": {"i": "i"}, "parameters": {"v_read": "Vr"}},
        b"#P: x\n#\tBias: 1 V\n#Data:\ni\n1\n",
        r"no parameter 'Vr' in the preamble; it has: P, Bias",
    ),
    (
        "PyMeasure unit",
        {"kind": "pymeasure", "columns": {"i": "i"}, "parameters": {"v_read": "Vr"}},
        b"#Parameters:\n#\tVr: 1 s\n#Data:\ni\n1\n",
        r"bad\.txt:2: column 'Vr': 's' is a unit of time, not of voltage",
    ),
    ("NeuroSim", {"kind": "neurosim"}, b"1 2 3\n", r"bad\.txt:1: has 3 column\(s\), a NeuroSim file has 2"),
    ("retention times", {"kind": "retention", "layout_is": "wide"}, b"a,b\n1,2\n", r"found 0 time\(s\) in the header"),
    ("retention columns", {"kind": "retention"}, b"a,b\n1,2\n", r"a long retention table needs columns"),
    (
        "distribution",
        {"kind": "step_distribution", "direction": "up"},
        b"#\n1 2\n0 1\n1 2\n",
        r"at least two lines of changes",
    ),
    (
        "distribution row",
        {"kind": "step_distribution", "direction": "up"},
        b"#\n1 2\n0 1\n1 2\n3\n",
        r"bad\.txt:5: has 1 numbers, expected 2",
    ),
    (
        "distribution probabilities",
        {"kind": "step_distribution", "direction": "up"},
        b"#\n1e-6 2e-6\n0 1.5\n1e-7 2e-7\n3e-7 3e-7\n",
        r"bad\.txt:3: probabilities must ascend within \[0, 1\]",
    ),
    ("not an archive", {"kind": "step_distribution_npz"}, b"hello", r"not a NumPy archive"),
    ("empty archive", {"kind": "step_distribution_npz"}, b"", r"not a NumPy archive"),
    ("not HDF5", {"kind": "arc_two"}, b"hello", r"not an HDF5 file"),
]


@pytest.mark.parametrize(
    ("settings", "data", "message"), [row[1:] for row in BAD_TEXT], ids=[row[0] for row in BAD_TEXT]
)
def test_one_clear_line(settings: dict[str, Any], data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    with pytest.raises(MeasurementError, match=message) as caught:
        read({**settings, "path": str(path)})
    assert "\n" not in str(caught.value)


def test_npz_without_the_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", cdf=np.arange(3) / 2, G=np.arange(3))
    with pytest.raises(MeasurementError, match=r"no array 'dG_dec'; the archive has: cdf, G"):
        read({"kind": "step_distribution_npz", "path": str(tmp_path / "x.npz")})


def config(readers: list[dict[str, Any]], **more: Any) -> MeasurementConfig:
    return validate({"schema": "measurements/1", "name": "x", "measurements": readers, **more}, MeasurementConfig)


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("g (uS)\n1\n", {}, "no two successive reads"),
        ("g (uS)\n3\n3\n3\n", {}, "all 3 reads are 3e-06 S"),
        (
            "g (uS),op\n1,write\n",
            {"columns": {"g": "g", "op": "op"}},
            r"got 'write'; allowed: 1, 2, 3, pulse, pulse_read, read",
        ),
        ("g (uS),n\n1,0\n2,0\n", {"columns": {"g": "g", "n_pulses": "n"}}, "holds no pulse"),
    ],
)
def test_too_little_to_fit(text: str, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "little.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MeasurementError, match=message):
        fit_measurements(config([{**CSV, **settings, "path": str(path)}]), tmp_path / "out")


def test_pulses_that_are_not_there_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "amplitudes.csv"
    path.write_text(
        "v,g (uS)\n" + "".join(f"{v},{k}\n" for k, v in enumerate([1.0, 1.0, 1.5, 1.5], 1)), encoding="utf-8"
    )
    reader = {"kind": "csv", "role": "pulses", "columns": {"v": "v", "g": "g"}, "path": str(path)}
    with pytest.raises(MeasurementError, match=r"pulse\.up: no pulse of 2 V, .*; the data hold: .*1\.5 V"):
        fit_measurements(config([reader], pulse={"up": {"amplitude": "2 V"}}), tmp_path / "out")


def test_configuration_mistakes_come_before_any_reading(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"measurements\.0\.path: no such file: 'nowhere\.csv'"):
        config([{**CSV, "path": "nowhere.csv"}])
    (tmp_path / "a.csv").write_text("g\n1\n", encoding="utf-8")
    good = {**CSV, "path": str(tmp_path / "a.csv")}
    with pytest.raises(ConfigError, match="must name at least one reader"):
        config([])
    with pytest.raises(ConfigError, match=r"unknown kind 'csw', did you mean 'csv'\?"):
        config([{**good, "kind": "csw"}])
    with pytest.raises(ConfigError, match="exactly one of i, g, r is what was read"):
        config([{**good, "columns": {"i": "i", "g": "g"}}])
    with pytest.raises(ConfigError, match="is not among the laws"):
        config([good], pulse={"laws": ["linear_step"], "use": "soft_bounds"})
    with pytest.raises(ConfigError, match="must be < g_max"):
        config([good], window={"g_min": 3, "g_max": 2})
    arbitrary = {"low": 1, "high": 1, "g_min": 1, "g_max": 2}
    with pytest.raises(ConfigError, match="must differ from low"):
        config([{"kind": "neurosim", "path": good["path"], "arbitrary": arbitrary}])


def test_a_decimal_comma_is_no_delimiter(tmp_path: Path) -> None:
    (tmp_path / "ramps.txt").write_text("1,5e-6;2,5e-6\n3,5e-6;4,5e-6\n")
    sink = Sink()
    READERS["pulse_ramps"].model_validate({**RAMPS, "path": str(tmp_path / "ramps.txt"), "decimal": ","}).read(sink)
    table = sink.measurements().tables["pulses"]
    np.testing.assert_allclose(np.sort(table.i_A), [1.5e-6, 2.5e-6, 3.5e-6, 4.5e-6])
