"""Lines of a text file, read in blocks: gzip, byte order marks, odd encodings. Never holds a whole file, and never splits a line."""

import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devices.measurements.text.problems import ReadLog, failure

BLOCK_ROWS = 16384
LONGEST_LINE = 1 << 26
"""Characters of a line, 64 Mi: ten hours of reads at 400 Hz fit; what is longer is no line of a measurement."""
MOST_BLANK = 100_000
"""Blank lines, or lines before the data, one after another: what holds more is no measurement, and is not read for minutes."""
LIFE_LINES = 100_000
"""Lines between two signs of life."""
DAMAGE = (EOFError, OSError, UnicodeError, zlib.error)
"""What reading a text file, gzip or not, raises where it is damaged."""

_MAGIC = {
    b"PK\x03\x04": "a zip archive or an Excel workbook, not text: export the sheet as CSV",
    b"\x89HDF": "an HDF5 file, not text: use a reader for HDF5 such as kind arc_two",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook, not text: export the sheet as CSV",
    b"\x93NUMPY": "a NumPy file, not text",
    b"BZh": "a bzip2 file: unpack it, or pack it with gzip",
    b"\xfd7zXZ": "an xz file: unpack it, or pack it with gzip",
    b"%PDF": "a PDF, not text",
}


@dataclass(frozen=True)
class Line:
    """One line of a file: 1-based number and text without the line end."""

    number: int
    text: str


class LineReader:
    """Iterator over the lines of a text file, gzip or not, that can be asked for the next line without taking it."""

    def __init__(self, path: Path, log: ReadLog) -> None:
        self.path = path
        self._log = log
        self._stream = open_text(path, log)
        self._number, self._blank = 0, 0
        self._held: deque[Line] = deque()
        log.life(f"reading {path.name}")

    def __enter__(self) -> "LineReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> "LineReader":
        return self

    def __next__(self) -> Line:
        return self._held.popleft() if self._held else self._next()

    def _next(self) -> Line:
        try:
            text = self._stream.readline(LONGEST_LINE)
        except DAMAGE as error:
            raise failure(self.path, f"cannot be read to its end: {error}", line=self._number + 1) from error
        if not text:
            raise StopIteration
        self._number += 1
        if not text.endswith("\n"):
            self._log.count(self.path, "last line without a line end (was the file cut there?)", line=self._number)
        if len(text) == LONGEST_LINE:
            raise failure(self.path, f"longer than {LONGEST_LINE} characters: no line of text", line=self._number)
        self._blank = 0 if text.strip() else self._blank + 1
        if self._blank > MOST_BLANK:
            reason = f"more than {MOST_BLANK} blank lines one after another: no measurement"
            raise failure(self.path, reason, line=self._number)
        if self._number % LIFE_LINES == 0:
            self._log.life(f"{self.path.name}: {self._number} lines read")
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
        except DAMAGE as error:
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


def data_lines(
    lines: LineReader, log: ReadLog, comment: str | None = None, *, delimiter: str = " ", gaps: bool = False
) -> Iterator[list[Line]]:
    """Yield blocks of lines that are not blank and not comments; blank lines inside the data are counted.

    A line of delimiters only, as a spreadsheet writes it, is blank too. With `gaps` it stands for missing values where others follow,
    and is blank only at the end.
    """
    blank: dict[str, tuple[int, int]] = {}
    held: list[Line] = []
    run = 0

    def count(what: str, line: Line) -> None:
        times, first = blank.get(what, (0, line.number))
        blank[what] = times + 1, first

    while block := lines.block():
        kept: list[Line] = []
        for line in block:
            if not line.text.strip() and (delimiter != "\t" or "\t" not in line.text):
                count("blank line skipped", line)
            elif not line.text.strip(f'{delimiter}" \t'):
                run += 1
                if run > MOST_BLANK:
                    reason = f"more than {MOST_BLANK} lines of delimiters one after another: no measurement"
                    raise failure(lines.path, reason, line=line.number)
                if gaps:
                    held.append(line)
                else:
                    count(DELIMITERS_ONLY, line)
            elif comment is None or not line.text.lstrip().startswith(comment):
                kept += [*held, line]
                held.clear()
                run = 0
        if kept:
            yield kept
    for line in held:
        count(DELIMITERS_ONLY, line)
    for what, (times, first) in blank.items():
        log.count(lines.path, what, times=times, line=first)


DELIMITERS_ONLY = "line of delimiters only, skipped as blank"
