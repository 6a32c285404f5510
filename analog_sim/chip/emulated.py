"""One emulated crossbar: fabricated cells behind the `Crossbar` protocol. Knows no weight, no converter and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.cells.ageing import Ageing, row_spans
from analog_sim.cells.cell_model import CellModel, PulseFactor, PulseModel
from analog_sim.cells.programming import program
from analog_sim.cells.state import NO_MEMORY, CellState, fabricate
from analog_sim.chip.checks import check_rows, check_strength, check_target, span
from analog_sim.chip.clock import Clock, check_seconds
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.operation_log import LogState, OperationLog
from analog_sim.chip.overlap import overlapping
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.pulses.strength import driven
from analog_sim.random.streams import Streams, StreamState
from analog_sim.reads.kernels.energy import read_power, square_and_power, sums_of_squares
from analog_sim.reads.noise import add_noise
from analog_sim.reads.read_cache import Points, ReadCache
from analog_sim.reads.walsh import WalshRows
from analog_sim.saved_state import State, taken
from analog_sim.threads import rows_of

if TYPE_CHECKING:  # what pulses and wires need is imported by an array that has them: half of all kernels
    from collections.abc import Callable

    from analog_sim._teamwork import Postponed
    from analog_sim.pulses.apply import PreparedPulses
    from analog_sim.pulses.kernels.laws import Law
    from analog_sim.pulses.reached import PulseWires
    from analog_sim.reads.wired import WiredReads, WiresReport
    from analog_sim.wires import WiresSpec

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U16 = npt.NDArray[np.uint16]

READ_HEADROOM = 1.25
"""Volts that a read may use, in read voltages: room for the gain errors of converters."""
DISTURB_TOLERANCE = 1e-3
"""Read disturb is carried out when it has gathered to this fraction of the way to the upper bound."""
SQUARED_BY_A_THREAD = 2**15
"""Voltages that are worth a thread."""


class CrossbarState(TypedDict):
    """What an emulated array depends on; the shared clock is its owner's."""

    cells: dict[str, npt.NDArray[Any]] | None
    streams: dict[str, StreamState]
    log: LogState
    undisturbed_reads: int
    last_write: float
    seen: list[float] | None
    wires: State | None
    pulse_wires: npt.NDArray[Any] | None


class EmulatedCrossbar:
    """Cells at the crossings of `rows` word lines and `cols` bit lines; a pair subtracts two cells at each crossing.

    Args:
        cell: the compiled device card.
        rows: word lines (inputs).
        cols: bit lines (outputs).
        pair: two cells per cross point, plane 0 minus plane 1.
        streams: identity and noise of this crossbar.
        clock: chip time, shared with the rest of the chip; a new one when None.
        fault_map: (planes, rows, cols) codes of `analog_sim.cells.state.Fault`.
        count_pulses: keep a pulse counter for every cell.
        wires: resistance of the lines, which reads of whole vectors see, and pulses where the card says what their amplitude does;
            programming and `read_conductance` do not.

    Raises:
        UserError: wires with a selector in series with cells that are not ohmic; wires, and a card with `pulse.amplitude` and a history.
    """

    def __init__(
        self,
        cell: CellModel,
        rows: int,
        cols: int,
        *,
        pair: bool,
        streams: Streams,
        clock: Clock | None = None,
        fault_map: npt.NDArray[np.integer] | None = None,
        count_pulses: bool = False,
        wires: WiresSpec | None = None,
    ) -> None:
        if rows < 1 or cols < 1:
            raise ValueError(f"a crossbar needs at least one row and one column (got {rows} x {cols})")
        self.cell = cell
        self.clock = Clock() if clock is None else clock
        self._log = OperationLog()
        self.info = ChipInfo(
            rows,
            cols,
            pair,
            cell.g_min,
            cell.g_max,
            v_max=READ_HEADROOM * cell.cost.v_read,
            pulsed=cell.pulse is not None,
            inspectable=True,
            pulse_volts=_largest(None if cell.pulse is None else cell.pulse.amplitude),
            pulse_seconds=_largest(None if cell.pulse is None else cell.pulse.width),
        )
        self._under_way: tuple[Postponed, Callable[[int], None]] | None = None
        self._cells: CellState = fabricate(
            cell, self.info.planes, rows, cols, streams, fault_map=fault_map, count_pulses=count_pulses
        )
        self._ageing = Ageing(cell, streams)
        self._noise = {name: streams.stream(name) for name in ("read", "programming", "pulse")}
        self._law = None if cell.pulse is None else _law_of(cell.pulse)
        self._driven: tuple[tuple[float | None, float | None], CellModel, Law] | None = None
        self._seen: ReadCache | None = None
        resistive = wires if wires is not None and not wires.ideal else None
        self._wired = None if resistive is None else _wired_reads(resistive, pair, cell.iv_alpha)
        graded = cell.pulse is not None and cell.pulse.amplitude is not None
        if graded and resistive is not None and cell.pulse is not None and cell.pulse.history is not None:
            raise UserError(
                f"tile.wires: card {cell.name} has pulse.amplitude and pulse.history; pulses that see the drop on the lines do not know the"
                " memory of cells: leave one of the three out"
            )
        self._pulse_wires = (
            _reached_by_pulses(resistive, self.info.planes) if resistive is not None and graded else None
        )
        self._last_write = 0.0
        self._undisturbed_reads = 0

    @property
    def cells(self) -> CellState:
        """The cells, once no pulses are under way."""
        self.settle()
        return self._cells

    @cells.setter
    def cells(self, cells: CellState) -> None:
        self.settle()
        self._cells = cells

    @property
    def log(self) -> OperationLog:
        """What was done to them, likewise."""
        self.settle()
        return self._log

    def settle(self) -> None:
        """Wait for the end of pulses that are under way, see `analog_sim.chip.overlap`. Everything that looks at the cells does so."""
        under_way = self._under_way
        if under_way is None:
            return
        sent, note = under_way
        try:
            pulses = sent.result()
        except MemoryError:
            self._under_way = None
            raise
        if self._under_way is under_way:  # two threads may have waited
            self._under_way = None
            note(pulses)

    @property
    def inside(self) -> EmulatedCrossbar:
        """Itself: an emulated chip can be looked into."""
        return self

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self.clock.now

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Multiply: ``i = G^T v`` (or ``G v`` transposed) plus read noise, one read per vector.

        Read noise that is independent from cell to cell is Gaussian at the output with variance ``(sigma_g**2)^T v**2``
        exactly, and is drawn there.

        Args:
            v: volts, (batch, rows), or (batch, cols) when transposed.
            transpose: drive the columns, sense the rows.

        Returns:
            amperes, (batch, cols) or (batch, rows); a new array.
        """
        current, variance, joules = self._multiply(v, transpose)
        if variance is not None:
            add_noise(self._noise["read"], current, variance)
        self._finish_read(v, current, joules, transpose)
        return current

    def sense(self, v: F32, *, transpose: bool = False, out: F32 | None = None) -> tuple[F32, F32 | None]:
        """The read of `mvm` before its noise is drawn: a converter adds its own to the variance and draws once.

        Args:
            v: as in `mvm`.
            transpose: as in `mvm`.
            out: room for the currents, C-contiguous; a new array when None.

        Returns:
            currents of `mvm`; and the variance of their read noise, amperes squared, of the same shape or (batch, 1), None when the
            cells are silent. Both are the caller's to overwrite. While the log is recording, the noise is drawn here, because the
            record is of what a read returns.
        """
        if self.log.recording:
            return self.mvm(v, transpose=transpose), None
        current, variance, joules = self._multiply(v, transpose, out)
        self._finish_read(v, current, joules, transpose)
        return current, variance

    def _multiply(self, v: F32, transpose: bool, out: F32 | None = None) -> tuple[F32, F32 | None, float]:
        """Currents without noise, its variance, and the energy in joules, as in `sense`."""
        state = self._read_cache()
        applied = np.ascontiguousarray(v, np.float32)
        v = self.bent(applied)
        load = state.col_sum if transpose else state.row_sum
        if self._wired is not None:
            current, variance = self._wired.read(state.g, state.cell_variance, applied, transpose, out)
            # Of ideal wires, which bounds it: resistance in a driven network takes power away.
            return current, variance, self._power(applied, v, load) * self.cell.cost.t_read
        matrix = state.back if transpose else state.forward
        walsh = WalshRows.of(v, matrix.cols)
        current = matrix.multiply(v, out) if walsh is None else walsh.multiply(matrix, out)
        each = state.variance_back if transpose else state.variance
        variance = None
        # Of rows of a Walsh-Hadamard matrix one has the power and the noise of all.
        driven, turns = (v, 1) if walsh is None else (v[:1], len(v))
        if isinstance(each, float):
            power = self._power(applied[: len(driven)], driven, load)
            if each > 0.0:
                variance = np.empty((len(v), 1), np.float32)
                sums_of_squares(*rows_of(v, SQUARED_BY_A_THREAD), v, np.float32(each), variance)
        else:
            squared = np.empty_like(driven)
            power = float(square_and_power(driven, load, squared))
            if self.cell.iv_alpha:
                power = self._power(applied[: len(driven)], driven, load)
            if walsh is not None or _alike(squared):
                variance = np.empty((len(v), each.cols), np.float32)
                variance[...] = each.multiply(squared[:1])
            else:
                variance = each.multiply(squared)
        return current, variance, turns * power * self.cell.cost.t_read

    def _power(self, applied: F32, v: F32, load: F32) -> float:
        """Watts of a read, ``sum v f(v) g``; applied: volts, v: f of them, load: siemens on each line."""
        return float(read_power(np.sqrt(applied * v) if self.cell.iv_alpha else v, load))

    def _finish_read(self, v: F32, current: F32, joules: float, transpose: bool) -> None:
        """Log one read of every vector, and let its time pass."""
        seconds = self.cell.cost.t_read * len(v)
        kind = "mvm_transposed" if transpose else "mvm"
        self.log.add(kind, self.clock.now, units=len(v), seconds=seconds, joules=joules, v=v, i=current)
        self.clock.advance(seconds)
        self._disturb(len(v))

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read the cells of some lines (all when None) once, cell by cell: siemens (planes, rows, cols), read noise included."""
        part = (slice(None), span(rows, self.info.rows, "rows"), span(cols, self.info.cols, "cols"))
        g = self.conductance_now()
        variance = self._ageing.read_variance(g, self.cells, self.clock.now)
        g = np.array(g[part], order="C")
        if isinstance(variance, float):
            self._noise["read"].add_normals(g, std=variance**0.5)
        else:
            self._noise["read"].add_normals(g, variance=np.ascontiguousarray(variance[part]))
        cost = self.cell.cost
        seconds = cost.t_read * g.shape[1]
        joules = float(g.sum()) * cost.v_read**2 * cost.t_read
        self.log.add("read_conductance", self.clock.now, units=g.size, seconds=seconds, joules=joules, g=g)
        self.clock.advance(seconds)
        self._disturb(1)
        return g

    def _disturb(self, reads: int) -> None:
        """Move every cell towards its upper bound, ``g_hi - g <- (g_hi - g) (1 - disturb)**reads``, once it is worth a pass."""
        rate = self.cell.read_disturb
        self._undisturbed_reads += reads
        if self._undisturbed_reads * rate < DISTURB_TOLERANCE:
            return
        state = self.cells
        gap = np.float32((1.0 - rate) ** self._undisturbed_reads)
        self._undisturbed_reads = 0
        hi = state.bounds(self.cell)[1]
        healthy = state.healthy()
        np.copyto(state.g, np.maximum(hi - (hi - state.g) * gap, state.g), where=True if healthy is None else healthy)
        self._forget()

    def conductance_now(self) -> F32:
        """The emulator's truth: conductance of every cell now, siemens (planes, rows, cols), without read noise."""
        return self._read_cache().g

    def glance(self, row_step: int = 1, col_step: int = 1) -> F32:
        """Conductance now of every so many-th row and column, siemens (planes, rows, cols), a copy; later reads give the same bits."""
        planes, rows = self.info.planes, np.arange(0, self.info.rows, row_step)
        g = self.cells.g
        if self.cell.ages:
            g = self._aged_rows((np.arange(planes)[:, None] * self.info.rows + rows).ravel(), self.clock.now)
        return g[:, ::row_step, ::col_step].copy()

    def net_now(self) -> F32:
        """Net conductance (plane 0 minus plane 1) of the cells now, siemens (rows, cols), without read noise and wires."""
        return self._read_cache().net

    def effective_now(self, *, transpose: bool = False) -> F32:
        """What a read, or a transposed read, multiplies with now, siemens (rows, cols) for both: `net_now` seen through the wires."""
        if self._wired is not None:
            matrix = self._wired.matrix(self._read_cache().g, transpose)
            return np.ascontiguousarray(matrix.T) if transpose else matrix
        return self.net_now()

    def currents_now(self, v: F32, *, transpose: bool = False) -> F32:
        """Currents that a read, or a transposed read, of volts v (batch, lines) would sense now, amperes, without noise and time."""
        applied = np.ascontiguousarray(v, np.float32)
        if self._wired is not None and self.cell.iv_alpha:
            return self._wired.read(self._read_cache().g, 0.0, applied, transpose)[0]
        bent = self.bent(applied)
        walsh = WalshRows.of(bent, self.info.rows if transpose else self.info.cols) if self._wired is None else None
        if walsh is not None:
            seen = self._read_cache()
            return walsh.multiply(seen.back if transpose else seen.forward)
        matrix = self.effective_now(transpose=transpose)
        return np.asarray(bent @ (matrix.T if transpose else matrix), np.float32)

    def bent(self, v: npt.ArrayLike) -> F32:
        """f(v), volts, of cells with I = g f(v): ``sinh(iv_alpha v) / iv_alpha``, v itself where they are ohmic."""
        alpha = np.float32(self.cell.iv_alpha)
        volts = np.ascontiguousarray(v, np.float32)
        return np.asarray(np.sinh(alpha * volts) / alpha, np.float32) if alpha else volts

    @property
    def wires_report(self) -> WiresReport | None:
        """What reads under wires have cost and how well they are known; None without wires."""
        return None if self._wired is None else self._wired.report

    def pulse_counts(self) -> npt.NDArray[np.integer] | None:
        """Pulses that every cell got, (planes, rows, cols); None when they are not counted."""
        return self.cells.count

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells to `target` with programming error; their clocks restart. Faulty cells stay as they are.

        Args:
            target: siemens (planes, rows, cols), clipped to each cell's own bounds.
            mask: which cells to write; all when None.

        Raises:
            ValueError: wrong shape or a target that is not finite.
        """
        check_target(self.info, target, mask)
        state = self.cells
        written = program(self.cell, target, *state.bounds(self.cell), self._noise["programming"], state.read_gains())
        where = _both(mask, state.healthy())
        cost = self.cell.cost
        seconds = cost.t_program * self.info.rows * written.rounds
        self.log.add(
            "program",
            self.clock.now,
            units=written.attempts,
            seconds=seconds,
            joules=cost.e_program * written.attempts,
            target=target,
        )
        self.clock.advance(seconds)
        if where is None:
            state.g, state.target = written.g, written.codes  # freshly made: no copy
        self._write(written.g, where, written.codes)

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send identical programming pulses; every pulse sees the state that the last one left. See `analog_sim.chip.crossbar`."""
        if self._law is None:
            raise ValueError(f"{self.cell.name}: this card has no pulse response; write it by programming instead")
        check_strength(self.info, plan)
        if isinstance(plan, PulseCounts):
            check_rows(plan, self.info.planes * self.info.rows)
        prepared, sent, points = self._sent(plan)
        now, seconds = self.clock.now, self.cell.cost.t_pulse * prepared.slots

        def note(pulses: int) -> None:
            self._note_pulses(prepared, now, points)
            joules = self.cell.cost.e_pulse * pulses
            self._log.add("pulse", now, units=pulses, seconds=seconds, joules=joules, plan=plan)

        if isinstance(sent, int):
            note(sent)
        else:
            self._under_way = sent, note
            overlapping.end(self.settle)
        self.clock.advance(seconds)

    def _sent(self, plan: PulseCounts | PulseTrain) -> tuple[PreparedPulses, int | Postponed, Points | None]:
        """Pulse the cells; the plan as it was made ready, the pulses sent to cells, and where these are if few and known."""
        from analog_sim.pulses import apply

        now, stream = self.clock.now, self._noise["pulse"]
        if self._pulse_wires is None:
            cell, law = self._answer_to(plan)
            prepared = apply.prepare(cell, self.cells, plan)
            present = self._pulsed(prepared, now)
            few, seen = prepared.few, self._seen
            points = None if few is None or seen is None else seen.points_of(few)
            later = prepared.train is not None and overlapping.open and not self._log.recording
            sent = apply.apply_pulses(cell, law, self.cells, prepared, stream, present, now, wait=not later)
            return prepared, sent, points
        assert self._law is not None
        from analog_sim.pulses.graded import grading

        factors = grading(self.cell, plan)
        prepared = apply.prepare(self.cell, self.cells, plan, factors)
        by_volts = apply.GradedPulses.of(plan, prepared, self._pulse_wires.reached(self.conductance_now()), factors)
        present = self._pulsed(prepared, now)
        return prepared, apply.apply_graded(self.cell, self._law, self.cells, by_volts, stream, present, now), None

    def _answer_to(self, plan: PulseCounts | PulseTrain) -> tuple[CellModel, Law]:
        """The card and its compiled law for the amplitude and the width of a plan; the last one asked for is kept."""
        assert self._law is not None
        if plan.amplitude is None and plan.width is None:
            return self.cell, self._law
        asked = plan.amplitude, plan.width
        if self._driven is None or self._driven[0] != asked:
            cell = driven(self.cell, *asked)
            assert cell.pulse is not None
            self._driven = asked, cell, _law_of(cell.pulse)
        return self._driven[1:]

    def _pulsed(self, sent: PreparedPulses, now: float) -> F32 | None:
        """What the pulses of a plan act on: the conductances of this moment where cells age; None where they are as they were written."""
        return self._aged_rows(sent.rows, now) if self.cell.ages else None

    def _aged_rows(self, rows: I64, now: float) -> F32:
        """Conductances at chip time in these rows (counted through all planes); the other rows hold anything."""
        state = self.cells
        out = np.empty_like(state.g, order="C")
        self._ageing.evaluate(state, now, row_spans(rows, state.g.shape[2]), out)
        return out

    def _note_pulses(self, sent: PreparedPulses, now: float, points: Points | None) -> None:
        """Cells in the rows of a plan, at these points alone if they are known, have changed: mend what is remembered of them."""
        if not sent.any:
            return
        self._last_write = now
        rows = sent.rows if self.cell.ages else None
        if rows is not None:
            self._ageing.written(self.cells, now, row_spans(rows, self.cells.g.shape[2]))
        if self._seen is not None and points is None:
            self._seen.pulsed(sent.lines, now, rows)
        elif self._seen is not None and points is not None:
            self._seen.pulsed_at(points, now)
        if self._wired is not None:
            self._wired.forget()

    def add_ideal(self, dg: F32, *, two_sided: bool = False) -> None:
        """Change the net conductance exactly: no error, no pulse, no time. What an ideal write does; only an emulator can.

        Args:
            dg: siemens (rows, cols), added to plane 0 minus plane 1 and clipped to the window.
            two_sided: share the change between the cells of a pair around their mean; otherwise one cell of the pair stays
                at g_min, or as low as its own bounds and the other's allow.
        """
        g, healthy = self.conductance_now(), self.cells.healthy()
        lo, hi = (np.broadcast_to(bound, g.shape) for bound in self.cells.bounds(self.cell))
        if not self.info.pair:
            new = g + dg
        else:
            low, high = lo if two_sided else np.maximum(lo, np.float32(self.cell.g_min)), hi
            if healthy is not None:
                low, high = np.where(healthy, low, g), np.where(healthy, high, g)
            # Where one cell of a pair is at its end, or stuck, the other takes the whole change: what is lost at one write would
            # be lost again at the next.
            net = g[0] - g[1] + dg
            minus = g[1] - np.float32(0.5) * dg if two_sided else low[1]
            minus = np.clip(minus, np.maximum(low[1], low[0] - net), np.minimum(high[1], high[0] - net))
            new = np.stack([minus + net, minus])
        self._write(np.clip(new, lo, hi), healthy)

    def wait(self, seconds: float) -> None:
        """Let chip time pass: the conductances drift and relax."""
        check_seconds(seconds)
        self.log.add("wait", self.clock.now, seconds=seconds)
        self.clock.advance(seconds)

    def flush(self) -> None:
        """Wait for pulses that are under way; nothing else is queued."""
        self.settle()

    def state(self, *, cells: bool = True) -> CrossbarState:
        """Everything that later operations depend on, for a checkpoint; the shared clock is the owner's.

        cells: False leaves the cells out, for an array that nobody writes or disturbs until it is put back.
        """
        return {
            "cells": {name: a.copy() for name, a in self.cells.arrays().items()} if cells else None,
            "streams": {name: stream.state() for name, stream in self._noise.items()},
            "log": self.log.state(),
            "undisturbed_reads": self._undisturbed_reads,
            "last_write": self._last_write,
            "seen": None if self._seen is None else self._seen.times(),
            "wires": None if self._wired is None else self._wired.state(),
            "pulse_wires": None if self._pulse_wires is None else self._pulse_wires.base,
        }

    def restore(self, state: State) -> None:
        """Put back what `state` returned, on a chip of the same card, seed and shape. Raises ValueError for anything else."""
        saved = taken(CrossbarState, state, "crossbar")
        if saved["cells"] is not None:
            self.cells.restore(saved["cells"])
        for name, stream in self._noise.items():
            stream.restore(saved["streams"][name])
        self.log.restore(saved["log"])
        self._undisturbed_reads = saved["undisturbed_reads"]
        self._last_write = saved["last_write"]
        self._forget()
        if saved["seen"] is not None:
            self._seen = ReadCache(self._ageing, self.cells, self.clock.now, self._last_write)
            self._seen.restore(saved["seen"])
        if self._wired is not None and saved["wires"] is not None:
            from analog_sim.reads.wired import WiredState

            self._wired.restore(taken(WiredState, saved["wires"], "crossbar.wires"))
        if self._pulse_wires is not None:
            self._pulse_wires.rebase(saved["pulse_wires"])

    def _write(self, g: F32, where: npt.NDArray[np.bool_] | None, codes: U16 | None = None) -> None:
        """Take over conductances and what they were aimed at, in all cells or some; without codes they are their own targets."""
        state = self.cells
        if state.target is not None and state.target is not codes:
            np.copyto(state.target, np.uint16(0) if codes is None else codes, where=True if where is None else where)
        if where is None and g is not state.g:
            state.g[...] = g
        elif where is not None:
            np.copyto(state.g, g, where=where)
        if state.memory is not None:
            np.copyto(state.memory, np.uint16(NO_MEMORY), where=True if where is None else where)
        if state.t_written is not None:
            if where is None:
                state.t_written[...] = self.clock.now
            else:
                np.copyto(state.t_written, self.clock.now, where=where)
            self._last_write = self.clock.now
        self._forget()

    def _forget(self) -> None:
        """Any cell may have changed."""
        self._seen = None
        self._ageing.forget()
        if self._wired is not None:
            self._wired.forget()

    def _read_cache(self) -> ReadCache:
        """The cells at chip time, kept until they are written or age visibly."""
        self.settle()
        now = self.clock.now
        if self._seen is None or not self._seen.holds(now, self._last_write):
            self._seen = ReadCache(self._ageing, self.cells, now, self._last_write)
            if self._wired is not None:
                self._wired.forget()
        return self._seen


def _alike(squared: F32) -> bool:
    """Whether all of several vectors (B, n) are one, as those of a compensation are: inputs of both signs at full scale."""
    middle = squared.shape[1] // 2
    # One place that is driven tells it nearly always, and is all that a read pays for it.
    if len(squared) < 2 or not 0.0 < squared[0, middle] == squared[1, middle]:
        return False
    return np.array_equal(squared[0], squared[1]) and bool((squared == squared[0]).all())


def _law_of(pulse: PulseModel) -> Law:
    """Tables of the pulse law, as kernels take them."""
    from analog_sim.pulses.response_tables import compile_pulses

    return compile_pulses(pulse)


def _wired_reads(wires: WiresSpec, pair: bool, iv_alpha: float) -> WiredReads:
    """Reads of an array whose lines have resistance."""
    from analog_sim.reads.wired import WiredReads

    return WiredReads(wires, pair, iv_alpha)


def _reached_by_pulses(wires: WiresSpec, planes: int) -> PulseWires:
    """What the drop on the lines leaves of a pulse."""
    from analog_sim.pulses.reached import PulseWires

    return PulseWires(wires, planes)


def _largest(factor: PulseFactor | None) -> float:
    """Largest amplitude or width that the card knows; 0 for the nominal one alone."""
    return 0.0 if factor is None else float(factor.at[-1])


def _both(a: npt.NDArray[np.bool_] | None, b: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_] | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b
