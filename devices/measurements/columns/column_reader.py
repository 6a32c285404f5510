"""The shared half of every reader whose rows are lines and whose quantities are columns. A format adds what precedes its data.

It never guesses a quantity: the column map, the header's units and the constants of the configuration say what a number is.
"""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.config import Q, StrictModel
from devices.measurements.columns.before_after import counterpart, with_reads_before
from devices.measurements.columns.chosen_lines import ChosenLines
from devices.measurements.columns.columns import DIMENSIONS, LABELS, Column, ColumnMap, bind, position
from devices.measurements.columns.layout import Layout
from devices.measurements.columns.pulse_columns import BadWord, pulse_columns
from devices.measurements.columns.read_quantity import ReadQuantity, current_of
from devices.measurements.columns.reader import Reader
from devices.measurements.table.plausible import check_pulse_numbers
from devices.measurements.table.sink import Role, Sink
from devices.measurements.table.table import Flag, Op
from devices.measurements.text.delimiters import (
    DELIMITERS,
    Delimiter,
    character_of,
    delimiter_name,
    fields_of,
    sniff_delimiter,
)
from devices.measurements.text.head import commented_header, take_preamble
from devices.measurements.text.lines import Line, LineReader, data_lines
from devices.measurements.text.numbers import NumberColumn, numbers
from devices.measurements.text.problems import ReadLog, failure
from devices.measurements.text.widths import Widths

READS: Mapping[str, ReadQuantity] = {"i": "current", "g": "conductance", "r": "resistance"}


class Compliance(StrictModel):
    """Which reads hit the current compliance: flagged texts of the status column, and a limit of the current itself.

    A read within 0.1 % of the limit counts as in compliance.

    Attributes:
        flagged: texts of the status column that mean compliance. limit: current compliance of the instrument.
    """

    flagged: tuple[str, ...] = ()
    limit: Annotated[float, Q("current", "A", gt=0)] | None = None


class ColumnReader(Reader):
    """Rows are lines, quantities are columns.

    Attributes:
        decimal: decimal mark of the numbers.
        potentiation: sign of the pulse voltage that potentiates.
        direction: of all pulses, when neither a voltage nor a column says it; auto: by whether a sequence rises or falls.
        amplitude, width: of all pulses, when there is no column. pulses_per_read: pulses between two rows.
        sample_time: time between rows, when there is no time column.
        compliance: which rows hit the current compliance; they are flagged and counted, not fitted.
        only: column (name, or number from 0) -> value: rows that hold anything else there are left out, and counted.
    """

    decimal: Literal[".", ","] = "."
    potentiation: Literal["positive", "negative"] = "positive"
    direction: Literal["auto", "up", "down"] = "auto"
    amplitude: Annotated[float, Q("voltage", "V")] | None = None
    width: Annotated[float, Q("time", "s", gt=0)] | None = None
    pulses_per_read: Annotated[int, Field(ge=1, le=10**9)] = 1
    sample_time: Annotated[float, Q("time", "s", gt=0)] | None = None
    compliance: Compliance = Compliance()
    only: Mapping[str | int, str | int | float] = Field(default_factory=dict)

    @abstractmethod
    def layout(self, lines: LineReader, log: ReadLog) -> Layout:
        """Take the lines before the data and say what they mean."""

    @abstractmethod
    def column_map(self) -> ColumnMap:
        """Which column is which quantity."""

    @property
    def reads_without_width(self) -> bool:
        """Whether a pulse width of 0 marks a plain read in this format, whatever the voltage beside it."""
        return False

    @abstractmethod
    def row_role(self) -> Role:
        """What the rows are."""

    def read(self, sink: Sink) -> None:
        """Read every file block by block."""
        for path in self.path:
            with LineReader(path, sink.log) as lines:
                self.read_file(lines, sink)

    @abstractmethod
    def read_file(self, lines: LineReader, sink: Sink) -> None:
        """Read one file from its first line; most formats are `read_columns`."""

    @final
    def read_columns(self, lines: LineReader, sink: Sink) -> None:
        """Take the layout, then turn every line into a row."""
        layout = self.layout(lines, sink.log)
        rows = rows_of(self, lines.path, layout, sink)
        for block in data_lines(lines, sink.log, layout.comment, delimiter=layout.delimiter):
            rows.pour(block)
        rows.chosen.refuse_none()
        if not rows.count:
            sink.log.count(lines.path, "file without data rows", line=layout.header_line)

    @final
    def plain_layout(
        self, lines: LineReader, log: ReadLog, delimiter: Delimiter, header_row: bool, comment: str | None = None
    ) -> Layout:
        """Take comments and the header, when there is one, of a table without a preamble of its own."""
        chosen = character_of(delimiter)
        if header_row:
            return Layout(*self.header(lines, log, chosen), comment)
        take_preamble(lines, log)
        first = lines.peek()
        found = sniff_delimiter(first.text if first else "", decimal=self.decimal)
        return Layout(None, None, chosen or found, comment)

    def header(self, lines: LineReader, log: ReadLog, delimiter: str | None) -> tuple[list[str], int, str]:
        """Take comments and the header line: names, line number, delimiter.

        Raises MeasurementError when there is none or it cannot be split.
        """
        while (first := lines.peek()) is not None and not first.text.strip():
            next(lines)
        line = commented_header(take_preamble(lines, log), lines.peek(), self.decimal)
        line = line or next((line for line in lines if line.text.strip()), None)
        if line is None:
            raise failure(lines.path, "there is no header line: the file ends before it")
        following = lines.peek()
        chosen = delimiter or sniff_delimiter(line.text, following.text if following else None)
        names = fields_of(line.text, chosen)
        better = max(DELIMITERS, key=lambda d: len(fields_of(line.text, d)))
        if len(names) == 1 and len(fields_of(line.text, better)) > 1:
            raise failure(
                lines.path,
                f"wrong delimiter: the header is one column with {delimiter_name(chosen)}, "
                f"{len(fields_of(line.text, better))} with {delimiter_name(better)}; set delimiter: auto",
                line=line.number,
            )
        return names, line.number, chosen


class Rows:
    """Turns blocks of lines of one file into rows of the table."""

    def __init__(self, reader: ColumnReader, path: Path, layout: Layout, sink: Sink, run: str) -> None:
        self._reader, self._path, self._layout, self._sink, self._run = reader, path, layout, sink, run
        given = reader.column_map().given()
        self._widths = Widths(path, layout.delimiter, sink.log, layout.header)
        numeric = {q: c for q, c in given.items() if q in DIMENSIONS}
        self._numeric = bind(path, numeric, layout.header, layout.header_line, None if layout.si else sink.log)
        self._labels = {
            q: position(path, c, layout.header, layout.header_line) for q, c in given.items() if q in LABELS
        }
        self._device = reader.device_of(path, sink) if not {"cell", "cell_row", "cell_col"} & set(given) else None
        self.chosen = ChosenLines(reader.only, path, layout, sink.log, reader.decimal)
        self._sequences: dict[tuple[int, int, str], int] = {}
        self._rows_of: dict[int, int] = {}
        self._last_pulse: dict[tuple[int, int, str], tuple[float, int]] = {}
        self.count = 0
        if "i" in given and "v_read" not in given and reader.v_read is None and "v_read" not in layout.constants:
            raise failure(
                path, "a current needs the read voltage: give v_read, or a column for it", line=layout.header_line
            )
        if reader.row_role() == "pulses":
            self._say_what_gives_directions(given)
            self._ask_for_before(given)

    def _say_what_gives_directions(self, given: Mapping[str, Column]) -> None:
        reader = self._reader
        if "direction" in given or reader.direction != "auto":
            self._sink.directed(self._path, "stated")
        elif "v" in given or reader.amplitude is not None:
            self._sink.directed(self._path, "stated" if "potentiation" in reader.model_fields_set else "voltage")

    def _ask_for_before(self, given: Mapping[str, Column]) -> None:
        """Refuse a column *before* that stands unnamed beside the column *after* it, or the other way round. Raises MeasurementError."""
        header, reading = self._layout.header, next(q for q in READS if q in given)
        if header is None or self._reader.column_map().before is not None:
            return
        other = counterpart(self._numeric[reading].name, header)
        if other is not None:
            raise failure(
                self._path,
                f"column '{other}' stands beside it: what was read before each pulse? Name it in columns, before: {other},"
                " or say before: none",
                line=self._layout.header_line,
                column=self._numeric[reading].name,
            )

    def pour(self, block: list[Line]) -> None:
        """Parse a block and append its rows."""
        reader, path, sink = self._reader, self._path, self._sink
        self._widths.check(block)
        block = self.chosen.of(block)
        if not block:
            return
        n = len(block)
        columns: list[NumberColumn] = list(self._numeric.values())
        values = numbers(block, columns, self._layout.delimiter, path, sink.log, decimal=reader.decimal)
        value = {quantity: values[:, k] for k, quantity in enumerate(self._numeric)}
        labels = self._label_columns(block)
        line = np.array([entry.number for entry in block])
        rows: dict[str, Any] = {}
        rows["cell_row"], rows["cell_col"] = self._cells(value, labels, n, line)
        if "pulse" in value:
            value["n_pulses"], labels["sequence"] = self._numbered(value["pulse"], rows, labels.get("sequence"), line)
        rows["sequence"] = self._sequence(rows["cell_row"], rows["cell_col"], labels.get("sequence"), n)
        v_read = value.get("v_read", np.full(n, self._layout.constants.get("v_read", reader.read_voltage)))
        rows["v_read_V"] = v_read
        rows["i_A"] = self._current(value, v_read)
        rows["t_s"] = value["t"] if "t" in value else self._times(rows["sequence"])
        rows["target_S"] = value.get("target", np.nan)
        rows |= self._pulses(value, labels, n, line)
        rows["flag"] = rows.get("flag", 0) | self._compliance(rows["i_A"], labels.get("status"), n)
        if "before" in value:
            quantity = next(quantity for column, quantity in READS.items() if column in value)
            before = current_of(value["before"], quantity, v_read)
            rows, line, anew = with_reads_before(rows, before, line, sink.new_sequences)
            sink.log.count(path, "line that does not begin where the one before ended: a new run", times=anew)
        sink.rows(reader.row_role(), path, line, rows, negative=reader.negative)
        self.count += n

    def _label_columns(self, block: list[Line]) -> dict[str, list[str]]:
        if not self._labels:
            return {}
        split = [fields_of(line.text, self._layout.delimiter) for line in block]
        for line, fields in zip(block, split, strict=True):
            for index, name in self._labels.values():
                if index >= len(fields):
                    raise failure(
                        self._path, f"missing: the line has {len(fields)} field(s)", line=line.number, column=name
                    )
        found = {quantity: [fields[index] for fields in split] for quantity, (index, _) in self._labels.items()}
        if "cell" in found and not all(found["cell"]):
            nameless = block[found["cell"].index("")].number
            raise failure(self._path, "the cell has no name", line=nameless, column=self._labels["cell"][1])
        return found

    def _current(self, value: Mapping[str, Any], v_read: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        column, quantity = next((column, quantity) for column, quantity in READS.items() if column in value)
        return current_of(value[column], quantity, v_read)

    def _cells(
        self, value: Mapping[str, Any], labels: Mapping[str, list[str]], n: int, line: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        if self._device is not None:
            return np.full(n, self._device), np.zeros(n, np.int64)
        if "cell" in labels:
            known = {
                name: self._sink.cell(self._path, self._reader.device, name) for name in dict.fromkeys(labels["cell"])
            }
            return np.array([known[name] for name in labels["cell"]]), np.zeros(n, np.int64)
        coordinates = []
        for quantity in ("cell_row", "cell_col"):
            numbers_ = value.get(quantity, np.zeros(n))
            bad = ~((numbers_ >= 0) & (numbers_ < 2**31) & (numbers_ == np.rint(numbers_)))
            if bad.any():
                k = int(np.argmax(bad))
                raise failure(
                    self._path,
                    f"must be a whole number >= 0 (got {numbers_[k]:g})",
                    line=int(line[k]),
                    column=self._numeric[quantity].name,
                )
            coordinates.append(numbers_.astype(np.int64))
        row, col = coordinates
        if self._reader.device is None:
            self._sink.placed(self._path)
            return row, col
        places = list(zip(row.tolist(), col.tolist(), strict=True))
        own = {place: self._sink.device(f"{self._reader.device}: {place}") for place in dict.fromkeys(places)}
        return np.array([own[place] for place in places]), np.zeros(n, np.int64)

    def _sequence(
        self, row: npt.NDArray[Any], col: npt.NDArray[Any], label: list[str] | None, n: int
    ) -> npt.NDArray[np.int64]:
        keys = zip(row.tolist(), col.tolist(), [self._run] * n if label is None else label, strict=True)
        ids = np.empty(n, np.int64)
        for k, key in enumerate(keys):  # numbered in order of appearance
            number = self._sequences.get(key)
            if number is None:
                number = self._sequences[key] = self._sink.new_sequences()
            ids[k] = number
        return ids

    def _numbered(
        self, number: npt.NDArray[Any], rows: Mapping[str, Any], label: list[str] | None, line: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], list[str]]:
        """Pulses before each read, and a label of its ramp, from the number of the last pulse: where it does not grow, a ramp begins."""
        check_pulse_numbers(self._path, number, line, self._numeric["pulse"].name)
        pulses, names = np.empty(len(number)), []
        for k, value in enumerate(number):
            key = (int(rows["cell_row"][k]), int(rows["cell_col"][k]), "" if label is None else label[k])
            last, ramp = self._last_pulse.get(key, (np.nan, 0))
            begins = not value > last
            ramp += begins
            pulses[k] = max(value, 0.0) if begins else value - last
            names.append(f"{key[2]} {ramp}" if label is not None else f"ramp {ramp}")
            self._last_pulse[key] = (float(value), ramp)
        return pulses, names

    def _times(self, sequence: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        step = self._reader.sample_time
        t = np.full(sequence.shape, np.nan)
        if step is not None:
            for name in np.unique(sequence):
                own = sequence == name
                start = self._rows_of.get(int(name), 0)
                t[own] = (start + np.arange(own.sum())) * step
                self._rows_of[int(name)] = start + int(own.sum())
        return t

    def _pulses(
        self, value: Mapping[str, Any], labels: Mapping[str, list[str]], n: int, line: npt.NDArray[Any]
    ) -> dict[str, Any]:
        reader = self._reader
        if reader.row_role() != "pulses":
            return {"op": Op.READ}
        try:
            return pulse_columns(reader, value, labels, n)
        except BadWord as bad:
            raise failure(
                self._path,
                f"got {bad.text!r}; allowed: {', '.join(bad.allowed)}",
                line=int(line[bad.row]),
                column=self._labels[bad.quantity][1],
            ) from None

    def _compliance(self, current: npt.NDArray[Any], status: list[str] | None, n: int) -> npt.NDArray[np.uint16]:
        settings = self._reader.compliance
        hit = np.zeros(n, bool)
        if status is not None:
            unknown = [text for text in status if text and text not in settings.flagged]
            if unknown:
                what = "status that is not among compliance.flagged, taken as good"
                self._sink.log.count(
                    self._path, what, times=len(unknown), column=self._labels["status"][1], got=unknown[0]
                )
            hit |= np.isin(np.array(status), np.array(settings.flagged, dtype=str))
        if settings.limit is not None:
            with np.errstate(invalid="ignore"):
                hit |= np.abs(current) >= 0.999 * settings.limit
        return np.where(hit, Flag.COMPLIANCE, 0).astype(np.uint16)


def rows_of(reader: ColumnReader, path: Path, layout: Layout, sink: Sink, run: str = "") -> Rows:
    """Make what turns the lines behind a layout into rows; `run` names them when the file has no sequence column."""
    return Rows(reader, path, layout, sink, run)
