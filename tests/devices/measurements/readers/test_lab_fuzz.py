"""Mutated lab files: each ends in the right numbers, in counted ones, or in one line. Never a traceback, a hang or silent nonsense.

Nonsense is what a reader hands on, unflagged, although

1. a line that the mutation did not touch gives other numbers than it gave, or gives none and nothing is counted;
2. a line that it did touch gives a conductance that no field of its own column says (a slow parser of this file), without a count;
3. a line has more fields than the others, blank ones included, or fewer without a count, and is used;
4. a number is none of a measurement: conductances outside 0 to 1 S, pulses beyond 1000 V or 1e7 s, numbers of pulses that are not whole,
   times, targets and read voltages beyond their bounds;
5. an archive with a checksum (gzip, npz) gives other numbers than before.

What cannot be seen is not nonsense: a digit exchanged for another, a bit turned over in an HDF5 file, which has no checksum, a unit of the
header exchanged for another that exists, a line that is missing. Touched header lines excuse rule 1 and 2.

`ANALOG_HIL_FUZZ=300` tries 300 files, seeds 0 to 299; the suite tries the first 72. `ANALOG_HIL_FUZZ_FIRST=5000` begins
with seed 5000. A hang is a minute of processor time.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz_helpers import fuzz_seeds
from hang_helpers import no_hang
from lab_mutations import Base, bases, mutated

from analog_sim.config import UserError, validate
from devices.measurements.columns.pulse_columns import LARGEST_VOLTAGE, LONGEST_PULSE
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import histories_of
from devices.measurements.data.pulse_kinds import chosen_pulses
from devices.measurements.data.traces import traces_of
from devices.measurements.fit.distribution.fit import fit_distributions
from devices.measurements.fit.noise.series import series_of
from devices.measurements.pipeline.reading import read_measurements
from devices.measurements.table.sink import UNFIT, Measurements
from devices.measurements.table.table import MeasurementTable, Op
from devices.measurements.text.numbers import looks_numeric
from devices.measurements.text.problems import MeasurementError, ReadLog

LONGEST = 60
BASES = bases()

HARMLESS = (
    "comment line",
    "byte order",
    "UTF-16",
    "blank line",
    "last line",
    "line of delimiters",
    "line in Windows",
    "status",
    "column without",
)
"""Counts that excuse nothing: they are not about the numbers of a line."""

Values = dict[int, list[tuple[float, float]]]
"""Line -> sorted (conductance in siemens, pulse voltage in volts) of its rows that are not flagged."""


@dataclass(frozen=True)
class Outcome:
    """What reading a file gave: measurements, or the message that refused it."""

    measured: Measurements | None
    message: str


def config_of(base: Base, path: Path) -> MeasurementConfig:
    reader = {"kind": base.kind, **base.settings, "path": str(path)}
    return validate({"schema": "measurements/1", "name": "x", "measurements": [reader]}, MeasurementConfig)


def outcome(base: Base, path: Path) -> Outcome:
    """Read a file and make of it what the fits begin with."""
    config = config_of(base, path)
    try:
        measured = read_measurements(config, lambda text: None)
    except UserError as error:
        return Outcome(None, str(error))
    try:
        prepare(measured, config)
    except MeasurementError as error:
        return Outcome(measured, str(error))
    return Outcome(measured, "")


def prepare(measured: Measurements, config: MeasurementConfig) -> None:
    log = ReadLog()
    if "pulses" in measured.tables:
        keep, _ = chosen_pulses(measured.tables["pulses"], config, log)
        traces_of(measured.tables["pulses"], log, keep)
    if "retention" in measured.tables:
        histories_of(measured.tables["retention"], log)
    if "noise" in measured.tables:
        series_of(measured.tables["noise"], measured.sources)
    if measured.distributions:
        fit_distributions(measured.distributions, window=None)


def values_of(table: MeasurementTable) -> Values:
    found: Values = {}
    good = ((table.flag & UNFIT) == 0) & (table.op != Op.PULSE)
    g = table.conductance()
    for k in np.flatnonzero(good):
        found.setdefault(int(table.line[k]), []).append((float(g[k]), float(np.nan_to_num(table.v_V[k]))))
    return {line: sorted(rows) for line, rows in found.items()}


def lines_of(data: bytes) -> list[bytes]:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


def untouched(clean: list[bytes], changed: list[bytes]) -> dict[int, int]:
    """Line of the changed file -> the same line of the clean one (1-based): the common beginning and the common end."""
    first = 0
    while first < min(len(clean), len(changed)) and clean[first] == changed[first]:
        first += 1
    last = 0
    while last < min(len(clean), len(changed)) - first and clean[-1 - last] == changed[-1 - last]:
        last += 1
    pairs = {k + 1: k + 1 for k in range(first)}
    return pairs | {len(changed) - k: len(clean) - k for k in range(last)}


def same(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-5, atol=0.0)


def expected(base: Base, text: str) -> list[float]:
    """Conductances that the fields of a line say, by the plainest parser."""
    other = next((mark for mark in ",;\t" if mark in text), base.delimiter)  # where all delimiters were exchanged
    delimiter = base.delimiter if base.delimiter in text else other
    fields = text.split() if delimiter == " " else text.split(delimiter)
    chosen = range(len(fields)) if base.reads is None else [k for k in base.reads if k < len(fields)]
    found = []
    for k in chosen:
        field = fields[k].strip().strip('"').replace("," if base.settings.get("decimal") == "," else "\0", ".")
        if looks_numeric(field):
            try:
                found.append(base.siemens(float(field)))
            except ValueError:
                continue
    return found


def check_bounds(measured: Measurements) -> None:
    """Rule 4."""
    for table in measured.tables.values():
        good = (table.flag & UNFIT) == 0
        g = table.conductance()[good & (table.op != Op.PULSE)]
        assert ((g >= 0) & (g <= 1)).all()
        assert not (np.abs(table.v_V[good]) > LARGEST_VOLTAGE).any()
        assert not ((table.width_s[good] < 0) | (table.width_s[good] > LONGEST_PULSE)).any()
        assert ((table.n_pulses >= 0) & (table.n_pulses <= 1e9)).all()
        assert not ((table.target_S < 0) | (table.target_S > 1)).any()
        assert not (np.abs(table.t_s) > 1e11).any()
    for distribution in measured.distributions:
        assert np.isfinite(distribution.dg).all()
        assert np.abs(distribution.dg).max() <= 1
        assert ((distribution.g >= 0) & (distribution.g <= 1)).all()


def check_lines(base: Base, clean: Measurements, measured: Measurements, data: bytes) -> None:
    """Rules 1 to 3."""
    (role,) = clean.tables
    if role not in measured.tables:
        return
    before, after = values_of(clean.tables[role]), values_of(measured.tables[role])
    old, new = lines_of(base.data), lines_of(data)
    kept = untouched(old, new)
    head = range(1, min(before))
    if any(kept.get(line) != line for line in head):
        return
    counted = any(not what.startswith(HARMLESS) for _, what in measured.log.oddities) or bool(measured.log.notes)
    first = old[min(before) - 1]
    widest = len(first.split() if base.delimiter == " " else first.split(base.delimiter.encode()))
    delimiter = base.delimiter
    if delimiter.strip() == "" and delimiter.encode() not in data:
        delimiter = next(
            (other for other in ",;" if other.encode() in data), delimiter
        )  # of the whole file: read as it is
    for line, rows in after.items():
        text = new[line - 1].decode("utf-8", "replace")
        if line in kept:
            assert same(rows, before.get(kept[line], [])), f"rule 1: line {line}: {rows} for {before.get(kept[line])}"
            continue
        says = expected(base, text)
        for g, _ in rows:
            told = bool(np.isclose(g, says, rtol=1e-5, atol=0.0).any())
            assert told or counted, f"rule 2: line {line}: {g} S of {text!r}"
        fields = text.split() if delimiter == " " else text.split(delimiter)
        same_width = '"' in text or len(fields) == widest or (len(fields) < widest and counted)
        assert same_width or base.kind in ("noise_series", "pulse_ramps"), f"rule 3: line {line}: {text!r}"
    lost = [line for line, source in kept.items() if source in before and line not in after]
    assert not lost or counted, f"rule 1: lines {lost[:5]} give nothing, and nothing is counted"


def check_same(clean: Measurements, measured: Measurements) -> None:
    """Rule 5."""
    for role, table in measured.tables.items():
        np.testing.assert_array_equal(table.i_A, clean.tables[role].i_A)
    for one, other in zip(clean.distributions, measured.distributions, strict=True):
        np.testing.assert_array_equal(one.dg, other.dg)


def text_of(data: bytes) -> bytes:
    """The bytes of a text file without gzip, byte order mark and UTF-16. Raises what gzip raises."""
    plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    if plain[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return plain.decode("utf-16", "replace").encode()
    return plain.removeprefix(b"\xef\xbb\xbf")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the sound files hold."""
    folder = tmp_path_factory.mktemp("clean")
    found = {}
    for name, base in BASES.items():
        path = folder / f"{name}-{base.name}"
        path.write_bytes(base.data)
        found[name] = read_measurements(config_of(base, path), lambda text: None)
    return found


def test_the_slow_parser_agrees_with_the_readers(clean: dict[str, Any]) -> None:
    """Rule 2 is not empty: on the sound files every conductance is what its line says."""
    checked = 0
    for name, base in BASES.items():
        if base.delimiter:
            (table,) = clean[name].tables.values()
            lines = lines_of(base.data)
            for line, rows in values_of(table).items():
                says = expected(base, lines[line - 1].decode("utf-8", "replace"))
                assert all(np.isclose(g, says, rtol=1e-5, atol=0.0).any() for g, _ in rows), (name, line)
                checked += len(rows)
    assert checked > 1000


@pytest.mark.parametrize("seed", fuzz_seeds(72))
def test_a_mutated_file(seed: int, tmp_path: Path, clean: dict[str, Any]) -> None:
    name, what, data = mutated(seed, BASES)
    base = BASES[name]
    path = tmp_path / base.name
    path.write_bytes(data)
    with no_hang(LONGEST):
        found = outcome(base, path)
    assert "\n" not in found.message, what
    try:
        plain = text_of(data)
    except (OSError, EOFError, zlib.error):
        assert found.measured is None, "rule 5: damaged gzip was read"
    if found.measured is None:
        assert found.message, what
        return
    check_bounds(found.measured)
    if base.name.endswith((".gz", ".npz")):
        check_same(clean[name], found.measured)
    elif base.delimiter:
        check_lines(base, clean[name], found.measured, plain)
