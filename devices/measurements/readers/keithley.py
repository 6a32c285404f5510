"""Reader of Keithley 4200 and SourceMeter sheets exported as CSV or TSV: user-named columns, a status column. Never a workbook itself."""

from typing import Annotated, Literal

from pydantic import Field

from devices.measurements.columns.column_reader import ColumnReader, Compliance
from devices.measurements.columns.columns import ColumnMap
from devices.measurements.columns.layout import Layout
from devices.measurements.table.sink import Role, Sink
from devices.measurements.text.lines import LineReader
from devices.measurements.text.problems import ReadLog


class Keithley(ColumnReader):
    """A sheet whose columns the user named; reads in compliance are flagged (and counted), never fitted.

    Attributes:
        role: what the rows are. columns: which column is which; `status` names the compliance column.
        compliance: flagged status texts (default: the words these instruments write) and a current limit.
        skip_lines: lines before the header.
    """

    kind: Literal["keithley"] = "keithley"
    role: Role = "pulses"
    columns: ColumnMap
    compliance: Compliance = Compliance(
        flagged=("C", "COMP", "COMPLIANCE", "Compliance", "compliance", "T", "TRUE", "True", "1")
    )
    skip_lines: Annotated[int, Field(ge=0, le=10**9)] = 0

    def layout(self, lines: LineReader, log: ReadLog) -> Layout:
        """Skip lines, take the header."""
        for _ in range(self.skip_lines):
            next(lines, None)
        names, number, delimiter = self.header(lines, log, None)
        return Layout(names, number, delimiter)

    def column_map(self) -> ColumnMap:
        """As configured."""
        return self.columns

    def row_role(self) -> Role:
        """As configured."""
        return self.role

    def read_file(self, lines: LineReader, sink: Sink) -> None:
        """Line by line."""
        self.read_columns(lines, sink)
