"""Pulse measurements as traces: what one cell read after each pulse, without gaps. It never fits anything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from devices.measurements.data.directions import guess_directions
from devices.measurements.data.turning_points import TURN
from devices.measurements.table.sink import UNFIT
from devices.measurements.table.table import Flag, MeasurementTable, Op
from devices.measurements.text.problems import MeasurementError, ReadLog

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Traces:
    """Reads of R traces one after another, N in all; a trace is a gapless history of one cell under one kind of pulse.

    Attributes:
        g: (N,) siemens as read. pulses: (N,) pulses between the read before and this one; direction: (N,) their sign, +1, -1 or 0.
        start: (R + 1,) trace r is reads start[r] to start[r + 1]. cell: (R,) number of the cell. sequence: (R,) of the file.
        amplitude: (R,) volts; width: (R,) seconds: of the pulses, NaN when unknown.
        factor: (N,) on the steps before each read, known beforehand (of a history); None where all are 1.
    """

    g: F64
    pulses: I64
    direction: npt.NDArray[np.int8]
    start: I64
    cell: I64
    sequence: I64
    amplitude: F64
    width: F64
    factor: F64 | None = None

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def steps(self) -> int:
        """Number of pairs of reads with a pulse between them."""
        return int((self.pulses[self.inside()] > 0).sum())

    def inside(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a read has a read before it in its trace."""
        mask = np.ones(len(self.g), bool)
        mask[self.start[:-1]] = False
        return mask

    def trace_of(self) -> I64:
        """(N,) index of the trace of every read."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def take(self, chosen: Sequence[int] | I64) -> "Traces":
        """Return some traces, in the given order."""
        chosen = np.asarray(chosen, np.int64)
        parts = [np.arange(self.start[r], self.start[r + 1]) for r in chosen]
        reads = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return Traces(
            self.g[reads],
            self.pulses[reads],
            self.direction[reads],
            np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.int64),
            self.cell[chosen],
            self.sequence[chosen],
            self.amplitude[chosen],
            self.width[chosen],
            factor=None if self.factor is None else self.factor[reads],
        )

    def changes(self) -> tuple[F64, I64, npt.NDArray[np.int8]]:
        """Return change (S,) siemens between successive reads with pulses between them, index of the later read, direction."""
        at = np.flatnonzero(self.inside() & (self.pulses > 0))
        return self.g[at] - self.g[at - 1], at, self.direction[at]

    def scaled(self, factor: float, offset: float = 0.0) -> "Traces":
        """Return the traces with conductances factor * g + offset."""
        return replace(self, g=factor * self.g + offset)


def joined(parts: Sequence[Traces]) -> Traces:
    """Return the traces of several parts, one part after another."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([0, *(len(part.g) for part in parts)])
    starts = [part.start[:-1] + end for part, end in zip(parts, ends[:-1], strict=True)]
    return Traces(
        np.concatenate([part.g for part in parts]),
        np.concatenate([part.pulses for part in parts]),
        np.concatenate([part.direction for part in parts]),
        np.concatenate((*starts, ends[-1:])).astype(np.int64),
        np.concatenate([part.cell for part in parts]),
        np.concatenate([part.sequence for part in parts]),
        np.concatenate([part.amplitude for part in parts]),
        np.concatenate([part.width for part in parts]),
        factor=None
        if all(part.factor is None for part in parts)
        else np.concatenate([np.ones(len(part.g)) if part.factor is None else part.factor for part in parts]),
    )


@dataclass(frozen=True)
class Condition:
    """One kind of pulse: amplitude magnitude in volts and width in seconds to four digits, None when unknown."""

    amplitude: float | None
    width: float | None

    def __str__(self) -> str:
        volts = "unknown amplitude" if self.amplitude is None else f"{self.amplitude:.4g} V"
        seconds = "unknown width" if self.width is None else f"{self.width:.4g} s"
        return f"{volts}, {seconds}"


def conditions(table: MeasurementTable) -> dict[tuple[int, Condition], int]:
    """Count pulses by direction and condition, most first; a direction of 0 is one that only the data can tell."""
    rows, counts = np.unique(_condition_rows(table)[_pulsed(table)], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {
        (int(rows[k, 0]), Condition(*(None if value < 0 else float(value) for value in rows[k, 1:]))): int(counts[k])
        for k in order
    }


def has_condition(table: MeasurementTable, direction: int, condition: Condition) -> npt.NDArray[np.bool_]:
    """Mask of the rows that hold pulses of a direction and condition."""
    wanted = [direction, *(-1.0 if value is None else value for value in (condition.amplitude, condition.width))]
    return _pulsed(table) & np.isclose(_condition_rows(table), wanted, rtol=1e-6, atol=0.0).all(axis=1)


def _pulsed(table: MeasurementTable) -> npt.NDArray[np.bool_]:
    """Rows with pulses that are known."""
    return np.asarray((table.op != Op.READ) & (table.n_pulses > 0) & ((table.flag & Flag.PULSE_UNKNOWN.value) == 0))


def _condition_rows(table: MeasurementTable) -> F64:
    """(N, 3) direction, magnitude of the amplitude, width; -1 for unknown."""
    parts = [table.direction.astype(np.float64), four_digits(np.abs(table.v_V)), four_digits(table.width_s)]
    return np.nan_to_num(np.stack(parts, axis=1), nan=-1.0)


def four_digits(values: npt.NDArray[np.floating]) -> F64:
    """Four significant digits, so that float32 noise does not make new conditions."""
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = 10.0 ** np.floor(np.log10(np.abs(values)))
    scale = np.where(np.isfinite(magnitude) & (magnitude > 0), magnitude / 1000.0, 1.0)
    return np.asarray(np.rint(values / scale) * scale)


def traces_of(table: MeasurementTable, log: ReadLog, keep: npt.NDArray[np.bool_] | None = None) -> Traces:
    """Cut the rows of a table into traces at flagged rows, at rows that `keep` leaves out, and where the kind of pulse is unknown.

    A PULSE row adds its pulses to the next read. A direction that the file does not say is guessed (`directions`), and a
    reset between ramps begins a trace anew.
    Raises MeasurementError when no trace has two reads.
    """
    g, direction = table.conductance(), table.direction.astype(np.int8).copy()
    good = (table.flag & UNFIT) == 0
    pulsed = _pulsed(table)
    jumps = guess_directions(table, g, direction, good, pulsed, log)
    usable = good if keep is None else good & keep
    n = len(table)
    fresh = np.ones(n, bool)  # first row of a sequence on a cell
    fresh[1:] = (
        (table.sequence[1:] != table.sequence[:-1])
        | (table.cell_row[1:] != table.cell_row[:-1])
        | (table.cell_col[1:] != table.cell_col[:-1])
    )
    fresh[jumps] = True
    segment = np.cumsum(fresh) + np.cumsum(~usable)  # rows of one trace share it; an unusable row ends it
    sent = np.cumsum(np.where(usable & pulsed, table.n_pulses, 0))
    index = np.flatnonzero(usable & (table.op != Op.PULSE))
    if not len(index):
        raise MeasurementError(_NO_STEP)
    first = np.ones(len(index), bool)
    first[1:] = segment[index[1:]] != segment[index[:-1]]
    pulses = np.diff(sent[index], prepend=sent[index[0]])
    # Pulses sent without a read since: their direction is that of the last row that had one.
    last_side = np.maximum.accumulate(np.where(direction != 0, np.arange(n), 0))
    side = np.where((direction[index] == 0) & (pulses > 0), direction[last_side[index]], direction[index])
    start = np.append(np.flatnonzero(first), len(index)).astype(np.int64)
    _say_what_is_lost(table, usable, pulsed, segment, index, sent, start, log)
    _, cell = np.unique(table.cell()[index], return_inverse=True)
    last = index[start[1:] - 1]
    whole = Traces(
        g[index],
        pulses.astype(np.int64),
        side.astype(np.int8),
        start,
        cell[start[:-1]],
        table.sequence[index[start[:-1]]].astype(np.int64),
        np.abs(table.v_V[last].astype(np.float64)),
        table.width_s[last].astype(np.float64),
    )
    kept = np.flatnonzero(np.diff(start) >= 2)
    if not len(kept):
        raise MeasurementError(_NO_STEP)
    _say_where_cycles_begin_anew(whole, log)
    return whole if len(kept) == len(whole) else whole.take(kept)


_NO_STEP = "the pulse measurement has no two successive reads to make a step of: check flags and columns"


def _say_where_cycles_begin_anew(traces: Traces, log: ReadLog) -> None:
    """Note changes against the pulse, of a quarter of the range, at turns: a reset between cycles that the file does not list."""
    change, at, direction = traces.changes()
    before = np.where(traces.inside()[at - 1], traces.direction[at - 1], 0)
    against = (change * direction < -TURN * float(np.ptp(traces.g))) & (before == -direction)
    if against.sum() >= 2:
        log.note(
            f"{int(against.sum())} changes against their pulse by more than a quarter of the range, at turns of the direction: was the cell"
            " reset between cycles? Such steps are fitted as pulses unless a column of the cycle is named as sequence"
        )


def _say_what_is_lost(
    table: MeasurementTable,
    usable: npt.NDArray[np.bool_],
    pulsed: npt.NDArray[np.bool_],
    segment: npt.NDArray[np.int64],
    index: I64,
    sent: npt.NDArray[np.int64],
    start: I64,
    log: ReadLog,
) -> None:
    """Note traces that were cut, pulses without a read after them, and traces too short to hold a step."""
    of_traces = segment[index[start[:-1]]]
    before_break = segment[np.flatnonzero(~usable)] - 1
    cut = int(np.isin(of_traces, before_break).sum())
    if cut:
        log.note(f"{cut} trace(s) cut at flagged or left-out rows; the pulse across the cut is not fitted")
    silent = usable & pulsed & (table.op == Op.PULSE)
    if silent.any():
        # In each segment: pulses sent up to its end, less those up to its last read.
        ends = np.flatnonzero(np.append(segment[1:] != segment[:-1], True))
        read_up_to = dict(zip(of_traces.tolist(), sent[index[start[1:] - 1]].tolist(), strict=True))
        lost = sum(
            int(sent[k]) - read_up_to.get(int(segment[k]), int(sent[k]))
            for k in ends.tolist()
            if int(segment[k]) in read_up_to
        )
        if lost:
            log.note(f"{lost} pulse(s) at the end of a trace have no read after them and are not fitted")
    single = int((np.diff(start) < 2).sum())
    if single:
        log.note(f"{single} trace(s) of a single read hold no step and are not fitted")
