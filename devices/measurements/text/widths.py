"""How many fields the lines of a table have. It never reads a field: it refuses lines of which nobody knows whose their fields are."""

from collections.abc import Sequence
from pathlib import Path

from devices.measurements.text.delimiters import fields_of
from devices.measurements.text.lines import Line
from devices.measurements.text.problems import ReadLog, failure


class Widths:
    """Checks the lines of one file, block by block, against the number of columns.

    A line with more values than the header (or the first line) is refused: columns may have moved, as at a decimal comma in a comma file.
    Empty fields behind the last column are no values where all lines have the same number of them; where one line has more, a value may
    hide in front of them. A line with fewer fields lacks the last ones, which is counted; between white space nobody knows which.
    """

    def __init__(
        self, path: Path, delimiter: str, log: ReadLog, header: Sequence[str] | None, *, short_rows: bool = False
    ) -> None:
        """`header`: names of the columns, None for as many as the first line has; `short_rows`: lines that end early mean nothing."""
        self._path, self._delimiter, self._log, self._short_rows = path, delimiter, log, short_rows
        self._columns = None if header is None else len(header)
        self._model = "the first line" if header is None else "the header"
        self._usual = 0  # fields of the lines so far that are not short

    def check(self, lines: Sequence[Line]) -> None:
        """Look at the lines of a block. Raises MeasurementError naming the first that does not fit."""
        for line in lines:
            if self._delimiter != " " and '"' not in line.text:
                count = line.text.count(self._delimiter) + 1
                if count == self._columns == self._usual:
                    continue
            fields = fields_of(line.text, self._delimiter)
            self._check(line, fields)

    def _check(self, line: Line, fields: Sequence[str]) -> None:
        if self._columns is None:
            self._columns = len(fields)
        count, columns = len(fields), self._columns
        if any(fields[columns:]):
            hint = "; decimal commas? set decimal: ',' and another delimiter" if self._delimiter == "," else ""
            reason = f"has {count} values, {self._model} {columns}: whose are the others?{hint}"
            raise failure(self._path, reason, line=line.number)
        if count < columns:
            if self._delimiter == " ":
                reason = (
                    f"has {count} values, {self._model} {columns}: between white space nobody knows which are missing"
                )
                raise failure(self._path, reason, line=line.number)
            if not self._short_rows:
                self._log.count(
                    self._path, f"line shorter than {self._model}, the rest taken as blank", line=line.number
                )
            return
        self._usual = self._usual or count
        if count != self._usual:
            reason = f"has {count} fields, blank ones included, the lines before {self._usual}: did a column move?"
            raise failure(self._path, reason, line=line.number)
