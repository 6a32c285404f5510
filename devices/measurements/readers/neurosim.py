"""Reader of NeuroSim weight-update data: two columns, pulse number and conductance. Never a third column."""

from typing import Literal

import numpy as np

from devices.measurements.columns.arbitrary_units import ArbitraryUnits
from devices.measurements.columns.reader import Reader
from devices.measurements.table.plausible import check_pulse_numbers
from devices.measurements.table.sink import Sink
from devices.measurements.table.table import Op
from devices.measurements.text.head import take_head
from devices.measurements.text.header_units import note_missing_unit, resolve_unit
from devices.measurements.text.lines import LineReader, data_lines
from devices.measurements.text.numbers import NumberColumn, numbers
from devices.measurements.text.problems import failure
from devices.measurements.text.widths import Widths


class NeuroSim(Reader):
    """Pulse number and conductance after it; a pulse number that does not grow begins a new ramp.

    Attributes:
        direction: of all ramps; auto: by whether a ramp rises or falls. unit: of the conductance, when the header does not say it.
        arbitrary: instead of a unit, what normalised conductances mean. decimal: decimal mark.
    """

    kind: Literal["neurosim"] = "neurosim"
    direction: Literal["auto", "up", "down"] = "auto"
    unit: str | None = None
    arbitrary: ArbitraryUnits | None = None
    decimal: Literal[".", ","] = "."

    def read(self, sink: Sink) -> None:
        """Read every file block by block."""
        for path in self.path:
            with LineReader(path, sink.log) as lines:
                self._read(lines, sink)

    def _read(self, lines: LineReader, sink: Sink) -> None:
        path = lines.path
        head = take_head(lines, sink.log, self.decimal)
        if len(head.fields) != 2:
            raise failure(path, f"has {len(head.fields)} column(s), a NeuroSim file has 2", line=head.line)
        names, delimiter = head.names or ["pulse number", "conductance"], head.delimiter
        dimension = None if self.arbitrary is not None else "conductance"
        unit = resolve_unit(path, names[1], dimension, self.unit, head.line)
        note_missing_unit(sink.log, path, names[1], dimension, self.unit, head.line)
        columns = [NumberColumn(0, names[0]), NumberColumn(1, names[1], dimension, unit)]
        device, last, sequence = self.device_of(path, sink), np.nan, sink.new_sequences()
        if self.direction != "auto":
            sink.directed(path, "stated")
        widths = Widths(path, delimiter, sink.log, head.names)
        for block in data_lines(lines, sink.log, delimiter=delimiter):
            widths.check(block)
            values = numbers(block, columns, delimiter, path, sink.log, decimal=self.decimal)
            line = np.array([entry.number for entry in block])
            check_pulse_numbers(path, values[:, 0], line, names[0])
            step = np.diff(values[:, 0], prepend=last)
            begins = (step <= 0) & np.isfinite(step)
            ids = sequence + np.cumsum(begins)
            if begins.any():
                sink.new_sequences(int(begins.sum()))
            sequence, last = int(ids[-1]), float(values[-1, 0])
            pulses = np.where(begins | ~np.isfinite(step), np.maximum(values[:, 0], 0), step)
            g = self.arbitrary.siemens(values[:, 1]) if self.arbitrary is not None else values[:, 1]
            rows = {
                "sequence": ids,
                "cell_row": device,
                "op": np.where(pulses > 0, Op.PULSE_READ, Op.READ),
                "direction": {"auto": 0, "up": 1, "down": -1}[self.direction],
                "n_pulses": pulses,
                "v_read_V": self.read_voltage,
                "i_A": g * self.read_voltage,
            }
            sink.rows("pulses", path, line, rows, negative=self.negative)
