"""Reader of retention and relaxation tables: the conductance of each cell at several times after programming. Never pulses."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from analog_sim.config import Q, StrictModel
from devices.measurements.columns.chosen_lines import ChosenLines
from devices.measurements.columns.column_reader import ColumnReader
from devices.measurements.columns.columns import Column, ColumnMap, Position, listed, position
from devices.measurements.columns.layout import Layout
from devices.measurements.columns.read_quantity import ReadQuantity, check_read_voltage, current_of
from devices.measurements.table.sink import Role, Sink
from devices.measurements.text.delimiters import Delimiter, fields_of
from devices.measurements.text.header_units import bare_name, header_unit, note_missing_unit, resolve_unit
from devices.measurements.text.lines import Line, LineReader, data_lines
from devices.measurements.text.numbers import NumberColumn, numbers, parse_quantity
from devices.measurements.text.problems import ReadLog, failure
from devices.measurements.text.widths import Widths

F64 = npt.NDArray[np.float64]

_TIME = re.compile(r"t\s*=\s*([^=]*)$|(?:^|[\s_@])([0-9.eE+-]+\s*[a-zA-Zµμ]+)\s*$")
CELLS = 1024
"""Cells of a wide table that are read at once."""


class NumberedLevels(StrictModel):
    """Targets of cells that were programmed to numbered levels: ``g = first + step * level``; the level's centre, not its lower edge.

    Attributes:
        column: of the level numbers. step, first: siemens.
    """

    column: Column
    step: Annotated[float, Q("conductance", "uS", gt=0)]
    first: Annotated[float, Q("conductance", "uS", ge=0)]


class Retention(ColumnReader):
    """Long tables (one line per cell and time: `columns` with cell and t) or wide ones (one line per cell, one column per time).

    Wide: times come from `times` or from headers such as `t=10 s` or `G @ 1 h`; with headers, the first column that is not a time names
    the cell, with `times` a first column that is one too many. Where there are more columns, `time_columns` and `label` say which.
    Or the other way round: one line per time, which the first column holds, and one column per cell.

    Attributes:
        layout_is: long or wide. columns: of a long table. header_row: whether there is one. delimiter: between fields.
        cells_are: what one cell is in a wide table.
        times: of the columns of a wide table, in order. time_columns: those columns, by name or number from 0; label: the one that names
            the cell, none without. value, unit: what a wide table holds.
        levels: targets from a column of level numbers.
    """

    kind: Literal["retention"] = "retention"
    layout_is: Literal["long", "wide"] = "long"
    columns: ColumnMap | None = None
    delimiter: Delimiter = "auto"
    header_row: bool = True
    cells_are: Literal["rows", "columns"] = "rows"
    times: tuple[Annotated[float, Q("time", "s", ge=0)], ...] = ()
    time_columns: tuple[str | Position, ...] = ()
    label: str | Position | None = None
    value: ReadQuantity = "conductance"
    unit: str | None = None
    levels: NumberedLevels | None = None

    def layout(self, lines: LineReader, log: ReadLog) -> Layout:
        """Take the header, when there is one."""
        return self.plain_layout(lines, log, self.delimiter, self.header_row)

    def column_map(self) -> ColumnMap:
        """As configured, with the target taken from the level column. Raises MeasurementError without columns."""
        if self.columns is None:
            raise failure(self.path[0], "a long retention table needs columns: cell, t and one of i, g, r")
        if self.levels is None:
            return self.columns
        levels = self.levels
        target = Column(name=levels.column.name, unit="S", factor=levels.step, offset=levels.first)
        return self.columns.model_copy(update={"target": target})

    def row_role(self) -> Role:
        """Retention."""
        return "retention"

    def read_file(self, lines: LineReader, sink: Sink) -> None:
        """Read a long table by columns, a wide one cell by cell."""
        if self.layout_is == "long":
            self.read_columns(lines, sink)
        elif self.cells_are == "columns":
            self._cell_by_column(lines, sink)
        else:
            self._wide(lines, sink)

    def _cell_by_column(self, lines: LineReader, sink: Sink) -> None:
        """One line per time, the first column; every other column is a cell."""
        path = lines.path
        if self.levels is not None or self.times:
            raise failure(path, "levels and times are of tables with one line per cell; here they are columns")
        layout = self.layout(lines, sink.log)
        names, line = self._names(layout, lines), layout.header_line
        columns = self._value_columns(path, layout, {k: name for k, name in enumerate(names) if k > 0 and name}, sink)
        if not columns:
            raise failure(path, "has no column of a cell behind that of the time", line=line)
        time = NumberColumn(0, names[0], "time", resolve_unit(path, names[0], "time", None, line))
        device, start = self.device_of(path, sink), sink.new_sequences(len(columns))
        chosen = self._chosen(layout, lines, sink)
        widths = Widths(path, layout.delimiter, sink.log, layout.header)
        for block in data_lines(lines, sink.log, delimiter=layout.delimiter):
            widths.check(block)
            part = chosen.of(block)
            values = numbers(part, [time, *columns], layout.delimiter, path, sink.log, decimal=self.decimal)
            n, m = len(part), len(columns)
            rows: dict[str, Any] = {
                "sequence": np.repeat(np.arange(start, start + m), n),
                "cell_row": np.full(n * m, device),
                "cell_col": np.repeat(np.arange(m), n),
                "t_s": np.tile(values[:, 0], m),
                "v_read_V": self.read_voltage,
                "i_A": current_of(values[:, 1:].T.ravel(), self.value, self.read_voltage),
            }
            at = np.tile([entry.number for entry in part], m)
            sink.rows("retention", path, at, rows, negative=self.negative)
        chosen.refuse_none()

    def _names(self, layout: Layout, lines: LineReader) -> list[str]:
        """Names of the columns, or their numbers from 0 when there is no header."""
        if layout.header is not None:
            return layout.header
        first = lines.peek()
        return [str(k) for k in range(len(fields_of(first.text, layout.delimiter)) if first else 0)]

    def _value_columns(self, path: Path, layout: Layout, names: Mapping[int, str], sink: Sink) -> list[NumberColumn]:
        """Columns of what a wide table holds, by place; counts those without a unit. Raises MeasurementError."""
        line = layout.header_line
        check_read_voltage(path, self.value, self.v_read, line)
        columns = [
            NumberColumn(k, name, self.value, resolve_unit(path, name, self.value, self.unit, line))
            for k, name in names.items()
        ]
        for name in names.values():
            note_missing_unit(sink.log, path, name, self.value, self.unit, line)
        return columns

    def _chosen(self, layout: Layout, lines: LineReader, sink: Sink) -> ChosenLines:
        return ChosenLines(self.only, lines.path, layout, sink.log, self.decimal)

    def _wide(self, lines: LineReader, sink: Sink) -> None:
        """One line per cell, one column per time."""
        path = lines.path
        layout = self.layout(lines, sink.log)
        names = self._names(layout, lines)
        times, label = self._times(path, layout, len(names))
        columns = self._value_columns(path, layout, {k: names[k] for k in times}, sink)
        chosen = self._chosen(layout, lines, sink)
        level = None
        if self.levels is not None:
            index, name = position(path, self.levels.column, layout.header, layout.header_line)
            level = NumberColumn(index, name)
        device = self.device_of(path, sink)
        t = np.array(list(times.values()))
        widths = Widths(path, layout.delimiter, sink.log, layout.header)
        for whole in data_lines(lines, sink.log, delimiter=layout.delimiter):
            widths.check(whole)
            block = chosen.of(whole)
            for at in range(0, len(block), CELLS):
                part = block[at : at + CELLS]
                values = numbers(part, columns, layout.delimiter, path, sink.log, decimal=self.decimal)
                targets = np.full(len(part), np.nan)
                if level is not None and self.levels is not None:
                    steps = numbers(part, [level], layout.delimiter, path, sink.log, decimal=self.decimal)[:, 0]
                    targets = self.levels.first + self.levels.step * steps
                n, m = values.shape
                if label is not None:
                    cells = np.array([sink.member(device, self._label(path, layout, line, label)) for line in part])
                else:
                    cells = np.array([line.number for line in part])
                start = sink.new_sequences(n)
                rows: dict[str, Any] = {
                    "sequence": np.repeat(np.arange(start, start + n), m),
                    "cell_row": np.full(n * m, device),
                    "cell_col": np.repeat(cells, m),
                    "t_s": np.tile(t, n),
                    "v_read_V": self.read_voltage,
                    "i_A": current_of(values.ravel(), self.value, self.read_voltage),
                    "target_S": np.repeat(targets, m),
                }
                line = np.repeat([entry.number for entry in part], m)
                sink.rows("retention", path, line, rows, negative=self.negative)
        chosen.refuse_none()

    @staticmethod
    def _label(path: Path, layout: Layout, line: Line, column: int) -> str:
        fields = fields_of(line.text, layout.delimiter)
        if column >= len(fields) or not fields[column]:
            name = layout.header[column] if layout.header is not None else str(column)
            raise failure(path, "the cell has no name", line=line.number, column=name)
        return fields[column]

    def _times(self, path: Path, layout: Layout, count: int) -> tuple[dict[int, float], int | None]:
        """Column -> seconds, and the column that names the cell."""
        if self.times:
            return self._given_times(path, layout, count)
        if layout.header is None:
            raise failure(path, "a wide table without a header needs times")
        times: dict[int, float] = {}
        for k, name in enumerate(layout.header):
            match = _TIME.search(name)
            if match is not None:
                text = (match[1] if match[1] is not None else match[2]).strip().rstrip(")]").strip()
                times[k] = parse_quantity(text, "time", path, layout.header_line, name)
        if len(times) < 2:
            raise failure(
                path,
                f"found {len(times)} time(s) in the header, need two: write headers such as 't=10 s', give times, or set"
                f" cells_are: columns where each line is a time (the header has: {listed(layout.header)})",
                line=layout.header_line,
            )
        others = [k for k in range(len(layout.header)) if k not in times]
        if self.label is not None:
            return times, position(path, Column(name=self.label), layout.header, layout.header_line)[0]
        if others:
            self._refuse_unit(path, layout, others[0])
        return times, others[0] if others else None

    def _given_times(self, path: Path, layout: Layout, count: int) -> tuple[dict[int, float], int | None]:
        """The same, of times that the configuration gives: as many columns as times, or one more in front, unless it names them."""
        line, header = layout.header_line, layout.header

        def place(name: str | int) -> int:
            return position(path, Column(name=name), header, line)[0]

        label = None if self.label is None else place(self.label)
        if self.time_columns:
            if len(self.time_columns) != len(self.times):
                raise failure(
                    path, f"{len(self.times)} times given for {len(self.time_columns)} time_columns", line=line
                )
            columns = [place(name) for name in self.time_columns]
            if len(set(columns)) < len(columns) or label in columns:
                raise failure(path, "time_columns and label name one column twice", line=line)
            return dict(zip(columns, self.times, strict=True)), label
        columns = [k for k in range(count) if k != label]
        skip = len(columns) - len(self.times)
        if skip < 0 or skip > (1 if label is None else 0):
            names = header if header is not None else [f"column {k}" for k in range(count)]
            hint = "" if skip < 0 else "; say which with time_columns: [...], and which names the cell with label: ..."
            reason = f"{len(self.times)} times given for {count} columns ({listed([name or 'a blank one' for name in names])}){hint}"
            raise failure(path, reason, line=line)
        if skip:
            self._refuse_unit(path, layout, columns[0])
        return dict(zip(columns[skip:], self.times, strict=True)), columns[0] if skip else label

    def _refuse_unit(self, path: Path, layout: Layout, column: int) -> None:
        """Refuse a column of conductances as the one that names the cell. Raises MeasurementError."""
        name = layout.header[column] if layout.header is not None else ""
        bare = bare_name(name)
        if bare != name.strip() and header_unit(name)[1] != "":
            raise failure(
                path,
                "has a unit: does it name the cell? say which columns are read with times and time_columns, and label: ...",
                line=layout.header_line,
                column=name,
            )
