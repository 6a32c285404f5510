"""What precedes the numbers of a file: comments, and the line that names the columns, when there is one. Never a number."""

from dataclasses import dataclass

from devices.measurements.text.delimiters import fields_of, sniff_delimiter
from devices.measurements.text.lines import MOST_BLANK, Line, LineReader
from devices.measurements.text.numbers import looks_numeric
from devices.measurements.text.problems import ReadLog, failure

COMMENTS = ("#", "%", "//", ";")
"""What lines before the data begin with that are no data."""


def take_preamble(lines: LineReader, log: ReadLog) -> Line | None:
    """Take the comment lines at the beginning of a file and count them; return the last, without its mark, or None.

    A line that begins with `;` is a comment unless the line behind it has as many of them: then it is a table with a nameless column.

    Raises MeasurementError when they do not end.
    """
    last: Line | None = None
    while (line := lines.peek()) is not None:
        mark = next((mark for mark in COMMENTS if line.text.lstrip().startswith(mark)), None)
        following = lines.peek(1)
        if mark is None or (
            mark == ";" and following is not None and line.text.count(";") == following.text.count(";")
        ):
            break
        if line.number > MOST_BLANK:
            raise failure(lines.path, f"more than {MOST_BLANK} comment lines before the data", line=line.number)
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
    data = any(looks_numeric(field) for field in fields) and not any(looks_numeric(name) for name in names)
    return comment if data and len(names) == len(fields) else None


@dataclass(frozen=True)
class Head:
    """What a table of numbers begins with: fields of its first line, their names or None, the number of that line, the delimiter."""

    fields: list[str]
    names: list[str] | None
    line: int
    delimiter: str

    @property
    def labels(self) -> list[str]:
        """The names, or `column 1`, `column 2`, ... of a table without."""
        return self.names or [f"column {k + 1}" for k in range(len(self.fields))]


def take_head(lines: LineReader, log: ReadLog, decimal: str = ".", header: str = "auto") -> Head:
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
    if header == "yes" or (header == "auto" and not any(looks_numeric(field) for field in fields)):
        next(lines)
        return Head(fields, fields, first.number, delimiter)
    return Head(fields, None, first.number, delimiter)
