"""Reader of read noise: long series of reads of resting cells, one series per line or one per column. Never pulses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import Q
from devices.measurements.columns.read_quantity import ReadQuantity, check_read_voltage, current_of
from devices.measurements.columns.reader import Reader
from devices.measurements.table.sink import Sink
from devices.measurements.text.delimiters import fields_of, sniff_delimiter
from devices.measurements.text.head import take_head, take_preamble
from devices.measurements.text.header_units import note_missing_unit, resolve_unit
from devices.measurements.text.lines import Line, LineReader, data_lines
from devices.measurements.text.numbers import NumberColumn, is_number, numbers
from devices.measurements.text.problems import failure
from devices.measurements.text.widths import Widths

F64 = npt.NDArray[np.float64]


class NoiseSeries(Reader):
    """Reads at a constant rate. Every series is one cell.

    Attributes:
        sample_rate: reads per second.
        series_are: lines (after `leading` fields that are no reads) or columns (with or without a header).
        leading: fields or columns to skip, such as a time. value, unit: what the numbers are. decimal: decimal mark.
    """

    kind: Literal["noise_series"] = "noise_series"
    sample_rate: Annotated[float, Q("frequency", "Hz", gt=0)]
    series_are: Literal["lines", "columns"] = "lines"
    leading: Annotated[int, Field(ge=0, le=10**9)] = 0
    value: ReadQuantity = "conductance"
    unit: str | None = None
    decimal: Literal[".", ","] = "."

    def read(self, sink: Sink) -> None:
        """Read every file, one line or one block at a time."""
        for path in self.path:
            check_read_voltage(path, self.value, self.v_read)
            with LineReader(path, sink.log) as lines:
                if self.series_are == "lines":
                    self._lines(lines, sink)
                else:
                    self._columns(lines, sink)

    def _lines(self, lines: LineReader, sink: Sink) -> None:
        device = self.device_of(lines.path, sink)
        column = NumberColumn(0, "read", self.value, resolve_unit(lines.path, "read", self.value, self.unit, None))
        take_preamble(lines, sink.log)
        note_missing_unit(sink.log, lines.path, "read", self.value, self.unit, None)
        index, length = 0, 0
        for line in lines:
            if not line.text.strip():
                sink.log.count(lines.path, "blank line skipped", line=line.number)
                continue
            fields = fields_of(line.text, sniff_delimiter(line.text, decimal=self.decimal))[self.leading :]
            while fields and not fields[-1]:  # delimiters at the end of a line are no reads
                fields.pop()
            if not fields:
                raise failure(lines.path, f"has no read after {self.leading} leading field(s)", line=line.number)
            if all(is_number(text, self.decimal) for text in fields):
                values = np.array([float(text.replace(self.decimal, ".")) for text in fields]) * column.scale
            else:
                named = [
                    NumberColumn(k, f"field {self.leading + k + 1}", column.dimension, column.unit)
                    for k in range(len(fields))
                ]
                values = np.array(
                    [
                        c.text_value(text, lines.path, line.number, sink.log, self.decimal)
                        for c, text in zip(named, fields, strict=True)
                    ]
                )
            self._pour(
                sink, lines.path, device, index, sink.new_sequences(), 0, values, np.full(len(values), line.number)
            )
            index, length = index + 1, length or len(values)
            if len(values) != length:
                sink.log.count(lines.path, f"series of another length than the first ({length})", line=line.number)

    def _columns(self, lines: LineReader, sink: Sink) -> None:
        path = lines.path
        head = take_head(lines, sink.log, self.decimal)
        names, delimiter = head.labels, head.delimiter
        columns = [
            NumberColumn(k, name, self.value, resolve_unit(path, name, self.value, self.unit, head.line))
            for k, name in list(enumerate(names))[self.leading :]
        ]
        if not columns:
            raise failure(path, f"has no column after {self.leading} leading one(s)", line=head.line)
        for column in columns:
            note_missing_unit(sink.log, path, column.name, self.value, self.unit, head.line)
        device, start, done = self.device_of(path, sink), sink.new_sequences(len(columns)), 0
        widths = Widths(path, delimiter, sink.log, head.names)
        for block in data_lines(lines, sink.log, delimiter=delimiter, gaps=True):
            widths.check(block)
            values = numbers(block, columns, delimiter, path, sink.log, decimal=self.decimal)
            if not done:
                _refuse_times(path, values, columns, block[0].number)
            for k in range(len(columns)):
                self._pour(sink, path, device, k, start + k, done, values[:, k], _numbers_of(block))
            done += len(block)

    def _pour(
        self,
        sink: Sink,
        path: Path,
        device: int,
        cell: int,
        sequence: int,
        done: int,
        values: F64,
        line: npt.NDArray[np.int64],
    ) -> None:
        rows = {
            "sequence": sequence,
            "cell_row": device,
            "cell_col": cell,
            "t_s": (done + np.arange(len(values))) / self.sample_rate,
            "v_read_V": self.read_voltage,
            "i_A": current_of(values, self.value, self.read_voltage),
        }
        sink.rows("noise", path, line, rows, negative=self.negative)


def _refuse_times(path: Path, values: F64, columns: Sequence[NumberColumn], line: int) -> None:
    """Refuse a first column of several that grows evenly: it holds times or numbers, not reads. Raises MeasurementError."""
    step = np.diff(values[:, 0])
    even = len(step) > 3 and step[0] > 0 and bool(np.allclose(step, step[0], rtol=1e-3, atol=0.0))
    if even and len(columns) > 1:
        raise failure(path, "grows evenly: a time, not reads? set leading: 1", line=line, column=columns[0].name)


def _numbers_of(block: Sequence[Line]) -> npt.NDArray[np.int64]:
    return np.array([line.number for line in block], np.int64)
