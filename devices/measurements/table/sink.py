"""Where readers pour their rows: one table per role of a measurement, with flags set and counted. It never knows a format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from devices.measurements.table.direction_checks import check_both_directions, check_directions
from devices.measurements.table.distribution import StepDistribution
from devices.measurements.table.plausible import LARGEST_S, check_bounds
from devices.measurements.table.table import FLAG_WORDS, Flag, MeasurementTable, Op, TableBuilder, runs
from devices.measurements.text.numbers import is_number
from devices.measurements.text.problems import MeasurementError, ReadLog, failure

Role = Literal["pulses", "retention", "noise", "programming"]
ROLES: tuple[Role, ...] = ("pulses", "retention", "noise", "programming")
Negative = Literal["exclude", "magnitude", "keep"]

UNFIT = (Flag.NOT_A_NUMBER | Flag.NEGATIVE | Flag.COMPLIANCE | Flag.PULSE_UNKNOWN).value
"""Rows with one of these flags stay in the table but are not fitted."""

DirectedBy = Literal["voltage", "stated"]
"""What gives the pulses of a file their directions: the sign of their voltage by default, or what the user said."""


@dataclass(frozen=True)
class Measurements:
    """Everything a configuration's files hold.

    Attributes:
        tables: one per role that has rows, in time order within each sequence.
        distributions: step distributions, one per device and direction.
        sources: the files, indexed by `MeasurementTable.source`.
        devices: labels of the devices, indexed by `cell_row` of files that name no cell.
        log: what the readers handled and counted.
    """

    tables: Mapping[Role, MeasurementTable]
    distributions: tuple[StepDistribution, ...]
    sources: tuple[Path, ...]
    devices: tuple[str, ...]
    log: ReadLog


class Sink:
    """Collects rows and step distributions of any number of files."""

    def __init__(self) -> None:
        self.log = ReadLog()
        self._builders: dict[Role, TableBuilder] = {role: TableBuilder() for role in ROLES}
        self._distributions: list[StepDistribution] = []
        self._sources: dict[Path, int] = {}
        self._devices: dict[str, int] = {}
        self._members: dict[tuple[int, str], int] = {}
        self._sequences = 0
        self._placed: set[Path] = set()
        self._directed: dict[Path, DirectedBy] = {}
        self._cells: dict[str, set[Path]] = {}

    def device(self, label: str) -> int:
        """Number of a device label, new or known: one number for one label, as it is written."""
        return self._devices.setdefault(label, len(self._devices))

    def cell(self, path: Path, device: str | None, label: str) -> int:
        """Number of the device that a file calls `label`; a cell of its own for every device label given with it."""
        if device is None:
            self._cells.setdefault(label, set()).add(path)
        return self.device(label if device is None else f"{device}: {label}")

    def member(self, device: int, label: str) -> int:
        """Number of a label among those of one device."""
        return self._members.setdefault((device, label), len(self._members))

    def placed(self, path: Path) -> None:
        """Remember that a file gives places in an array and no labels; the two are kept apart."""
        self._placed.add(path)

    def directed(self, path: Path, by: DirectedBy) -> None:
        """Remember what the directions of a file's pulses come from; they are checked once everything is read."""
        self._directed[path] = by

    def new_sequences(self, count: int = 1) -> int:
        """Reserve `count` sequence numbers and return the first."""
        self._sequences += count
        return self._sequences - count

    def distribution(self, distribution: StepDistribution) -> None:
        """Add a step distribution."""
        self._distributions.append(distribution)

    def rows(
        self, role: Role, path: Path, line: npt.ArrayLike, columns: Mapping[str, Any], *, negative: Negative = "exclude"
    ) -> None:
        """Append rows of one file; `columns` as in `TableBuilder.append`, `i_A` and `v_read_V` among them, `line` (rows,).

        Values that are missing or negative are flagged and counted.
        """
        line = np.atleast_1d(np.asarray(line, np.int64))
        rows = line.shape[0]
        if rows == 0:
            return
        data = dict(columns)
        check_bounds(path, line, data)
        flag = np.broadcast_to(np.asarray(data.get("flag", 0), np.uint16), (rows,)).copy()
        current = np.array(np.broadcast_to(np.asarray(data["i_A"], np.float64), (rows,)))
        v_read = np.broadcast_to(np.asarray(data["v_read_V"], np.float64), (rows,))
        reads = np.broadcast_to(np.asarray(data.get("op", Op.READ)), (rows,)) != Op.PULSE
        g = np.divide(current, v_read, out=np.full(rows, np.nan), where=v_read != 0)
        missing = reads & ~np.isfinite(g)
        flag[missing] |= Flag.NOT_A_NUMBER.value
        wrong = reads & (g < 0)
        if negative == "magnitude":
            current[wrong] = -current[wrong]
            self._count(path, line, wrong, "negative conductance, magnitude taken")
        elif negative == "exclude":
            flag[wrong] |= Flag.NEGATIVE.value
        else:
            self._count(path, line, wrong, "negative conductance, kept")
        data |= {
            "flag": flag,
            "i_A": current,
            "line": line,
            "source": self._sources.setdefault(path, len(self._sources)),
        }
        self._builders[role].append(rows, data)
        self.log.add_rows(path, rows)

    def _count(self, path: Path, line: npt.NDArray[Any], rows: npt.NDArray[np.bool_], what: str) -> None:
        if rows.any():
            self.log.count(path, what, times=int(rows.sum()), line=int(line[np.argmax(rows)]))

    def measurements(self) -> Measurements:
        """Return everything collected, rows in time order within each sequence, every flag counted.

        Raises MeasurementError when nothing was read, or when most of a file's reads are negative (a sign convention, not noise).
        """
        tables: dict[Role, MeasurementTable] = {}
        sources = tuple(self._sources)
        for role, builder in self._builders.items():
            if len(builder):
                tables[role] = _in_time_order(builder.table())
                self._set_apart(tables[role], sources)
                self._count_flags(tables[role], sources)
        if "retention" in tables:
            _refuse_negative_times(tables["retention"], sources)
        if not tables and not self._distributions:
            why = "; ".join(self.log.lines()) or "the files hold no rows"
            raise MeasurementError(f"no measurement was read: {why}")
        if "pulses" in tables:
            check_directions(tables["pulses"], sources, self._directed, self.log)
        check_both_directions(self._distributions)
        self._say_which_labels_are_alike()
        return Measurements(tables, tuple(self._distributions), sources, tuple(self._devices), self.log)

    def _set_apart(self, table: MeasurementTable, sources: Sequence[Path]) -> None:
        """Move cells that are places in an array behind the labelled devices, where a measurement holds both."""
        if self._placed and self._devices:
            placed = np.isin(table.source, [k for k, path in enumerate(sources) if path in self._placed])
            table.cell_row[placed] += len(self._devices)

    def _say_which_labels_are_alike(self) -> None:
        """Note labels that only their writing tells apart, and cells that several files name."""
        alike: dict[object, list[str]] = {}
        for label in self._cells:
            alike.setdefault(float(label) if is_number(label) else label.lower(), []).append(label)
        for labels in alike.values():
            if len(labels) > 1:
                self.log.note(
                    f"cells {', '.join(map(repr, labels))} differ in their writing only: taken as {len(labels)} cells"
                )
        shared = [label for label, paths in self._cells.items() if len(paths) > 1]
        if shared:
            names = ", ".join(map(repr, shared[:3])) + (", ..." if len(shared) > 3 else "")
            self.log.note(
                f"{len(shared)} cell(s) are named in several files ({names}): taken as the same; files of different arrays need a"
                " device label each"
            )
        if len(self._placed) > 1:
            self.log.note(
                f"{len(self._placed)} files give places in an array: taken as the same array; different ones need a device label each"
            )

    def _count_flags(self, table: MeasurementTable, sources: Sequence[Path]) -> None:
        for index, path in enumerate(sources):
            own = table.source == index
            reads = own & (table.op != Op.PULSE)
            negative = reads & ((table.flag & Flag.NEGATIVE.value) != 0)
            if negative.sum() > 0.5 * max(1, reads.sum()):
                raise failure(
                    path,
                    f"{int(negative.sum())} of {int(reads.sum())} reads have a current against the read voltage:"
                    " a sign convention? set negative: magnitude",
                    line=int(table.line[np.argmax(negative)]),
                )
            unknown = own & ((table.flag & Flag.PULSE_UNKNOWN.value) != 0)
            if unknown.sum() > 0.5 * max(1, own.sum()):
                raise failure(
                    path,
                    f"{int(unknown.sum())} of {int(own.sum())} rows have a blank or impossible pulse voltage, width or number: where a"
                    " blank is a plain read, give its column default: 0",
                    line=int(table.line[np.argmax(unknown)]),
                )
            _refuse_large(table.conductance(), own & reads & ((table.flag & UNFIT) == 0), path, table.line)
            for flag, words in FLAG_WORDS.items():
                self._count(path, table.line, own & ((table.flag & flag.value) != 0), words)


def _refuse_large(g: npt.NDArray[np.float64], reads: npt.NDArray[np.bool_], path: Path, line: npt.NDArray[Any]) -> None:
    """Refuse reads above what a cell can have. Raises MeasurementError naming the first."""
    large = np.flatnonzero(reads & (g > LARGEST_S))
    if len(large):
        row = large[0]
        reason = f"conductance of {g[row]:.4g} S: more than {LARGEST_S:g} S is no memory cell; check unit and v_read"
        raise failure(path, reason, line=int(line[row]))


def _refuse_negative_times(table: MeasurementTable, sources: Sequence[Path]) -> None:
    """Times are counted from programming. Raises MeasurementError naming the first that lies before it."""
    before = np.flatnonzero(table.t_s < 0)
    if len(before):
        row = before[0]
        reason = f"time since programming must be >= 0 s (got {table.t_s[row]:g} s)"
        raise failure(sources[int(table.source[row])], reason, line=int(table.line[row]))


def _in_time_order(table: MeasurementTable) -> MeasurementTable:
    """Sort rows by sequence, then by time where a sequence has times; rows that were out of order get a flag."""
    if (table.sequence[1:] < table.sequence[:-1]).any():
        table.reorder(np.argsort(table.sequence, kind="stable"))
    backwards = np.zeros(len(table), bool)
    position = np.arange(len(table))
    for part in runs(table.sequence):
        t = table.t_s[part]
        if np.isfinite(t).all() and (t[1:] < t[:-1]).any():
            backwards[part][1:] = t[1:] < t[:-1]
            position[part] = part.start + np.argsort(t, kind="stable")
    if not backwards.any():
        return table
    table.flag[backwards] |= Flag.TIME_BACKWARDS.value
    table.reorder(position)
    return table
