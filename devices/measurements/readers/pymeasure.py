"""Reader of PyMeasure results (CSV): `#` preamble with the parameters, `Name (unit)` headers.

Never a parameter without its unit checked.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from devices.measurements.columns.column_reader import ColumnReader
from devices.measurements.columns.columns import DIMENSIONS, ColumnMap
from devices.measurements.columns.layout import Layout
from devices.measurements.table.sink import Role, Sink
from devices.measurements.text.lines import MOST_BLANK, LineReader
from devices.measurements.text.numbers import parse_quantity
from devices.measurements.text.problems import ReadLog, failure

PREAMBLE = "#"


class PyMeasure(ColumnReader):
    """Preamble `#Procedure: <...>`, `#Parameters:`, `#<tab>Name: value unit`, `#Data:`; then a header and data.

    Attributes:
        role: what the rows are. columns: which column is which.
        parameters: quantity -> parameter of the preamble, for quantities without a column, such as `v_read: Read voltage`.
    """

    kind: Literal["pymeasure"] = "pymeasure"
    role: Role = "pulses"
    columns: ColumnMap
    parameters: Mapping[Literal["v_read"], str] = Field(default_factory=dict)

    def layout(self, lines: LineReader, log: ReadLog) -> Layout:
        """Take the preamble and the header. Raises MeasurementError when a parameter is not there."""
        found: dict[str, tuple[str, int]] = {}
        while (line := lines.peek()) is not None and line.text.startswith(PREAMBLE):
            if line.number > MOST_BLANK:
                raise failure(lines.path, f"more than {MOST_BLANK} lines of preamble", line=line.number)
            next(lines)
            name, colon, value = line.text.lstrip("#\t ").partition(":")
            if colon and value.strip():
                found[name.strip()] = (value.strip(), line.number)
        if line is None or line.number == 1:
            raise failure(lines.path, "not a PyMeasure results file: no '#' preamble before a header", line=1)
        constants: dict[str, float] = {}
        for quantity, name in self.parameters.items():
            if name not in found:
                raise failure(
                    lines.path, f"no parameter '{name}' in the preamble; it has: {', '.join(found) or 'none'}"
                )
            value, number = found[name]
            constants[quantity] = parse_quantity(value, DIMENSIONS[quantity] or "", lines.path, number, name)
        names, number, delimiter = self.header(lines, log, ",")
        return Layout(names, number, delimiter, PREAMBLE, constants)

    def column_map(self) -> ColumnMap:
        """As configured."""
        return self.columns

    def row_role(self) -> Role:
        """As configured."""
        return self.role

    def read_file(self, lines: LineReader, sink: Sink) -> None:
        """Line by line."""
        self.read_columns(lines, sink)
