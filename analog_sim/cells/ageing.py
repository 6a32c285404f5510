"""What the conductances of a crossbar are at a given chip time: drift, relaxation and the age-dependent part of read noise.

Evaluated on demand from the state as written, for all cells or for the rows that matter; never changes the state. What it remembers
between two calls (drift exponents, relaxation paths) follows from the chip's identity and the state, and only saves time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel, RelaxationModel
from analog_sim.cells.kernels import ageing as kernels
from analog_sim.cells.kernels.bursts import KEPT
from analog_sim.cells.kernels.relaxation import AgedCells, Paths, RelaxationTables, relax_cells
from analog_sim.cells.state import READ_UNIT, CellState, target_unit
from analog_sim.random.kept_room import AT_ONCE, kept_room
from analog_sim.random.kernels.philox import NORMALS, fill
from analog_sim.random.streams import Streams
from analog_sim.threads import in_parts

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
WORTH_A_THREAD = 2**15
"""Cells whose evaluation takes longer than a thread to wake."""

_NO_FAULTS = np.empty(0, np.uint8)
_NO_TIMES = np.empty(0, np.float64)
_NO_CODES = np.empty(0, np.uint16)


def all_spans(cells: int) -> I64:
    """Spans (n, 2) that cut `cells` cells into chunks that stay in the first-level cache."""
    start = np.arange(0, cells, kernels.CHUNK)
    return np.stack([start, np.minimum(start + kernels.CHUNK, cells)], axis=1)


def row_spans(rows: I64, cols: int) -> I64:
    """Spans (n, 2) of the rows of numbers `rows`, counted through all planes."""
    start = rows * cols
    return np.stack([start, start + cols], axis=1)


def in_spans(kernel: Callable[..., None], spans: I64, *arguments: object) -> None:
    """Run a kernel over the spans, many of them on several threads; a cell is in one span only."""
    each = max(1, int(spans[0, 1] - spans[0, 0])) if len(spans) else 1
    in_parts(lambda first, last: kernel(spans[first:last], *arguments), len(spans), -(-WORTH_A_THREAD // each))


class Ageing:
    """The time laws of the cells of one crossbar.

    Args:
        cell: the compiled card.
        streams: the chip's identity; the drift exponents are drawn again from it instead of being part of the state.
    """

    def __init__(self, cell: CellModel, streams: Streams) -> None:
        self.cell = cell
        self._nu: F32 | None = None
        self._paths: Paths | None = None
        self._nu_key = streams.stream("fabrication.drift").reserve(0)[:2]
        self._path_key = streams.stream("relaxation").reserve(0)[:2]
        self._noise = interleave(cell.read.white, cell.read.flicker)
        self._flickers = bool(cell.read.flicker.any())
        self._scale = np.float32(cell.g_min), np.float32(1.0 / cell.window)
        self._relaxation = None if cell.relaxation is None else relaxation_tables(cell.relaxation, *self._scale)
        self._per_code = np.float32(target_unit(cell))

    def conductance(self, state: CellState, now: float) -> F32:
        """Conductance of every cell at chip time `now`, siemens (planes, rows, cols); `state.g` itself when nothing ages.

        Cells that were written after `now` are as written.
        """
        if not self.cell.ages:
            return state.g
        out = np.empty_like(state.g, order="C")
        self.evaluate(state, now, all_spans(out.size), out)
        return out

    def evaluate(self, state: CellState, now: float, spans: I64, out: F32) -> None:
        """Write the conductance at chip time `now` of the cells in the spans to out, siemens (planes, rows, cols) contiguous.

        A cell gets the same bits in whatever span, and however often it was asked for before.
        """
        assert state.t_written is not None
        flat, written, times = out.ravel(), state.g.ravel(), state.t_written.ravel()
        fault = _NO_FAULTS if state.fault is None else state.fault.ravel()
        drift, relaxation = self.cell.drift, self.cell.relaxation
        source = written
        if drift is not None:
            in_spans(kernels.drift_cells, spans, source, times, self._exponents(state), now, drift.t_ref, flat)
            source = flat
        if relaxation is not None:
            cells = AgedCells(source, written, self._codes(state, relaxation.state), times, fault)
            in_spans(relax_cells, spans, cells, self._relaxation, now, *self._path_key, self._known_paths(state), flat)

    def written(self, state: CellState, now: float, spans: I64) -> None:
        """Take note that cells in the spans, and no others, were written at chip time `now`."""
        if self._nu is not None:
            self._draw_exponents(state, spans, self._nu)
        if self._paths is not None:
            assert state.t_written is not None
            kernels.forget_paths(spans, state.t_written.ravel(), now, self._paths.decade)

    def forget(self) -> None:
        """Take note that any cell may have changed."""
        self._nu = None
        self._paths = None

    def read_variance(self, g: F32, state: CellState, now: float, rows: I64 | None = None) -> F32 | float:
        """Variance of one read of every cell with present conductances g, siemens squared; a number when all cells share it.

        rows: of each plane, when g (planes, n, cols) is of these alone.
        """
        noise = self.cell.read
        if noise.silent:
            return 0.0
        alike = state.fault is None and state.read_gain is None
        if alike and noise.uniform_at(self.cell.g_min):
            return float(noise.white[0, 0]) ** 2
        fault = _NO_FAULTS if state.fault is None else _of(state.fault, rows)
        times = _NO_TIMES if state.t_written is None or not self._flickers else _of(state.t_written, rows)
        target = state.target if self._flickers and noise.flicker_state == "target" else None
        codes = _NO_CODES if target is None else _of(target, rows)
        out = np.empty_like(g, order="C")
        cells, variance = g.ravel(), out.ravel()
        written = cells if target is None else _of(state.g, rows)

        def part(first: int, last: int) -> None:
            own, was, then, broken = (a[first:last] if a.size else a for a in (codes, written, times, fault))
            law = noise.t_read, self._noise, largest_relative(noise), *self._scale
            before = was, own, self._per_code, then, now
            kernels.read_variance(cells[first:last], *before, *law, broken, variance[first:last])

        in_parts(part, cells.size, WORTH_A_THREAD, kernels.CHUNK)
        if state.read_gain is not None:
            own = _of(state.read_gain, rows) * np.float32(1.0 / READ_UNIT)
            variance *= own * own
        return out

    def _exponents(self, state: CellState) -> F32:
        if self._nu is None:
            self._nu = np.empty(state.g.size, np.float32)
            self._draw_exponents(state, all_spans(state.g.size), self._nu)
        return self._nu

    def _draw_exponents(self, state: CellState, spans: I64, nu: F32) -> None:
        law = self.cell.drift
        assert law is not None
        fault = _NO_FAULTS if state.fault is None else state.fault.ravel()
        limits = np.float32(law.nu_low), np.float32(law.nu_high), law.reflect
        tables = interleave(law.nu_mean, law.nu_std)
        cells = state.g.ravel(), self._codes(state, law.state)
        spread = bool(law.nu_std.any())

        def draw(spans: I64) -> None:
            """In groups, whose normals are used while they are in the second-level cache."""
            each = max(1, AT_ONCE // max(1, int(spans[0, 1] - spans[0, 0])))
            for first in range(0, len(spans), each):
                some = spans[first : first + each]
                z = kept_room(int((some[:, 1] - some[:, 0]).sum()))
                if spread:
                    fill(z, NORMALS, some.astype(np.uint64), *self._nu_key)
                else:
                    z[:] = 0.0
                kernels.drift_exponents(some, *cells, tables, *limits, *self._scale, fault, z, nu)

        in_spans(draw, spans)

    def _codes(self, state: CellState, at: str) -> npt.NDArray[np.uint16]:
        """Targets of all cells for a law that is stated against them, as codes; none for one of the state as written."""
        return _NO_CODES if at != "target" or state.target is None else state.target.ravel()

    def _known_paths(self, state: CellState) -> Paths:
        if self._paths is None:
            law, n = self.cell.relaxation, state.g.size
            assert law is not None
            kept = np.zeros((KEPT if law.in_bursts else 2, n), np.float32)
            self._paths = Paths(kept, np.full(n, -1, np.int8))
        return self._paths


def interleave(*tables: F32) -> F32:
    """Tables (1, K) as (K, n), shorter ones resampled to the nodes of the longest, which is exact when one grid refines the other."""
    nodes = max(table.shape[1] for table in tables)
    u = np.linspace(0.0, 1.0, nodes)
    columns = [t[0] if t.shape[1] == nodes else np.interp(u, np.linspace(0.0, 1.0, t.shape[1]), t[0]) for t in tables]
    return np.stack(columns, axis=1).astype(np.float32)


def relaxation_tables(law: RelaxationModel, g_min: np.float32, per_window: np.float32) -> RelaxationTables:
    """The law as the kernel takes it."""
    if not law.in_bursts:
        moments, shapes = interleave(law.mean, law.std), np.empty((0, 2), np.float32)
    else:
        both = interleave(law.mean, law.std, law.tail, law.skew)
        moments, shapes = np.ascontiguousarray(both[:, :2]), np.ascontiguousarray(both[:, 2:])
    return RelaxationTables(moments, shapes, law.t_0, g_min, per_window, np.float32(law.returning))


def largest_relative(noise: ReadNoiseModel) -> np.float32:
    """Limit of the white noise over the conductance as the kernels take it, 0 for none."""
    return np.float32(noise.most_relative if noise.most_relative < float("inf") else 0.0)


def _of(array: npt.NDArray[Any], rows: I64 | None) -> npt.NDArray[Any]:
    """The cells of these rows of every plane, or all, flat."""
    return (array if rows is None else array[:, rows]).ravel()
