"""The one table every lab format becomes: plain NumPy columns, one row per operation on one cell.

It never knows a file format, and never drops a row: what should not be fitted is flagged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Op(IntEnum):
    """What was done to the cell; the numbers are those of ArC TWO files."""

    READ = 1
    PULSE = 2
    PULSE_READ = 3


class Flag(IntFlag):
    """Why a row is not to be fitted; 0 is a good row."""

    NOT_A_NUMBER = 1
    NEGATIVE = 2
    COMPLIANCE = 4
    TIME_BACKWARDS = 8
    PULSE_UNKNOWN = 16


FLAG_WORDS: Mapping[Flag, str] = {
    Flag.NOT_A_NUMBER: "missing or not a number",
    Flag.NEGATIVE: "negative conductance (current against the read voltage)",
    Flag.COMPLIANCE: "in current compliance",
    Flag.PULSE_UNKNOWN: "blank or impossible pulse voltage, width or number, not fitted"
    " (where a blank is a plain read, give the column default: 0)",
    Flag.TIME_BACKWARDS: "time runs backwards (rows sorted by time)",
}

DTYPES: Mapping[str, str] = {
    "source": "u2",
    "line": "i4",
    "sequence": "i4",
    "cell_row": "i4",
    "cell_col": "i4",
    "t_s": "f8",
    "op": "u1",
    "direction": "i1",
    "v_V": "f4",
    "width_s": "f4",
    "n_pulses": "i4",
    "v_read_V": "f8",
    "i_A": "f8",
    "target_S": "f8",
    "flag": "u2",
}
DEFAULTS: Mapping[str, float | int] = {
    "source": 0,
    "line": 0,
    "sequence": 0,
    "cell_row": 0,
    "cell_col": 0,
    "t_s": np.nan,
    "op": Op.READ,
    "direction": 0,
    "v_V": np.nan,
    "width_s": np.nan,
    "n_pulses": 0,
    "v_read_V": np.nan,
    "i_A": np.nan,
    "target_S": np.nan,
    "flag": 0,
}


@dataclass(frozen=True)
class MeasurementTable:
    """Rows in the order of the measurement, as columns of equal length N; 66 bytes a row.

    Attributes:
        source: (N,) index of the file, for messages; line: (N,) its line (or row of a data set), 1-based.
        sequence: (N,) rows that belong together in time: one ramp, one retention run, one noise series.
        cell_row, cell_col: (N,) word and bit line, 0-based.
        t_s: (N,) seconds; NaN when the file has no time.
        op: (N,) `Op`. For READ and PULSE_READ the current is that of the read after the pulses.
        direction: (N,) +1 potentiation, -1 depression, 0 none.
        v_V: (N,) volts of the programming pulse; width_s: (N,) seconds of it; NaN when unknown. n_pulses: (N,) pulses since the row before.
        v_read_V: (N,) volts; i_A: (N,) amperes; NaN for a pulse without a read.
        target_S: (N,) conductance the cell was programmed to, siemens; NaN when none.
        flag: (N,) `Flag` bits, 0 for a good row.
    """

    source: Array
    line: Array
    sequence: Array
    cell_row: Array
    cell_col: Array
    t_s: Array
    op: Array
    direction: Array
    v_V: Array
    width_s: Array
    n_pulses: Array
    v_read_V: Array
    i_A: Array
    target_S: Array
    flag: Array

    def __len__(self) -> int:
        return int(self.i_A.shape[0])

    def conductance(self) -> npt.NDArray[np.float64]:
        """Return i / v_read, (N,) siemens; NaN where nothing was read, or at no voltage."""
        return np.divide(self.i_A, self.v_read_V, out=np.full(len(self), np.nan), where=self.v_read_V != 0)

    def select(self, rows: Array) -> "MeasurementTable":
        """Return the rows of a mask or an index array, in that order."""
        return MeasurementTable(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def reorder(self, order: Array) -> None:
        """Put the rows into another order in place, one column after another, so that the rows are never held twice."""
        for column in fields(self):
            values = getattr(self, column.name)
            values[:] = values[order]

    def cell(self) -> npt.NDArray[np.int64]:
        """Return one integer per row that names the cell."""
        return (self.cell_row.astype(np.int64) << 32) | self.cell_col.astype(np.int64)

    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(int(getattr(self, column.name).nbytes) for column in fields(self))


class TableBuilder:
    """Collects chunks of rows; the columns grow in place one after another, so that the rows are never held twice."""

    def __init__(self) -> None:
        self._columns: dict[str, Array] = {name: np.empty(0, dtype) for name, dtype in DTYPES.items()}
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: int, columns: Mapping[str, Any]) -> None:
        """Append `rows` rows; a column is an array (rows,) or one value for all; a missing column takes its default.

        Raises KeyError for a column that is not in the table.
        """
        for name in columns:
            if name not in DTYPES:
                raise KeyError(f"TableBuilder: no column {name!r}; allowed: {', '.join(DTYPES)}")
        if rows == 0:
            return
        stop = self._rows + rows
        for name, column in self._columns.items():
            if stop > column.shape[0]:
                # resize() moves pages instead of copying when the allocator can; refcheck is off because only this object holds the column.
                column.resize(max(stop, int(1.3 * column.shape[0])), refcheck=False)
            column[self._rows : stop] = columns.get(name, DEFAULTS[name])
        self._rows = stop

    def table(self) -> MeasurementTable:
        """Return the table and forget the rows."""
        columns = self._columns
        for column in columns.values():
            column.resize(self._rows, refcheck=False)
        self._columns = {name: np.empty(0, dtype) for name, dtype in DTYPES.items()}
        self._rows = 0
        return MeasurementTable(**columns)


def runs(*keys: Array) -> Iterator[slice]:
    """Yield the slices of consecutive rows on which every key is constant."""
    if len(keys[0]) == 0:
        return
    change = np.zeros(len(keys[0]) - 1, bool)
    for key in keys:
        change |= key[1:] != key[:-1]
    edges = np.concatenate(([0], np.flatnonzero(change) + 1, [len(keys[0])]))
    for start, stop in pairwise(edges):
        yield slice(int(start), int(stop))
