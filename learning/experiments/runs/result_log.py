"""An append-only CSV of results that survives a crash and resumes exactly. It never computes anything.

Rows carry typed columns in a fixed order. The rows of one task (one chip at one sweep point, say) are appended in one
write, then flushed to the disk; the last column, `task_rows`, tells how many rows that task wrote. After a crash, a
torn last line or a task with fewer rows than it announces is dropped with a note when the log is opened, so a resumed
run repeats that task and nothing else. Floats are written by `repr`, the shortest text that reads back as the same
number.
"""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from analog_sim.config import UserError

type_names = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
Value = int | float | str | bool | None
Row = dict[str, Value]
TASK_ROWS = "task_rows"


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
    return value


def read_value(text: str, kind: type) -> Value:
    """Inverse of `write_value`; text columns keep the empty string, all others read it as None."""
    if kind is str:
        return text
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
        self._header = [*columns, TASK_ROWS] if self.key else list(columns)
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
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
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
        csv.writer(out, lineterminator="\n").writerow(values + ([str(task_rows)] if self.key else []))
        return out.getvalue()

    def _load(self) -> None:
        raw = self.path.read_bytes()
        end = raw.rfind(b"\n") + 1
        notes = []
        if end < len(raw):
            notes.append("a line cut short")
        lines = list(csv.reader(io.StringIO(raw[:end].decode(), newline="")))
        if end == 0 or lines[0] != self._header:
            if not self._header_text().encode().startswith(raw):
                got = raw.decode(errors="replace").partition("\n")[0]
                raise UserError(f"{self.path}: has other columns; got {got!r}, allowed {','.join(self._header)!r}")
            lines = [self._header]  # killed while the header was being written
        blocks: dict[tuple[str, ...] | int, list[Row]] = {}
        announced: dict[tuple[str, ...] | int, int] = {}
        for number, line in enumerate(lines[1:], start=2):
            try:
                if len(line) != len(self._header):
                    raise ValueError(f"expected {len(self._header)} fields, got {len(line)}")
                row = {
                    name: read_value(text, kind) for (name, kind), text in zip(self.columns.items(), line, strict=False)
                }
                task: tuple[str, ...] | int = self.key_of(row) if self.key else number
                announced[task] = int(line[-1]) if self.key else 1
            except ValueError as error:
                raise UserError(f"{self.path}:{number}: not a row of results ({error})") from error
            blocks.setdefault(task, []).append(row)
        for task, block in blocks.items():
            if len(block) == announced[task]:
                self.rows += block
                self._finished.add(self.key_of(block[0]))
            else:
                notes.append(f"task {task} with {len(block)} of its {announced[task]} rows")
        if notes:
            self._rewrite()
            warnings.warn(f"{self.path}: dropped {', '.join(notes)}, left by an interrupted run", stacklevel=4)

    def _header_text(self) -> str:
        return ",".join(self._header) + "\n"

    def _rewrite(self) -> None:
        counts: dict[tuple[str, ...], int] = {}
        for row in self.rows:
            counts[self.key_of(row)] = counts.get(self.key_of(row), 0) + 1
        text = self._header_text() + "".join(self._line(row, counts[self.key_of(row)]) for row in self.rows)
        temporary = self.path.with_name(self.path.name + ".new")
        with temporary.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)


def read_rows(path: str | Path, columns: Mapping[str, type]) -> list[Row]:
    """Read the rows of a finished log without repairing it; columns are picked by name, other columns ignored.

    Raises UserError when a column is missing or a value is not of its type.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{path}: columns {missing} are missing; got {reader.fieldnames}")
            return [{name: read_value(row[name], kind) for name, kind in columns.items()} for row in reader]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not a table of results ({error})") from error
