"""Reader of ArC ONE session files (CSV): two preamble lines, then one line per operation. Never a voltage of a read as a pulse."""

from typing import Annotated, Literal

from analog_sim.config import Q
from devices.measurements.columns.column_reader import ColumnReader
from devices.measurements.columns.columns import Column, ColumnMap
from devices.measurements.columns.layout import Layout
from devices.measurements.table.sink import Role, Sink
from devices.measurements.text.lines import LineReader
from devices.measurements.text.problems import ReadLog, failure

HEADER = ("Wordline", "Bitline", "Resistance", "Amplitude (V)", "Pulse width (s)", "Tag", "ReadTag", "ReadVoltage")
"""As written by the instrument's control software; word and bit lines count from 1."""


class ArcOne(ColumnReader):
    """Every line is one operation and the resistance read after it; a pulse width of 0 is a plain read at ReadVoltage.

    Attributes:
        role: pulses, or retention when the session only read. default_read_voltage: for lines with an empty ReadVoltage.
    """

    kind: Literal["arc_one"] = "arc_one"
    role: Role = "pulses"
    default_read_voltage: Annotated[float, Q("voltage", "V", gt=0)] = 0.5

    def layout(self, lines: LineReader, log: ReadLog) -> Layout:
        """Skip the session name and the date, check the header. Raises MeasurementError when it is another format."""
        preamble = [next(lines, None), next(lines, None)]
        if None in preamble:
            raise failure(lines.path, "not an ArC ONE file: it ends within the two preamble lines")
        names, number, delimiter = self.header(lines, log, ",")
        missing = [name for name in HEADER[:5] if name not in names]
        if missing:
            raise failure(
                lines.path,
                f"not an ArC ONE header: missing column '{missing[0]}'; expected {', '.join(HEADER)} after two preamble lines",
                line=number,
            )
        return Layout(names, number, delimiter)

    def column_map(self) -> ColumnMap:
        """The instrument's columns."""
        return ColumnMap(
            cell_row=Column(name="Wordline", offset=-1),
            cell_col=Column(name="Bitline", offset=-1),
            r=Column(name="Resistance", unit="Ohm"),
            v=Column(name="Amplitude (V)"),
            width=Column(name="Pulse width (s)"),
            v_read=Column(name="ReadVoltage", unit="V", default=self.default_read_voltage),
        )

    @property
    def reads_without_width(self) -> bool:
        """True: the voltage beside it is that of the read, or of the pulse before."""
        return True

    def row_role(self) -> Role:
        """As configured."""
        return self.role

    def read_file(self, lines: LineReader, sink: Sink) -> None:
        """Line by line."""
        self.read_columns(lines, sink)
