"""Reader of any delimited text: the configuration says which column is which. It never guesses a column."""

from typing import Annotated, Literal

from pydantic import Field

from devices.measurements.columns.column_reader import ColumnReader
from devices.measurements.columns.columns import ColumnMap
from devices.measurements.columns.layout import Layout
from devices.measurements.table.sink import Role, Sink
from devices.measurements.text.delimiters import Delimiter
from devices.measurements.text.head import COMMENTS
from devices.measurements.text.lines import MOST_BLANK, LineReader
from devices.measurements.text.problems import ReadLog


class CsvTable(ColumnReader):
    """CSV, TSV or white-space text, one row per operation, with or without a header.

    Attributes:
        role: what the rows are: pulses (with the read after them), retention, noise or programming (targets against results).
        columns: which column is which quantity. delimiter: auto takes the one that splits the first line most.
        header_row: whether the first line names the columns. skip_lines: lines before it. comment: prefix of lines to ignore.
    """

    kind: Literal["csv"] = "csv"
    role: Role
    columns: ColumnMap
    delimiter: Delimiter = "auto"
    header_row: bool = True
    skip_lines: Annotated[int, Field(ge=0, le=10**9)] = 0
    comment: str | None = None

    def layout(self, lines: LineReader, log: ReadLog) -> Layout:
        """Skip lines and comments, then take the header."""
        for _ in range(self.skip_lines):
            next(lines, None)
        while (
            self.comment not in (None, *COMMENTS)
            and (line := lines.peek()) is not None
            and line.text.startswith(str(self.comment))
            and line.number <= MOST_BLANK
        ):
            next(lines)
        return self.plain_layout(lines, log, self.delimiter, self.header_row, self.comment)

    def read_file(self, lines: LineReader, sink: Sink) -> None:
        """Line by line."""
        self.read_columns(lines, sink)

    def column_map(self) -> ColumnMap:
        """As configured."""
        return self.columns

    def row_role(self) -> Role:
        """As configured."""
        return self.role
