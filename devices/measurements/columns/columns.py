"""Which column of a text file is which quantity, in which unit. It never reads a number itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from analog_sim.config import StrictModel, at_key
from analog_sim.config.errors import did_you_mean
from devices.measurements.text.header_units import bare_name, note_missing_unit, resolve_unit
from devices.measurements.text.numbers import NumberColumn
from devices.measurements.text.problems import ReadLog, failure

DIMENSIONS: Mapping[str, str | None] = {
    "t": "time",
    "v": "voltage",
    "width": "time",
    "n_pulses": None,
    "pulse": None,
    "v_read": "voltage",
    "i": "current",
    "g": "conductance",
    "r": "resistance",
    "before": None,
    "target": "conductance",
    "cell_row": None,
    "cell_col": None,
}
READS = ("i", "g", "r")
"""What was read; `before` is the same quantity."""
Position = Annotated[int, Field(ge=0, le=10**6)]
"""Number of a column, counted from 0."""

LABELS = ("cell", "sequence", "direction", "op", "status")


Number = Annotated[float, Field(ge=-1e18, le=1e18)]
"""Of a file in any unit."""


class Column(StrictModel):
    """One column: its name in the header, or its number from 0; the unit of its numbers when the header does not say it.

    value in SI = number * unit * factor + offset, offset in SI; a blank is `default` (SI), or missing.
    In YAML a bare text or number is the name or number.

    Attributes:
        name: in the header, or the column's number from 0. unit: of its numbers, when the header does not say it; null for the header's.
        factor: what the numbers are multiplied by. offset: what is added then, in SI units.
        default: value of a blank cell, in SI units; null for missing.
    """

    name: str | Position
    unit: str | None = None
    factor: Number = 1.0
    offset: Number = 0.0
    default: Number | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str | int) and not isinstance(value, bool) else value


class ColumnMap(StrictModel):
    """Columns of a table: times, pulse, read and cell; `i`, `g` or `r` holds what was read.

    Attributes:
        t: time. v, width, n_pulses: the programming pulse(s) before the read.
        pulse: number of the last pulse; where it does not grow, a ramp begins.
        v_read: read voltage. i, g, r: current, conductance, resistance.
        before: the same quantity read before the pulse(s) of the row; none: such a column is there and not wanted.
        target: conductance programmed to. cell_row, cell_col: 0-based numbers; cell: any label instead. sequence: label of a ramp or run.
        direction: up/down, potentiation/depression, set/reset or +1/-1. op: read, pulse or pulse_read. status: compliance column.
    """

    t: Column | None = None
    v: Column | None = None
    width: Column | None = None
    n_pulses: Column | None = None
    pulse: Column | None = None
    v_read: Column | None = None
    i: Column | None = None
    g: Column | None = None
    r: Column | None = None
    before: Annotated[Literal["none"] | Column | None, Field(union_mode="left_to_right")] = None
    target: Column | None = None
    cell_row: Column | None = None
    cell_col: Column | None = None
    cell: Column | None = None
    sequence: Column | None = None
    direction: Column | None = None
    op: Column | None = None
    status: Column | None = None

    @model_validator(mode="after")
    def _one_reading(self) -> Self:
        given = [name for name in ("i", "g", "r") if getattr(self, name) is not None]
        if len(given) != 1:
            raise at_key(
                given[-1] if given else "i",
                f"exactly one of i, g, r is what was read (got {' and '.join(given) or 'none'})",
            )
        if self.cell is not None and (self.cell_row is not None or self.cell_col is not None):
            raise at_key("cell", "give cell, or cell_row and cell_col, not both")
        return self

    def given(self) -> dict[str, Column]:
        """Quantity -> column, for those that are given."""
        columns = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: column for name, column in columns.items() if isinstance(column, Column)}


MOST_LISTED = 12
"""Names, or values, that a message lists."""


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first of many."""
    shown = ", ".join(names[:MOST_LISTED])
    return shown if len(names) <= MOST_LISTED else f"{shown}, ... ({len(names)} in all)"


def position(path: Path, column: Column, header: Sequence[str] | None, line: int | None) -> tuple[int, str]:
    """Return the index of a column and its header (or number as text).

    A name matches a header exactly, or without its unit, whatever the case. Raises MeasurementError when it is not there.
    """
    if isinstance(column.name, int):
        if column.name < 0 or (header is not None and column.name >= len(header)):
            if header is None:
                raise failure(path, f"there is no column number {column.name}: they count from 0")
            raise failure(path, f"there is no column number {column.name}: the header has {len(header)}", line=line)
        return column.name, header[column.name] if header is not None else str(column.name)
    if header is None:
        raise failure(path, f"column '{column.name}' is named, but the file has no header: use column numbers from 0")
    exact = [k for k, text in enumerate(header) if text == column.name]
    wanted = column.name.strip().lower()
    loose = [k for k, text in enumerate(header) if wanted in (text.strip().lower(), bare_name(text).lower())]
    found = exact or loose
    if not found:
        hint = did_you_mean(column.name, [text for text in header if text])
        raise failure(path, f"missing column '{column.name}'{hint or ';'} the header has: {listed(header)}", line=line)
    if len(found) > 1:
        raise failure(
            path, f"{len(found)} columns are called '{column.name}': use the number of one (from 0)", line=line
        )
    return found[0], header[found[0]]


def bind(
    path: Path, columns: Mapping[str, Column], header: Sequence[str] | None, line: int | None, log: ReadLog | None
) -> dict[str, NumberColumn]:
    """Find number columns in a header, with their units; count those without, where there is a log. Raises MeasurementError."""
    bound = {}
    for quantity, column in columns.items():
        index, name = position(path, column, header, line)
        dimension = DIMENSIONS[next(q for q in READS if q in columns) if quantity == "before" else quantity]
        unit = resolve_unit(path, name, dimension, column.unit, line)
        if log is not None:
            note_missing_unit(log, path, name, dimension, column.unit, line)
        bound[quantity] = NumberColumn(index, name, dimension, unit, column.factor, column.offset, column.default)
    return bound
