"""Fields into SI numbers: plain ones by NumPy's reader, the others one by one, with decimal commas and units of their own.

A value that is no number ends the reading with file, line and column; an empty one becomes NaN.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.config.units import SI_UNITS, UNITS, explain_unit, split, to_si, unit_name
from devices.measurements.text.delimiters import DELIMITERS, delimiter_name, fields_of
from devices.measurements.text.lines import Line
from devices.measurements.text.problems import ReadLog, failure

F64 = npt.NDArray[np.float64]

OVERFLOW = 9.9e37  # instruments write 9.9e37 or 199.999e99 for "out of range"
BLANK = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--", "1.#qnan", "1.#ind", "#ref!", "#value!"})
_NUMERIC = re.compile(r"[+-]?[.,_ ]*\d[\d.,_ ]*([eE][+-]?\d+)?")
_CUT_NUMBER = re.compile(r"\d,0\d*[1-9]")


@dataclass(frozen=True)
class NumberColumn:
    """How one column of numbers is read: where it is, what it is called, its dimension and unit, a factor.

    value in SI = number * unit * factor + offset.
    """

    index: int
    name: str
    dimension: str | None = None
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    default: float | None = None

    @property
    def scale(self) -> float:
        """SI value of one unit."""
        if self.dimension is None:
            return self.factor
        return float(UNITS[self.dimension][self.unit].factor) * self.factor

    def text_value(self, text: str, path: Path, line: int, log: ReadLog, decimal: str) -> float:
        """Return the SI value of one field, NaN when it is blank. Raises MeasurementError."""
        stripped = text.strip().strip('"')
        if stripped.lower() in BLANK:
            return np.nan if self.default is None else self.default
        if decimal == "," and re.search(r"\d\.|\.\d", stripped):
            reason = f"got {text!r}: a point, where decimal commas are set; points between thousands are not read"
            raise failure(path, reason, line=line, column=self.name)
        plain = stripped.replace(decimal, ".")
        if is_number(plain):
            return float(plain) * self.scale + self.offset
        stripped = plain if decimal == "," else stripped
        parsed = split(stripped)
        if parsed is not None and parsed[1] and self.dimension is not None:
            unit = unit_name(parsed[1], self.dimension)
            if unit is None:
                reason = f"{explain_unit(parsed[1], self.dimension)} (got {text!r}){_mixed(stripped)}"
                raise failure(path, reason, line=line, column=self.name)
            log.count(path, "value with its own unit, converted", line=line, column=self.name, got=stripped)
            return float(to_si(parsed[0], unit, self.dimension)) * self.factor + self.offset
        hint = ""
        if decimal == "." and re.fullmatch(r"[+-]?\d+,\d+([eE][+-]?\d+)?", stripped):
            hint = "; a decimal comma? set decimal: ','"
        reason = f"must be a number (got {text!r}){hint or _mixed(stripped)}"
        raise failure(path, reason, line=line, column=self.name)


def numbers(
    lines: Sequence[Line],
    columns: Sequence[NumberColumn],
    delimiter: str,
    path: Path,
    log: ReadLog,
    *,
    decimal: str = ".",
    short_rows: bool = False,
) -> F64:
    """Return the SI numbers of some columns of a block, (len(lines), len(columns)); blanks are NaN.

    With `short_rows`, fields missing at the end of a line are blanks. Overflow marks of instruments become NaN and are counted.
    Raises MeasurementError naming file, line and column.
    """
    if not lines:
        return np.empty((0, len(columns)))
    if decimal == "." and delimiter == ",":
        _refuse_cut_numbers(lines, path)
    values = _fast(lines, columns, delimiter) if decimal == "." else None
    if values is None:
        values = np.array(
            [_slow(line, columns, delimiter, path, log, decimal, short_rows) for line in lines], np.float64
        )
    with np.errstate(invalid="ignore"):
        over = np.abs(values) >= OVERFLOW * np.array([abs(column.scale) for column in columns])
    if over.any():
        row, position = np.argwhere(over)[0]
        log.count(
            path,
            "overflow mark of the instrument, taken as missing",
            times=int(over.sum()),
            line=lines[row].number,
            column=columns[position].name,
        )
        values[over] = np.nan
    return values


def parse_quantity(text: str, dimension: str, path: Path, line: int | None, name: str) -> float:
    """Return the SI value of `10 s`, or of a bare number in SI. Raises MeasurementError."""
    parsed = split(text)
    if parsed is None:
        raise failure(path, f"must be a number with a unit (got {text!r})", line=line, column=name)
    number, written = parsed
    unit = unit_name(written, dimension) if written else SI_UNITS[dimension]
    if unit is None:
        raise failure(path, explain_unit(written, dimension), line=line, column=name)
    return float(to_si(Decimal(number), unit, dimension))


def is_number(text: str, decimal: str = ".") -> bool:
    """Whether a field is a plain number with this decimal mark; what only Python reads as one (`1_000`, other scripts' digits) is not."""
    if "_" in text or not text.isascii() or (decimal != "." and "." in text):
        return False
    try:
        float(text.replace(decimal, "."))
    except ValueError:
        return False
    return True


def looks_numeric(text: str) -> bool:
    """Whether a field is meant as a number, whatever its marks: such a line names no columns."""
    return is_number(text) or _NUMERIC.fullmatch(text) is not None


def _mixed(text: str) -> str:
    """A hint when a field holds what separates fields elsewhere."""
    others = [delimiter_name(delimiter) for delimiter in DELIMITERS if delimiter in text]
    return f"; it holds {others[0]}: are all lines delimited alike? is the decimal mark right?" if others else ""


def _refuse_cut_numbers(lines: Sequence[Line], path: Path) -> None:
    """Refuse lines such as `19,0712`, which are numbers with a decimal comma and not two numbers. Raises MeasurementError."""
    for line in lines:
        if _CUT_NUMBER.search(line.text) and not re.search(r"[.a-zA-Z\"]", line.text):
            reason = f"got {line.text.strip()!r}: whole numbers with leading zeros; decimal commas? set decimal: ','"
            raise failure(path, reason, line=line.number)


def _fast(lines: Sequence[Line], columns: Sequence[NumberColumn], delimiter: str) -> F64 | None:
    """Parse with NumPy's C reader; None when a field is not a plain number."""
    try:
        raw = np.loadtxt(
            [line.text for line in lines],
            delimiter=None if delimiter == " " else delimiter,
            usecols=[column.index for column in columns],
            comments=None,
            quotechar='"',
            ndmin=2,
        )
    except ValueError:
        return None
    if raw.shape[0] != len(lines):
        return None
    scale, offset = np.array([(column.scale, column.offset) for column in columns]).T
    return np.asarray(raw * scale + offset, np.float64)


def _slow(
    line: Line,
    columns: Sequence[NumberColumn],
    delimiter: str,
    path: Path,
    log: ReadLog,
    decimal: str,
    short_rows: bool,
) -> list[float]:
    parts = fields_of(line.text, delimiter)
    row = []
    for column in columns:
        if column.index >= len(parts):
            if short_rows:
                row.append(np.nan)
                continue
            others = [d for d in (*DELIMITERS, " ") if d != delimiter and len(fields_of(line.text, d)) > column.index]
            hint = f"; is the delimiter {delimiter_name(others[0])}?" if len(parts) == 1 and others else ""
            raise failure(
                path,
                f"missing: the line has {len(parts)} field(s), this column is number {column.index + 1}{hint}",
                line=line.number,
                column=column.name,
            )
        row.append(column.text_value(parts[column.index], path, line.number, log, decimal))
    return row
