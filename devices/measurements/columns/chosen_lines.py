"""Lines of one condition of a file with several: `only: {column: value}`. The others are counted, and never read as numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from devices.measurements.columns.columns import MOST_LISTED, Column, position
from devices.measurements.columns.layout import Layout
from devices.measurements.text.delimiters import fields_of
from devices.measurements.text.lines import Line
from devices.measurements.text.numbers import is_number
from devices.measurements.text.problems import ReadLog, failure


class ChosenLines:
    """The lines of a file that hold the wanted values in some columns."""

    def __init__(
        self, only: Mapping[str | int, str | int | float], path: Path, layout: Layout, log: ReadLog, decimal: str
    ) -> None:
        self._path, self._log, self._delimiter, self._line = path, log, layout.delimiter, layout.header_line
        self._decimal = decimal
        self._wanted = [
            (*position(path, _column(name, layout.header), layout.header, layout.header_line), str(value))
            for name, value in only.items()
        ]
        self._seen: dict[str, None] = {}  # what the others hold, in order of appearance
        self._kept = 0

    def of(self, block: list[Line]) -> list[Line]:
        """Return the wanted lines of a block; count the others."""
        if not self._wanted:
            return block
        kept = []
        for line in block:
            fields = fields_of(line.text, self._delimiter)
            held = [fields[index] if index < len(fields) else "" for index, _, _ in self._wanted]
            if all(self._same(text, value) for text, (_, _, value) in zip(held, self._wanted, strict=True)):
                kept.append(line)
            else:
                if len(self._seen) < MOST_LISTED:
                    self._seen[", ".join(held)] = None
                self._log.count(self._path, "row left out by 'only'", line=line.number)
        self._kept += len(kept)
        return kept

    def _same(self, text: str, value: str) -> bool:
        """Whether a field holds a value: as numbers (85 is 85.0), or as texts in any case."""
        text = text.strip('"')
        if is_number(text, self._decimal) and is_number(value):
            number = float(text.replace(self._decimal, "."))
            return abs(number - float(value)) <= 1e-9 * abs(float(value))
        return text.lower() == value.lower()

    def refuse_none(self) -> None:
        """Raises MeasurementError when no line held the wanted values."""
        if self._wanted and not self._kept:
            names = " and ".join(f"{name} = {value}" for _, name, value in self._wanted)
            there = "; ".join(self._seen) or "nothing"
            raise failure(self._path, f"only: no row holds {names}; there are: {there}", line=self._line)


def _column(name: str | int, header: Sequence[str] | None) -> Column:
    """The column of a key: a number from 0, also where it came as text, unless a column of that name is there."""
    number = isinstance(name, str) and name.isdecimal() and (header is None or name not in header)
    return Column(name=int(name) if number else name)
