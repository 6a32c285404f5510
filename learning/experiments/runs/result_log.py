"""An append-only CSV of results that survives a crash and resumes exactly. It never computes anything.

Rows carry typed columns in a fixed order. The rows of one task (one chip at one sweep point, say) are appended in one
write, then flushed to the disk; the column `task_rows` tells how many rows that task wrote. After a crash, a
torn last line or a task with fewer rows than it announces is dropped with a note when the log is opened, so a resumed
run repeats that task and nothing else. The last column, `check`, is the CRC-32 of the line before it: a row that is not
as it was written is refused by its line, never read. Floats are written by `repr`, the shortest text that reads back as
the same number.
"""

from __future__ import annotations

import csv
import io
import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from analog_sim.config import UserError
from learning.experiments.runs.files import whole_file, writing
from learning.experiments.runs.spreadsheet import plain_text, spreadsheet_text

type_names = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
Value = int | float | str | bool | None
Row = dict[str, Value]
TASK_ROWS = "task_rows"
CHECK = "check"
MEND = "delete its task's lines to have them computed again with --resume"


def write_value(value: Value, kind: type) -> str:
    """Text of one value; None is empty. Raises TypeError or ValueError when the column cannot hold the value."""
    if value is None:
        return ""
    if kind is bool:
        if not isinstance(value, bool) and type(value).__name__ != "bool":  # numpy's bool is not a subclass
            raise TypeError(f"expected {type_names[kind]}, got {value!r}")
        return "true" if value else "false"
    if kind is float:
        return repr(float(value))
    if kind is int:
        if int(value) != value:
            raise TypeError(f"expected {type_names[kind]}, got {value!r}")
        return str(int(value))
    if not isinstance(value, str):
        raise TypeError(f"expected {type_names[kind]}, got {value!r}")
    if "\n" in value or "\r" in value:  # a line of the file is a row: that is how a torn end is seen
        raise ValueError(f"expected text on one line, got {value!r}")
    return spreadsheet_text(value)


def read_value(text: str, kind: type) -> Value:
    """Inverse of `write_value`; text columns keep the empty string, all others read it as None."""
    if kind is str:
        return plain_text(text)
    if text == "":
        return None
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text!r}")
        return text == "true"
    return kind(text)


class ResultLog:
    """Append-only CSV with typed columns; see the module's first lines.

    Args:
        path: the CSV file; created with its header when missing, checked and repaired when present.
        columns: name -> int, float, str or bool, in the order of the file.
        key: names of the columns that identify a task. Without a key every append is taken as it is, row by row.

    Raises:
        UserError: the folder cannot be written, or the file has other columns.
    """

    def __init__(self, path: str | Path, columns: Mapping[str, type], key: Sequence[str] = ()) -> None:
        if unknown := [name for name in key if name not in columns]:
            raise ValueError(f"key columns {unknown} are not among the columns {list(columns)}")
        self.path = Path(path)
        self.columns = dict(columns)
        self.key = tuple(key)
        self._header = [*columns, *([TASK_ROWS] if self.key else []), CHECK]
        self.rows: list[Row] = []
        self._finished: set[tuple[str, ...]] = set()
        try:
            if self.path.exists() and self.path.stat().st_size > 0:
                self._load()
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._rewrite()
        except OSError as error:
            raise UserError(f"{self.path}: cannot read and write the results ({error.strerror})") from error

    def append(self, rows: Mapping[str, Value] | Iterable[Mapping[str, Value]]) -> None:
        """Append one row, or all the rows of one task, in one write that reaches the disk before it returns."""
        block = [rows] if isinstance(rows, Mapping) else list(rows)
        if self.key and len({self.key_of(row) for row in block}) > 1:
            raise ValueError(f"{self.path}: one append holds the rows of one task, got several values of {self.key}")
        text = "".join(self._line(row, len(block)) for row in block)
        with writing(self.path):
            before = self.path.stat().st_size
            try:
                with self.path.open("ab") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):  # what a full disk cut short must not join the next row
                    os.truncate(self.path, before)
                raise
        # What is kept in memory is what a reader of the file sees, so a resumed run has the same numbers.
        self.rows += [
            {name: read_value(write_value(row[name], kind), kind) for name, kind in self.columns.items()}
            for row in block
        ]
        self._finished |= {self.key_of(row) for row in block}

    def finished(self, key: Mapping[str, Value]) -> bool:
        """Whether the rows of this task are in the log."""
        return self.key_of(key) in self._finished

    def select(self, **where: Value) -> list[Row]:
        """Rows whose columns equal the given values."""
        return [row for row in self.rows if all(row[name] == value for name, value in where.items())]

    def keep(self, predicate: Callable[[Row], bool]) -> None:
        """Keep only the rows for which `predicate` holds: drops what was logged after the checkpoint to resume from."""
        kept = [row for row in self.rows if predicate(row)]
        if len(kept) < len(self.rows):
            self.rows = kept
            self._finished = {self.key_of(row) for row in kept}
            self._rewrite()

    def key_of(self, row: Mapping[str, Value]) -> tuple[str, ...]:
        """Text of the key columns: what makes two rows belong to one task."""
        return tuple(write_value(row[name], self.columns[name]) for name in self.key)

    def _line(self, row: Mapping[str, Value], task_rows: int) -> str:
        if set(row) != set(self.columns):
            missing, extra = sorted(set(self.columns) - set(row)), sorted(set(row) - set(self.columns))
            raise ValueError(
                f"{self.path}: a row must have the columns {list(self.columns)}; missing {missing}, unknown {extra}"
            )
        out = io.StringIO()
        values = [write_value(row[name], kind) for name, kind in self.columns.items()]
        csv.writer(out, lineterminator="").writerow(values + ([str(task_rows)] if self.key else []))
        return f"{out.getvalue()},{_check(out.getvalue())}\n"

    def _load(self) -> None:
        raw = self.path.read_bytes()
        end = raw.rfind(b"\n") + 1
        notes = []
        if end < len(raw):
            notes.append("a line cut short")
        header, *lines = list(_lines(self.path, raw[:end])) or [[]]
        if header != self._header:
            if not self._header_text().encode().startswith(raw):
                got = raw.decode(errors="replace").partition("\n")[0]
                raise UserError(f"{self.path}: has other columns; got {got!r}, allowed {','.join(self._header)!r}")
            lines = []  # killed while the header was being written
        blocks: dict[tuple[str, ...] | int, list[Row]] = {}
        announced: dict[tuple[str, ...] | int, int] = {}
        for number, line in enumerate(lines, start=2):
            row = _row(self.path, number, line, self._header, self.columns)
            task: tuple[str, ...] | int = self.key_of(row) if self.key else number
            announced[task] = int(line[-2]) if self.key else 1
            blocks.setdefault(task, []).append(row)
        lost = []
        for task, block in blocks.items():
            if len(block) == announced[task]:
                self.rows += block
                self._finished.add(self.key_of(block[0]))
            else:
                lost.append(task)
                notes.append(f"task {task} with {len(block)} of its {announced[task]} rows")
        if notes:
            if lost and lost != [list(blocks)[-1]]:  # an interruption leaves the last task unfinished, and no other
                self._set_aside(raw, notes)
            self._rewrite()
            warnings.warn(f"{self.path}: dropped {', '.join(notes)}, left by an interrupted run", stacklevel=4)

    def _set_aside(self, raw: bytes, notes: list[str]) -> None:
        """Keep a file that more than an interruption went over."""
        aside = self.path.with_name(self.path.name + ".damaged")
        with whole_file(aside) as file:
            file.write(raw)
        notes.append(f"kept whole in {aside.name}")

    def _header_text(self) -> str:
        return ",".join(self._header) + "\n"

    def _rewrite(self) -> None:
        counts: dict[tuple[str, ...], int] = {}
        for row in self.rows:
            counts[self.key_of(row)] = counts.get(self.key_of(row), 0) + 1
        text = self._header_text() + "".join(self._line(row, counts[self.key_of(row)]) for row in self.rows)
        with whole_file(self.path) as file:
            file.write(text.encode())


def _check(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _lines(path: Path, raw: bytes) -> Iterator[list[str]]:
    """Fields of every line; a row is one line, and one whose check is wrong is refused. Raises UserError."""
    checked = False
    for number, line in enumerate(raw.split(b"\n")[:-1], start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}:{number}: byte {error.start} is not UTF-8 text; {MEND}") from error
        body, _, check = text.rpartition(",")
        if number == 1:
            checked = check == CHECK
        elif checked and check != _check(body):
            raise UserError(f"{path}:{number}: not a row of results as it was written (its check is wrong); {MEND}")
        try:
            found = list(csv.reader([text], strict=True))
        except csv.Error as error:
            raise UserError(f"{path}:{number}: not a row of results ({error}); {MEND}") from error
        yield found[0] if found else []


def _row(path: Path, number: int, line: Sequence[str], header: Sequence[str], columns: Mapping[str, type]) -> Row:
    """The values of `columns`, picked by their names in the header. Raises UserError."""
    try:
        if len(line) != len(header):
            raise ValueError(f"expected {len(header)} fields, got {len(line)}")
        if TASK_ROWS in header and int(line[list(header).index(TASK_ROWS)]) < 1:
            raise ValueError(f"{TASK_ROWS} must be at least 1")
        fields = dict(zip(header, line, strict=True))
        return {name: read_value(fields[name], kind) for name, kind in columns.items()}
    except ValueError as error:
        raise UserError(f"{path}:{number}: not a row of results ({error}); {MEND}") from error


def read_rows(path: str | Path, columns: Mapping[str, type], key: Sequence[str] = ()) -> list[Row]:
    """Read the rows of a finished log without repairing it; columns are picked by name, other columns ignored.

    Args:
        path: the file. columns: name -> type. key: the columns that identify a task, each of which must have all its rows.

    Raises:
        UserError: a column is missing, a row is not as it was written, or a task lacks rows.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if raw and not raw.endswith(b"\n"):
        raise UserError(f"{path}: its last line is cut short; a run with --resume mends it")
    header, *lines = list(_lines(path, raw)) or [[]]
    if missing := [name for name in columns if name not in header]:
        raise UserError(f"{path}: columns {missing} are missing; got {header}")
    rows = [_row(path, number, line, header, columns) for number, line in enumerate(lines, start=2)]
    if key and TASK_ROWS in header:
        counted: dict[tuple[Value, ...], list[int]] = {}
        for row, line in zip(rows, lines, strict=True):
            counted.setdefault(tuple(row[name] for name in key), []).append(int(line[header.index(TASK_ROWS)]))
        for task, announced in counted.items():
            if set(announced) != {len(announced)}:
                raise UserError(
                    f"{path}: task {task} has {len(announced)} of its {announced[0]} rows; a run with --resume computes it again"
                )
    return rows
