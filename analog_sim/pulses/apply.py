"""Joins the pulse kernels to the cells of a crossbar: checks the plan, hands over the arrays the card needs, counts what was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim._teamwork import Postponed
from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.state import CellState
from analog_sim.pulses.composed_tables import composed_of, nothing_composed
from analog_sim.pulses.graded import Grading, count_drives, seen_by, train_drives
from analog_sim.pulses.kernels import bits as bit_kernels
from analog_sim.pulses.kernels import graded
from analog_sim.pulses.kernels import pulses as kernels
from analog_sim.pulses.kernels.cells import Cells
from analog_sim.pulses.kernels.composed.merging import DENSE, ComposedTables
from analog_sim.pulses.kernels.counts import busy_rows, count_listed, lines_of, list_pulses, slots_of_rows
from analog_sim.pulses.kernels.graded import CountDrives, Seen, TrainDrives
from analog_sim.pulses.kernels.laws import LINEAR, Law
from analog_sim.pulses.kernels.lists import AT_ONCE
from analog_sim.pulses.kernels.plans import PreparedCounts, PreparedTrain, lay_out
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.pulses.reached import Reached
from analog_sim.random.streams import Stream
from analog_sim.threads import in_parts, postponed, team_for

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

WORTH_A_THREAD = 2**13
"""Cells whose pulses are worth a thread."""

LAID_OUT_BY_A_THREAD = 2**13
"""Lines times samples of a train whose columns are worth a thread beside its rows."""

ROOM_FOR_LISTS = 2**20
"""Columns in the lists of a train for which there is room without counting them."""

A_ROW = 128
"""Cells that take as long as what a row costs by itself: its generators, its lists."""

FEW = 128
"""Of how many cells one may be pulsed for what is known of the array to be mended cell by cell."""

_NOBODY = np.empty(0, np.int64)
_NO_PRESENT = np.empty((0, 0), np.float32)

_ACTS = {
    (1, "both"): np.array([[1, -1]], np.int8),
    (1, "one_sided"): np.array([[1, -1]], np.int8),
    (2, "both"): np.array([[1, -1], [-1, 1]], np.int8),
    (2, "one_sided"): np.array([[1, 0], [0, 1]], np.int8),
}
"""What the cells of each plane do at a positive and at a negative product: 1 potentiate, -1 depress."""


@dataclass(frozen=True)
class PreparedPulses:
    """A plan as the kernels take it.

    Attributes:
        counts, train: see the kernels; one of them is None.
        planes, lines_of_plane: of the crossbar.
        slots: pulse slots used (what the operation takes in time): of a train those of its samples, of counts those of its rows.
        busiest: (samples,), in how many slots of a train the busiest row fires; empty for counts.
    """

    counts: PreparedCounts | None
    train: PreparedTrain | None
    planes: int
    lines_of_plane: int
    slots: int
    busiest: I64

    @property
    def any(self) -> bool:
        """Whether any cell may change."""
        sent = self.counts if self.train is None else self.train
        return sent is not None and len(sent.rows) > 0

    @property
    def rows(self) -> I64:
        """Those in which any cell may change, ascending, counted through all planes."""
        if self.counts is not None:
            return self.counts.rows
        return (np.arange(self.planes)[:, None] * self.lines_of_plane + self.lines).ravel()

    @property
    def lines(self) -> I64:
        """The word lines of these rows, ascending."""
        if self.train is not None:
            return self.train.rows
        assert self.counts is not None
        rows = self.counts.rows
        if not len(rows) or rows[-1] < self.lines_of_plane:
            return rows
        found = np.empty(self.lines_of_plane, np.int64)
        return found[: lines_of(rows, np.empty(self.lines_of_plane, np.bool_), found)]

    @property
    def few(self) -> I64 | None:
        """The cells that may change, counted through planes, rows and columns, where they are few and known; else None."""
        return self.counts.cells if self.counts is not None and len(self.counts.cells) else None


def prepare(
    cell: CellModel, state: CellState, plan: PulseCounts | PulseTrain, factors: Grading | None = None
) -> PreparedPulses:
    """Check a plan of signed counts or outer-product trains and make it ready. Raises ValueError when it does not fit the crossbar.

    factors: on the steps, None when all are the nominal ones.
    """
    planes, rows, cols = state.g.shape
    everywhere = cell.half_select > 0.0 if factors is None else factors.half
    if isinstance(plan, PulseCounts):
        counts, slots = _counts(plan, state.g.shape, cell.half_select, everywhere)
        return PreparedPulses(counts, None, planes, rows, slots, _NOBODY)
    _check(plan, planes, rows, cols)
    train, busiest = _train(plan, planes, cell.half_select, everywhere)
    return PreparedPulses(None, train, planes, rows, plan.length * len(plan.row_bits), busiest)


@dataclass(frozen=True)
class GradedPulses:
    """Pulses by the volts that cells see, as the kernels take them."""

    seen: Seen
    drives: TrainDrives | CountDrives

    @classmethod
    def of(
        cls, plan: PulseCounts | PulseTrain, prepared: PreparedPulses, reached: Reached, factors: Grading
    ) -> GradedPulses:
        """From a plan that is prepared and what its voltages reach."""
        seen = seen_by(reached, factors)
        if prepared.counts is not None:
            return cls(seen, count_drives(prepared.counts, reached, factors.half))
        assert isinstance(plan, PulseTrain)
        assert prepared.train is not None
        one_sided = plan.mode == "one_sided" and len(reached.array) == 2
        return cls(seen, train_drives(plan, prepared.train, reached, one_sided))


def apply_pulses(
    cell: CellModel,
    law: Law,
    state: CellState,
    plan: PreparedPulses,
    stream: Stream,
    present: F32 | None,
    now: float,
    *,
    wait: bool = True,
) -> int | Postponed:
    """Pulse the cells of a crossbar in place; every pulse sees the state that the last one left. Returns the pulses sent to cells.

    Args:
        cell: the compiled card. law: its pulse response, from `compile_pulses`.
        state: changed in place.
        plan: from `prepare`.
        stream: cycle-to-cycle noise; one word of it is set aside, as the number of this operation.
        present: conductances at chip time, at least in `plan.rows`, when the card ages (a pulse acts on those and restarts the clock),
            else None.
        now: chip time in seconds.
        wait: False for the caller to go on while other threads pulse, where there are any: what is returned has the number later, and
            until then nobody may look at the state, nor change the plan.
    """
    kernel: Any = kernels.pulse_rows_by_train if plan.counts is None else kernels.pulse_rows_by_counts
    sent = plan.train if plan.counts is None else plan.counts
    assert sent is not None
    arguments = _plain(_cells(cell, state, present, now), law, _composed(cell, law, plan), sent)
    place = stream.reserve(1)
    planes, _, cols = state.g.shape
    each = planes if plan.counts is None else 1
    least = max(1, WORTH_A_THREAD // (each * (cols + A_ROW)))
    rows = len(sent.rows)
    later = None if wait else postponed(rows, least)
    if later is None:
        return int(kernel(0, rows, team_for(rows, least), *arguments, place))
    later.begin(kernel, rows, (*arguments, place))
    return later


def _plain(cells: Cells, law: Law, composed: ComposedTables, sent: PreparedTrain | PreparedCounts) -> tuple[Any, ...]:
    """The same as tuples without names, which Numba takes apart in 6 us instead of 22."""
    return tuple(cells), (tuple(law.axis), *law[1:]), tuple(composed), tuple(sent)


def apply_graded(
    cell: CellModel,
    law: Law,
    state: CellState,
    plan: GradedPulses,
    stream: Stream,
    present: F32 | None,
    now: float,
) -> int:
    """The same for pulses whose steps depend on the volts that reach a cell."""
    cells = _cells(cell, state, present, now)
    seen, drives, place = plan.seen, plan.drives, stream.reserve(1)

    def run(first: int, last: int) -> int:
        by = graded.graded_rows_by_counts if isinstance(drives, CountDrives) else graded.graded_rows_by_train
        return int(by(first, last, cells, law, nothing_composed(), seen, drives, place))

    rows, each = (len(drives.counts.rows), 1) if isinstance(drives, CountDrives) else (state.g.shape[1], len(state.g))
    return sum(in_parts(run, rows, max(1, WORTH_A_THREAD // (each * (state.g.shape[2] + A_ROW)))))


def _composed(cell: CellModel, law: Law, plan: PreparedPulses) -> ComposedTables:
    """Tables of several pulses for an operation that can use them: making them takes some tenths of a second for each measured device."""
    if law.axis.kind == LINEAR or len(law.history):  # what a pulse does depends on those before it
        return nothing_composed()
    if plan.counts is not None:
        dense = bool(plan.counts.hits.max(initial=0) > DENSE * plan.counts.pulses.shape[1])
    else:
        assert plan.train is not None
        starts, cols = plan.train.list_start, plan.train.column_signs.shape[1]
        firing = starts[:, -1, 2] - starts[:, 0, 0]
        dense = bool((plan.busiest * firing > DENSE * (cols * starts.shape[1])).any())
    return composed_of(cell) if dense else nothing_composed()


def _counts(
    plan: PulseCounts, shape: tuple[int, ...], half_select: float, everywhere: bool
) -> tuple[PreparedCounts, int]:
    """The counts as the kernels take them, and the slots that they use."""
    given = plan.counts
    if given.shape != shape or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"pulse counts: got {given.dtype} {given.shape}, this crossbar needs integers {shape}")
    # More pulses than 16 bits hold are another type, for which the kernels are compiled once more.
    small = given.dtype == np.int16 or not given.size or max(int(given.max()), -int(given.min())) < 2**15
    signed: npt.NDArray[np.integer] = np.ascontiguousarray(given, np.int16 if small else np.int32)
    flat = signed.reshape(-1, shape[2])
    every = np.arange(len(flat))
    disturbance = np.empty((0, 0), np.float32)
    if half_select and signed.any():
        # Every pulse half-selects the other cells of its row and of its column.
        along_row = signed.sum(axis=2, keepdims=True, dtype=np.int64)
        along_col = signed.sum(axis=1, keepdims=True, dtype=np.int64)
        disturbance = (
            (half_select * (along_row + along_col - 2 * signed.astype(np.int32)))
            .astype(np.float32)
            .reshape(-1, shape[2])
        )
    listed = None if everywhere else _listed(plan, flat)
    if listed is not None:
        busy, hits, most, cells, each = listed
        return PreparedCounts(flat, disturbance, busy, hits, cells, each), int(slots_of_rows(shape[1], busy, most))
    among = every if plan.rows is None or everywhere else plan.rows
    busy, hits, most = np.empty(len(among), np.int64), np.zeros(len(among), np.int64), np.empty(len(among), np.int64)
    number = busy_rows(flat, among, busy, hits, most)
    slots = int(slots_of_rows(shape[1], busy[:number], most[:number]))
    if everywhere and number:  # also where a row has no pulse of its own
        busy, number, hits = every, len(every), np.abs(flat).sum(axis=1, dtype=np.int64)
    busy, hits = busy[:number], hits[:number]
    cells, each = _few(flat, busy[: 0 if everywhere else number], hits)
    return PreparedCounts(flat, disturbance, busy, hits, cells, each), slots


def _listed(
    plan: PulseCounts, pulses: npt.NDArray[np.integer]
) -> tuple[I64, I64, I64, I64, npt.NDArray[np.int32]] | None:
    """Busy rows, their pulses, the most of each, the cells with pulses and these, where whoever made the plan named the cells.

    None where nobody did, or where they are not few, or lines suffer half-selection.
    """
    cells = plan.cells
    if cells is None or FEW * len(cells) > pulses.size:
        return None
    rows, hits, most = (np.empty(len(cells), np.int64) for _ in range(3))
    each = np.empty(len(cells), np.int32)
    number = count_listed(pulses, cells, rows, hits, most, each)
    if number < 0:
        raise ValueError("pulse counts: cells must be ascending numbers of cells of this crossbar that have pulses")
    rows, hits, most = rows[:number], hits[:number], most[:number]
    if FEW * int(hits.sum()) > pulses.size:
        cells, each = cells[:0], each[:0]
    return rows, hits, most, cells, each


def _few(pulses: npt.NDArray[np.integer], rows: I64, hits: I64) -> tuple[I64, npt.NDArray[np.int32]]:
    """The cells that have pulses, and these, if they are few; else none."""
    number = int(hits.sum())
    if FEW * number > pulses.size:
        number = 0
    cells, each = np.empty(number, np.int64), np.empty(number, np.int32)
    found = list_pulses(pulses, rows, cells, each) if number else 0
    return cells[:found], each[:found]


def _train(plan: PulseTrain, planes: int, half_select: float, everywhere: bool) -> tuple[PreparedTrain, I64]:
    """The train as the kernels take it, and `PreparedPulses.busiest`."""
    col_bits = np.ascontiguousarray(plan.col_bits, np.uint64)
    col_sign = np.ascontiguousarray(plan.col_sign, np.int8)
    row_bits = np.ascontiguousarray(plan.row_bits, np.uint64)
    row_sign = np.ascontiguousarray(plan.row_sign, np.int8)
    samples, cols = col_bits.shape
    rows = row_bits.shape[1]
    turned, fired = np.empty((rows, samples), np.uint64), np.empty(rows, np.uint64)
    when, busiest = np.empty((rows, (samples + 63) // 64), np.uint64), np.empty(samples, np.int64)
    words = np.empty((1 if plan.length <= 32 else 2, samples, cols), np.uint32)
    start, busy = np.empty((samples, plan.length, 3), np.int64), np.empty(rows, np.int64)
    columns = np.empty(_most_listed(col_bits, plan.length) + AT_ONCE, np.uint32)
    of_rows = row_bits, row_sign, turned, fired, when, busiest, busy
    found = np.empty(4, np.uint64)
    team = team_for(2, 1) if samples * (rows + cols) > LAID_OUT_BY_A_THREAD else 0
    lay_out(0, 2, team, of_rows, (col_bits, col_sign, words, columns, start), everywhere, found)
    by_rows, firing, by_columns, number = found.tolist()
    for name, used in (("row_bits", by_rows), ("col_bits", by_columns)):
        if used >> plan.length:
            raise ValueError(f"pulse train: {name} has bits beyond its length of {plan.length} slots")
    if everywhere:
        when[:] = _all_samples(samples)
    lists = words, col_sign, columns[: number + AT_ONCE], start, busy[:firing]
    return PreparedTrain(turned, when, *lists, _ACTS[planes, plan.mode], np.float32(half_select)), busiest


def _most_listed(col_bits: npt.NDArray[np.uint64], length: int) -> int:
    """How many columns the lists of a train hold at most: counting them takes longer than it saves where they are few anyhow."""
    most = col_bits.size * length
    return most if most <= ROOM_FOR_LISTS else int(np.bitwise_count(col_bits).sum())


def _all_samples(samples: int) -> npt.NDArray[np.uint64]:
    """Words whose bits are set for every sample, as in `bits.turn_rows`."""
    full = np.packbits(np.arange((samples + 63) // 64 * 64) < samples, bitorder="little")
    return full.view("<u8").astype(np.uint64)


def _check(plan: PulseTrain, planes: int, rows: int, cols: int) -> None:
    """Refuse a train that the kernels could not index."""
    samples = len(plan.row_bits)
    if (planes, plan.mode) not in _ACTS:
        raise ValueError(f"pulse train: mode {plan.mode!r}; allowed: both, one_sided")
    if not 1 <= plan.length <= bit_kernels.MAX_LENGTH:
        raise ValueError(f"pulse train: {plan.length} slots; allowed: 1 to {bit_kernels.MAX_LENGTH}")
    for name, array, lines in (
        ("row_bits", plan.row_bits, rows),
        ("row_sign", plan.row_sign, rows),
        ("col_bits", plan.col_bits, cols),
        ("col_sign", plan.col_sign, cols),
    ):
        if array.shape != (samples, lines):
            raise ValueError(f"pulse train: {name} has shape {array.shape}, this crossbar needs ({samples}, {lines})")


def _cells(cell: CellModel, state: CellState, present: F32 | None, now: float) -> Cells:
    """The arrays of a crossbar as the kernels take them: a row of cells in each row, empty where there is none."""
    if not state.g.flags.c_contiguous:
        state.g = np.ascontiguousarray(state.g)  # the kernels change it in place
    wear = 0.0 if state.count is None else 1.0 / cell.endurance
    g, *others = state.by_rows()
    now_g = _NO_PRESENT if present is None else np.ascontiguousarray(present).reshape(g.shape)
    nominal = np.array((cell.g_min, cell.g_max, state.bound_lsb, wear, now))
    return Cells._make((g, now_g, *others, nominal))
