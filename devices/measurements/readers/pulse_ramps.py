"""Reader of pulse ramps: one column per ramp, one row per pulse, what was read after it. It never joins two columns into one ramp."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import Q
from devices.measurements.columns.arbitrary_units import ArbitraryUnits
from devices.measurements.columns.read_quantity import ReadQuantity, check_read_voltage, current_of
from devices.measurements.columns.reader import Reader
from devices.measurements.table.sink import Sink
from devices.measurements.table.table import Op
from devices.measurements.text.head import take_head
from devices.measurements.text.header_units import note_missing_unit, resolve_unit
from devices.measurements.text.lines import LineReader, data_lines
from devices.measurements.text.numbers import NumberColumn, numbers
from devices.measurements.text.problems import failure
from devices.measurements.text.widths import Widths

F64 = npt.NDArray[np.float64]


class PulseRamps(Reader):
    """Identical pulses, read after each: columns are ramps, an empty field after the last pulse ends a ramp.

    Attributes:
        direction: of all ramps, or of each column in turn, repeated; auto: by whether a column rises or falls.
        value: what the numbers are; unit: of the numbers, SI when neither this nor the header says it.
        arbitrary: instead of a unit, what numbers in arbitrary units mean.
        columns_are: ramps of one device, or one device each.
        header: whether the first line names the columns; auto looks whether it holds a number.
        leading: columns before the first ramp, such as the number of the pulse; they are skipped.
        amplitude, width: of the pulses, for the record. decimal: decimal mark.
    """

    kind: Literal["pulse_ramps"] = "pulse_ramps"
    direction: Literal["auto", "up", "down"] | tuple[Literal["up", "down"], ...] = "auto"
    value: ReadQuantity = "current"
    unit: str | None = None
    arbitrary: ArbitraryUnits | None = None
    columns_are: Literal["ramps", "devices"] = "ramps"
    header: Literal["auto", "yes", "no"] = "auto"
    leading: Annotated[int, Field(ge=0, le=10**9)] = 0
    amplitude: Annotated[float, Q("voltage", "V")] | None = None
    width: Annotated[float, Q("time", "s", gt=0)] | None = None
    decimal: Literal[".", ","] = "."

    def read(self, sink: Sink) -> None:
        """Read every file block by block."""
        for path in self.path:
            with LineReader(path, sink.log) as lines:
                self._read(lines, sink)

    def _read(self, lines: LineReader, sink: Sink) -> None:
        path = lines.path
        if self.arbitrary is None:
            check_read_voltage(path, self.value, self.v_read)
        head = take_head(lines, sink.log, self.decimal, self.header)
        names, delimiter = head.labels, head.delimiter
        dimension = None if self.arbitrary is not None else self.value
        columns = [
            NumberColumn(k, name, dimension, resolve_unit(path, name, dimension, self.unit, head.line))
            for k, name in list(enumerate(names))[self.leading :]
        ]
        if not columns:
            raise failure(path, f"has no column after {self.leading} leading one(s)", line=head.line)
        ramps = [_Ramp(self, path, k, column.name, sink) for k, column in enumerate(columns)]
        widths = Widths(path, delimiter, sink.log, head.names, short_rows=True)
        for block in data_lines(lines, sink.log, delimiter=delimiter, gaps=True):
            widths.check(block)
            values = numbers(block, columns, delimiter, path, sink.log, decimal=self.decimal, short_rows=True)
            line = np.array([entry.number for entry in block])
            if not any(ramp.started for ramp in ramps):
                _refuse_pulse_numbers(path, values, columns, head.line)
            for k, ramp in enumerate(ramps):
                ramp.pour(values[:, k], line)
        for column, ramp in zip(columns, ramps, strict=True):
            if ramp.started:
                note_missing_unit(sink.log, path, column.name, dimension, self.unit, head.line)
            else:
                sink.log.count(path, "empty ramp", line=head.line, column=column.name)


def _refuse_pulse_numbers(path: Path, values: F64, columns: list[NumberColumn], line: int) -> None:
    """Refuse a first column of several that counts 0, 1, 2, ... or 1, 2, 3, ...: it numbers the pulses. Raises MeasurementError."""
    count = values[:, 0] / columns[0].scale
    if len(columns) > 1 and len(count) > 3 and count[0] in (0.0, 1.0) and np.allclose(np.diff(count), 1.0):
        reason = (
            f"counts {count[0]:g}, {count[1]:g}, {count[2]:g}, ...: the number of the pulse, not a ramp? set leading: 1"
        )
        raise failure(path, reason, line=line, column=columns[0].name)


class _Ramp:
    """One column: emits its rows, keeps back blanks until a later value shows that they are a gap and not the end."""

    def __init__(self, reader: PulseRamps, path: Path, index: int, name: str, sink: Sink) -> None:
        self._reader, self._path, self._sink = reader, path, sink
        label = f"{path}:{name}" if reader.device is None else f"{reader.device}:{name}"
        device = sink.device(label) if reader.columns_are == "devices" else reader.device_of(path, sink)
        if reader.direction != "auto":
            sink.directed(path, "stated")
        direction = (
            reader.direction if isinstance(reader.direction, str) else reader.direction[index % len(reader.direction)]
        )
        self._columns: dict[str, Any] = {
            "sequence": sink.new_sequences(),
            "cell_row": device,
            "op": Op.PULSE_READ,
            "direction": {"auto": 0, "up": 1, "down": -1}[direction],
            "n_pulses": 1,
            "v_V": np.nan if reader.amplitude is None else reader.amplitude,
            "width_s": np.nan if reader.width is None else reader.width,
            "v_read_V": reader.read_voltage,
        }
        self._pending = np.empty(0, np.int64)
        self.started = False

    def pour(self, values: F64, line: npt.NDArray[np.int64]) -> None:
        """Append one block of the column."""
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            self._pending = np.concatenate((self._pending, line))
            return
        first = 0 if self.started else int(known[0])  # blanks before the first value belong to no pulse
        if not self.started and (first or len(self._pending)):
            self._sink.log.count(self._path, "blank before the first value of a ramp", times=first + len(self._pending))
            self._pending = self._pending[:0]
        stop = int(known[-1]) + 1
        shown = np.concatenate((np.full(len(self._pending), np.nan), values[first:stop]))
        self._columns["i_A"] = self._current(shown)
        self._sink.rows(
            "pulses",
            self._path,
            np.concatenate((self._pending, line[first:stop])),
            self._columns,
            negative=self._reader.negative,
        )
        self._pending, self.started = line[stop:], True

    def _current(self, values: F64) -> F64:
        v_read = self._reader.read_voltage
        if self._reader.arbitrary is not None:
            return np.asarray(self._reader.arbitrary.siemens(values) * v_read)
        return current_of(values, self._reader.value, v_read)
