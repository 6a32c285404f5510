"""Delimited text, read in blocks: gzip, byte order marks, odd encodings, delimiters, numbers with units. Never holds a whole file.

A value that is no number ends the reading with file, line and column; an empty one becomes NaN and is counted.
"""

import csv
import gzip
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from analog_sim.config.units import SI_UNITS, UNITS, explain_unit, split, to_si, unit_name
from devices.measurements.problems import ReadLog, failure

F64 = npt.NDArray[np.float64]

BLOCK_ROWS = 16384
DELIMITERS = (",", "\t", ";", "|")
OVERFLOW = 9.9e37  # instruments write 9.9e37 or 199.999e99 for "out of range"
BLANK = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "-", "--", "1.#qnan", "1.#ind", "#ref!", "#value!"})

_MAGIC = {
    b"PK\x03\x04": "a zip archive or an Excel workbook, not text: export the sheet as CSV",
    b"\x89HDF": "an HDF5 file, not text: use a reader for HDF5 such as kind arc_two",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, not text: export the sheet as CSV",
    b"\x93NUMPY": "a NumPy file, not text",
}
_HEADER_UNIT = re.compile(r"^(?P<name>.*?)\s*[\(\[]\s*(?P<unit>[^()\[\]]*)\s*[\)\]]\s*$")
_ENDING_UNIT = re.compile(r"^(?P<name>.*?[^\s/,_])(?P<mark>\s*/\s*|\s*,\s*|\s+in\s+|_|\s+)(?P<unit>[^\s/,_]+)$")
_CUT_NUMBER = re.compile(r"\d,0\d*[1-9]")
READ_DIMENSIONS = ("conductance", "current", "resistance", "voltage", "time")
COMMENTS = ("#", "%", "//", ";")
"""What lines before the data begin with that are no data."""


@dataclass(frozen=True)
class Line:
    """One line of a file: 1-based number and text without the line end."""

    number: int
    text: str


class Lines:
    """Iterator over the lines of a text file, gzip or not, that can be asked for the next line without taking it."""

    def __init__(self, path: Path, log: ReadLog) -> None:
        self.path = path
        self._log = log
        self._stream = open_text(path, log)
        self._number = 0
        self._held: deque[Line] = deque()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> Line:
        return self._held.popleft() if self._held else self._next()

    def _next(self) -> Line:
        try:
            text = self._stream.readline()
        except (EOFError, OSError, UnicodeError) as error:
            raise failure(self.path, f"cannot be read to its end: {error}", line=self._number + 1) from error
        if not text:
            raise StopIteration
        self._number += 1
        return Line(self._number, self._mend(text.rstrip("\r\n")))

    def peek(self, ahead: int = 0) -> Line | None:
        """Return the next line, or one further ahead, without taking it; None at the end."""
        while len(self._held) <= ahead:
            try:
                self._held.append(self._next())
            except StopIteration:
                return None
        return self._held[ahead]

    def block(self, rows: int = BLOCK_ROWS) -> list[Line]:
        """Take up to `rows` lines."""
        taken = []
        for line in self:
            taken.append(line)
            if len(taken) == rows:
                break
        return taken

    def _mend(self, text: str) -> str:
        if text.isascii():
            return text
        try:
            text.encode()
        except UnicodeEncodeError:  # bytes that are not UTF-8: such files come from Windows in cp1252
            self._log.count(self.path, "line in Windows code page 1252 instead of UTF-8", line=self._number)
            return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
        return text


def open_text(path: Path, log: ReadLog) -> IO[str]:
    """Open a text file whatever its compression and byte order mark.

    Raises MeasurementError when the file is missing, empty or not text.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise failure(path, f"cannot be opened: {error.strerror}") from error
    packed = head[:2] == b"\x1f\x8b"
    if packed:
        try:
            with gzip.open(path) as file:
                head = file.read(4096)
        except (OSError, EOFError) as error:
            raise failure(path, f"not a complete gzip file: {error}") from error
    if not head:
        raise failure(path, "the file is empty")
    for magic, reason in _MAGIC.items():
        if head.startswith(magic):
            raise failure(path, reason)
    encoding, errors = "utf-8-sig", "surrogateescape"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        log.count(path, "UTF-16 text with byte order mark", line=1)
        encoding, errors = "utf-16", "strict"
    elif head[:3] == b"\xef\xbb\xbf":
        log.count(path, "byte order mark (UTF-8) skipped", line=1)
    elif b"\0" in head:
        raise failure(path, "holds NUL bytes: not a text file")
    opener = gzip.open if packed else open
    return opener(path, "rt", encoding=encoding, errors=errors, newline=None)


def fields_of(text: str, delimiter: str) -> list[str]:
    """Split one line; a space as delimiter means any white space. Quoted fields may hold the delimiter."""
    if delimiter == " ":
        return text.split()
    if '"' in text:
        return [field.strip() for field in next(csv.reader([text], delimiter=delimiter))]
    return [field.strip() for field in text.split(delimiter)]


def sniff_delimiter(text: str, following: str | None = None, decimal: str = ".") -> str:
    """Return the delimiter of a line: the candidate that splits it most; white space when none does. It is not the `decimal` mark.

    A header such as `G (uS)` holds white space of its own: with the line `following` it, white space is only taken when that line
    is split by it into as many fields; otherwise there is a single column.
    """
    candidates = [delimiter for delimiter in DELIMITERS if delimiter != decimal]
    best = max(candidates, key=lambda delimiter: len(fields_of(text, delimiter)))
    if len(fields_of(text, best)) > 1:
        return best
    return candidates[0] if following is not None and len(following.split()) != len(text.split()) else " "


def delimiter_name(delimiter: str) -> str:
    """Return a printable name."""
    return {"\t": "tab", " ": "white space"}.get(delimiter, f"'{delimiter}'")


def header_unit(header: str) -> tuple[str, str | None]:
    """Split `Name (unit)` or `Name [unit]` into name and unit text; None when there is no unit."""
    match = _HEADER_UNIT.match(header)
    return (match["name"].strip(), match["unit"].strip()) if match else (header.strip(), None)


def ending_unit(header: str, dimension: str) -> tuple[str, str | None]:
    """Split `Name/unit`, `Name, unit`, `Name in unit`, `Name_unit` or `Name unit` into name and unit of the dimension, else None.

    Only what is a unit of the dimension counts, and behind `_` or a blank no time but a second: `t_d` is a delay, not days.
    """
    match = _ENDING_UNIT.match(header.strip())
    unit = unit_name(match["unit"], dimension) if match else None
    if match is None or unit is None:
        return header.strip(), None
    if dimension == "time" and match["mark"].strip() in ("", "_") and not unit.endswith("s"):
        return header.strip(), None
    return match["name"].strip(), unit


def bare_name(header: str) -> str:
    """Name of a column without the unit that its header ends with."""
    name, unit = header_unit(header)
    if unit is not None:
        return name
    endings = (ending_unit(header, dimension) for dimension in READ_DIMENSIONS)
    return next((name for name, unit in endings if unit is not None), name)


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
        if decimal == ",":
            stripped = stripped.replace(".", "").replace(",", ".")
        try:
            return float(stripped) * self.scale + self.offset
        except ValueError:
            pass
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


def _mixed(text: str) -> str:
    """A hint when a field holds what separates fields elsewhere."""
    others = [delimiter_name(delimiter) for delimiter in DELIMITERS if delimiter in text]
    return f"; it holds {others[0]}: are all lines delimited alike? is the decimal mark right?" if others else ""


def refuse_longer_rows(lines: Sequence[Line], fields: int, delimiter: str, path: Path) -> None:
    """Refuse a line with more values than the first one: nobody knows whose they are. Raises MeasurementError."""
    for line in lines:
        if delimiter != " " and line.text.count(delimiter) < fields:
            continue
        found = fields_of(line.text, delimiter)
        if any(found[fields:]):
            raise failure(
                path, f"has {len(found)} values, the first line {fields}: whose are the others?", line=line.number
            )


def resolve_unit(path: Path, header: str, dimension: str | None, unit: str | None, line: int | None) -> str:
    """Return the unit of a column from its header and the configuration; the SI unit when neither says.

    Raises MeasurementError when they contradict each other or the unit is not of the dimension.
    """
    if dimension is None:
        return ""
    _, written = header_unit(header)
    in_header = unit_name(written, dimension) if written else None
    if written is None:
        in_header = ending_unit(header, dimension)[1]
    if written and in_header is None and any(unit_name(written, other) for other in UNITS if other != "fraction"):
        raise failure(path, explain_unit(written, dimension), line=line, column=header)
    if unit is None:
        return in_header or SI_UNITS[dimension]
    named = unit_name(unit, dimension)
    if named is None:
        raise failure(path, explain_unit(unit, dimension), column=header)
    if in_header is not None and UNITS[dimension][in_header] != UNITS[dimension][named]:
        raise failure(
            path, f"mixed units: the header says '{in_header}', the configuration '{named}'", line=line, column=header
        )
    return named


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


def take_preamble(lines: Lines, log: ReadLog) -> Line | None:
    """Take the comment lines at the beginning of a file and count them; return the last, without its mark, or None.

    A line that begins with `;` is a comment unless the line behind it has as many of them: then it is a table with a nameless column.
    """
    last: Line | None = None
    while (line := lines.peek()) is not None:
        mark = next((mark for mark in COMMENTS if line.text.lstrip().startswith(mark)), None)
        following = lines.peek(1)
        if mark is None or (
            mark == ";" and following is not None and line.text.count(";") == following.text.count(";")
        ):
            break
        last = Line(line.number, line.text.strip().lstrip(mark[0]).strip())
        log.count(lines.path, "comment line before the data", line=line.number)
        next(lines)
    return last


def commented_header(comment: Line | None, following: Line | None, decimal: str = ".") -> Line | None:
    """The last comment line when it names the columns of the numbers that follow it, as `numpy.savetxt` writes it; else None."""
    if comment is None or following is None:
        return None
    delimiter = sniff_delimiter(comment.text, following.text, decimal)
    names, fields = (fields_of(text, delimiter) for text in (comment.text, following.text))
    data = any(is_number(field, decimal) for field in fields) and not any(is_number(name, decimal) for name in names)
    return comment if data and len(names) == len(fields) else None


@dataclass(frozen=True)
class Head:
    """What a table of numbers begins with: fields of its first line, their names or None, the number of that line, the delimiter."""

    fields: list[str]
    names: list[str] | None
    line: int
    delimiter: str


def take_head(lines: Lines, log: ReadLog, decimal: str = ".", header: str = "auto") -> Head:
    """Take blank lines, comments and the header, when there is one, of a table whose columns are told by their place.

    Args:
        lines: of the file, from its beginning. log: for what is skipped. decimal: mark.
        header: yes, no, or auto: the first line is one when it holds no number.

    Raises MeasurementError when nothing is left.
    """
    while (first := lines.peek()) is not None and not first.text.strip():
        next(lines)
    if first is None:
        raise failure(lines.path, "the file holds only blank lines")
    comment = take_preamble(lines, log)
    first = lines.peek()
    if first is None:
        raise failure(lines.path, "the file holds only comments", line=comment.number if comment else None)
    named = commented_header(comment, first, decimal)
    if named is not None and header == "auto":
        delimiter = sniff_delimiter(named.text, first.text, decimal)
        names = fields_of(named.text, delimiter)
        return Head(names, names, named.number, delimiter)
    second = lines.peek(1)
    delimiter = sniff_delimiter(first.text, second.text if second else None, decimal)
    fields = fields_of(first.text, delimiter)
    if header == "yes" or (header == "auto" and not any(is_number(field, decimal) for field in fields)):
        next(lines)
        return Head(fields, fields, first.number, delimiter)
    return Head(fields, None, first.number, delimiter)


def note_missing_unit(
    log: ReadLog, path: Path, header: str, dimension: str | None, unit: str | None, line: int | None
) -> None:
    """Count a column whose unit neither the header nor the configuration says: its numbers are taken as SI."""
    if dimension not in ("conductance", "current", "resistance") or unit is not None:
        return
    if header_unit(header)[1] is None and ending_unit(header, dimension)[1] is None:
        what = f"column without a unit, its numbers taken as {SI_UNITS[dimension]}"
        log.count(path, what, line=line, column=header)


def data_lines(lines: Lines, log: ReadLog, comment: str | None = None) -> Iterator[list[Line]]:
    """Yield blocks of lines that are not blank and not comments; blank lines inside the data are counted."""
    blank: Line | None = None
    blanks = 0
    while True:
        block = lines.block()
        if not block:
            break
        kept = []
        for line in block:
            if not line.text.strip():
                blanks += 1
                blank = blank or line
            elif comment is None or not line.text.lstrip().startswith(comment):
                kept.append(line)
        if kept:
            yield kept
    if blanks:
        log.count(lines.path, "blank line skipped", times=blanks, line=blank.number if blank else None)


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
    """Whether a field is a plain number, by the rules of `float` and with this decimal mark."""
    try:
        float(text.replace(decimal, ".") if decimal != "." else text)
    except ValueError:
        return False
    return True
