"""Reader of Keysight (Agilent) B1500 EasyEXPERT CSV: blocks of `DataName, ...` and `DataValue, ...` lines.

Never a block joined to another.
"""

from typing import Literal

from devices.measurements.columns.column_reader import ColumnReader, rows_of
from devices.measurements.columns.columns import ColumnMap
from devices.measurements.columns.layout import Layout
from devices.measurements.table.sink import Role, Sink
from devices.measurements.text.delimiters import fields_of
from devices.measurements.text.lines import BLOCK_ROWS, MOST_BLANK, Line, LineReader
from devices.measurements.text.problems import ReadLog, failure

NAME, VALUE = "DataName", "DataValue"


class KeysightB1500(ColumnReader):
    """The variables are named by the user of the instrument: say which is which in `columns`. Every block is a sequence of its own.

    Numbers are in SI. Lines before, between and after the blocks (SetupTitle, TestParameter, ...) are settings and are skipped.

    Attributes:
        role: what the rows are. columns: which variable is which quantity.
    """

    kind: Literal["keysight_b1500"] = "keysight_b1500"
    role: Role = "pulses"
    columns: ColumnMap

    def layout(self, lines: LineReader, log: ReadLog) -> Layout:
        """Take lines up to the next DataName. Raises MeasurementError when there is none."""
        for line in lines:
            fields = fields_of(line.text, ",")
            if fields[0] == NAME:
                return Layout(fields, line.number, ",", si=True)
            if fields[0] == VALUE:
                log.count(lines.path, f"{VALUE} before the first {NAME}, skipped", line=line.number)
            if line.number > MOST_BLANK:
                raise failure(lines.path, f"no line begins with '{NAME}' within {MOST_BLANK} lines", line=line.number)
        raise failure(lines.path, f"not a B1500 file: no line begins with '{NAME}'")

    def column_map(self) -> ColumnMap:
        """As configured."""
        return self.columns

    def row_role(self) -> Role:
        """As configured."""
        return self.role

    def read_file(self, lines: LineReader, sink: Sink) -> None:
        """Read block after block."""
        layout, block_count = self.layout(lines, sink.log), 0
        while True:
            block_count += 1
            rows = rows_of(self, lines.path, layout, sink, run=f"block {block_count}")
            following: Layout | None = None
            kept: list[Line] = []
            for line in lines:
                first = line.text.split(",", 1)[0].strip()
                if first == VALUE:
                    kept.append(line)
                    if len(kept) == BLOCK_ROWS:
                        rows.pour(kept)
                        kept = []
                elif first == NAME:
                    following = Layout(fields_of(line.text, ","), line.number, ",", si=True)
                    break
                elif line.text.strip():
                    sink.log.count(lines.path, f"line that is no {VALUE} behind a {NAME}, skipped", line=line.number)
            if kept:
                rows.pour(kept)
            if not rows.count:
                sink.log.count(lines.path, "data block without values", line=layout.header_line)
            if following is None:
                return
            layout = following
