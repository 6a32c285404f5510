"""What a read sees of the cells, held while they neither change nor age visibly. Never reads, writes or moves the clock.

All conductances are those of one chip time, that of the evaluation, but for cells that were pulsed since: these are as written. So what
is held is a function of the state and that time alone, and a checkpoint keeps the time only.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from analog_sim.cells.ageing import Ageing, row_spans
from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.state import CellState
from analog_sim.reads.kernels.net import grid_for, load_of_columns, loads_at, mend_points, net_and_load
from analog_sim.reads.packed_matrix import PackedMatrix
from analog_sim.threads import in_parts, team_for

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Points = tuple[I64, F64]
"""Cross points, row times cols + column, and what their cells loaded the lines with before something was done to them."""

AGE_TOLERANCE = 1e-3
"""Conductances are held while no cell's age has grown by more than this fraction: a drift error below nu * 1e-3."""

FLICKER_TOLERANCE = 0.05
"""The same for the 1/f noise, which grows as the square root of a logarithm: an error of its std below 1 % beyond a second."""

FEW_LINES = 0.5
"""Share of the word lines up to which what depends on them is mended instead of made anew."""

FEW_TURNED = 0.15
"""The same for the matrix of transposed reads, into which a row goes number by number."""

WORTH_A_THREAD = 2**17
"""Cells that take longer to look at than a thread to begin."""

NETTED_BY_A_THREAD = 2**15
"""Cells whose net conductances are worth a thread."""

A_LINE = 16
"""Numbers in a line of the cache."""


class ReadCache:
    """Conductances, their noise and their sums as reads see them; each part is made when it is first asked for.

    Args:
        ageing: the time laws. cells: the state, looked at again whenever a part is made.
        now: chip time of the evaluation, seconds. last_write: when any cell was last written before.
    """

    def __init__(self, ageing: Ageing, cells: CellState, now: float, last_write: float) -> None:
        self._ageing, self._cells = ageing, cells
        self._now = self._noise_now = now
        self._flickers = bool(ageing.cell.read.flicker.any())
        self._youth = _shortest_scale(ageing.cell)
        self._grid = grid_for(ageing.cell.g_max)
        self._spare: PackedMatrix | None = None  # memory of the last `back`
        self._until = self._end(now, now - last_write)
        self._noise_until = self._noise_end(now, now - last_write)

    def holds(self, now: float, last_write: float) -> bool:
        """Whether a read at `now` may see this; noise that has aged is made anew."""
        if now > self._noise_until:
            self._noise_now = now
            self._noise_until = self._noise_end(now, now - last_write)
            self._drop("variance", "variance_back", "cell_variance")
        return now <= self._until

    @cached_property
    def g(self) -> F32:
        """Conductances, siemens (planes, rows, cols)."""
        return self._ageing.conductance(self._cells, self._now)

    @property
    def net(self) -> F32:
        """Net conductance, siemens (rows, cols)."""
        return self.g[0] if len(self._cells.g) == 1 else self.forward.matrix()

    @property
    def forward(self) -> PackedMatrix:
        """Net conductance, siemens (rows, cols), as reads multiply with it."""
        return self._lines[0]

    @cached_property
    def back(self) -> PackedMatrix:
        """The same for transposed reads, (cols, rows)."""
        room, self._spare = self._spare, None
        return self.forward.transposed(room)

    @cached_property
    def row_sum(self) -> F32:
        """Conductance that loads every row, siemens (rows,)."""
        return self._lines[1].astype(np.float32)

    @cached_property
    def _lines(self) -> tuple[PackedMatrix, F64]:
        """Net conductance and load of every row."""
        g = self.g
        if len(g) == 1:
            return PackedMatrix.of(g[0]), g[0].sum(axis=1, dtype=np.float64)
        net, load = PackedMatrix(*g.shape[1:]), np.empty(g.shape[1], np.float64)
        _net_and_load(g, np.arange(g.shape[1]), net, load, self._grid)
        return net, load

    @cached_property
    def variance(self) -> PackedMatrix | float:
        """Variance of one read of the net conductance, siemens squared (rows, cols), or one number for all."""
        each = self._net_variance(None)
        found = each if isinstance(each, float) else PackedMatrix.of(each)
        cell = self._ageing.cell
        if len(self._cells.g) == 2 and cell.ages and cell.pulse is None and "_lines" in self.__dict__:
            self._drop("g")  # reads need no more of it, and cells without pulses do not change row by row
        return found

    @cached_property
    def variance_back(self) -> PackedMatrix | float:
        """The same for transposed reads, (cols, rows)."""
        each = self.variance
        return each if isinstance(each, float) else each.transposed()

    @cached_property
    def cell_variance(self) -> F32 | float:
        """Variance of one read of every cell, siemens squared (planes, rows, cols), or one number for all."""
        return self._ageing.read_variance(self.g, self._cells, self._noise_now)

    @cached_property
    def col_sum(self) -> F32:
        """Conductance that loads every column, siemens (cols,)."""
        return self._columns.astype(np.float32)

    @cached_property
    def _columns(self) -> F64:
        """The same as it is summed."""
        g = self.g
        load = np.zeros(g.shape[2], np.float64)
        least = max(A_LINE, -(-WORTH_A_THREAD // (g.shape[0] * g.shape[1])))
        in_parts(lambda first, last: load_of_columns(g, load, self._grid, first, last), len(load), least, A_LINE)
        return load

    def points_of(self, cells: I64) -> Points | None:
        """Note how these cells, counted through planes, rows and columns, load the lines before they are pulsed; for `pulsed_at`.

        None where single points cannot be mended: there is nothing yet, or no pair, or cells age.
        """
        planes = len(self._cells.g)
        if planes == 1 or self._ageing.cell.ages or "_lines" not in self.__dict__:
            return None
        points, before = np.empty(len(cells), np.int64), np.empty(len(cells), np.float64)
        number = loads_at(self._cells.g[0], self._cells.g[1], cells, self._grid, points, before)
        return points[:number], before[:number]

    def pulsed(self, lines: I64, now: float, rows: I64 | None = None) -> None:
        """Take note that cells on these word lines, which ascend, were pulsed at chip time `now`.

        rows: of cells that age: those that were, counted through all planes.
        """
        self._changed(now)
        self._mend_lines(lines, rows)
        self._mend_variance(lines)

    def pulsed_at(self, points: Points, now: float) -> None:
        """The same where only the cells at points of `points_of` were."""
        self._changed(now)
        self._mend_points(*points)
        if isinstance(self.__dict__.get("variance"), PackedMatrix):
            self._mend_variance(np.unique(points[0] // self._cells.g.shape[2]))

    def _changed(self, now: float) -> None:
        """Some cells are young again, and what is made of all of them is to be made anew."""
        self._until = min(self._until, self._end(now, 0.0))
        self._noise_until = min(self._noise_until, self._noise_end(now, 0.0))
        self._drop("row_sum", "col_sum", "variance_back", "cell_variance")

    def _few(self, lines: I64) -> bool:
        """Whether it is worth mending what depends on these word lines."""
        return len(lines) <= FEW_LINES * self._cells.g.shape[1]

    def _mend_variance(self, lines: I64) -> None:
        """Bring the variance up to date on these lines, or let it be made anew; one number for all does not depend on the cells."""
        variance = self.__dict__.get("variance")
        if not isinstance(variance, PackedMatrix):
            return
        if not self._few(lines):
            self._drop("variance")
            return
        values = self._net_variance(lines)
        assert not isinstance(values, float)
        variance.put(lines, values)

    def _mend_lines(self, lines: I64, rows: I64 | None) -> None:
        """Bring conductances, matrices and loads up to date on these lines, or let them be made anew; rows: as in `pulsed`."""
        made, few = self.__dict__, self._few(lines)
        planes, total, cols = self._cells.g.shape
        self._drop("_columns")
        if planes == 1 or len(lines) > FEW_TURNED * total:
            self._spare = made.pop("back", self._spare)
        if planes == 1 or (not few and self._ageing.cell.ages):
            self._drop("_lines")
        if not few or not self._ageing.cell.ages:
            # Too much of it has changed; or it is the state itself, whose array may have been replaced.
            self._drop("g")
        elif "g" in made:
            assert rows is not None, "cells that age are known by their rows"
            self._ageing.evaluate(self._cells, self._now, row_spans(rows, cols), self.g)
        if "_lines" in made:
            _net_and_load(self.g, lines, *self._lines, self._grid)
            if "back" in made:
                self.forward.transpose_lines(lines, self.back)
        else:
            self._drop("back")

    def _mend_points(self, points: I64, before: F64) -> None:
        """The same where the cells at these points alone have changed, and none ages."""
        made = self.__dict__
        self._drop("g")  # it is the state itself, whose array may have been replaced
        net, load = self._lines
        turned = self.back.array if "back" in made else net.array[:0]
        columns = self._columns if "_columns" in made else load[:0]
        known = net.array, turned, load, columns
        mend_points(self.g[0], self.g[1], points, before, self._grid, *known)

    def times(self) -> list[float]:
        """For a checkpoint: what a ReadCache of the same cells needs to become this one."""
        return [self._now, self._until, self._noise_now, self._noise_until]

    def restore(self, times: list[float]) -> None:
        """Become the one whose `times` these are."""
        self._now, self._until, self._noise_now, self._noise_until = (float(t) for t in times)

    def _drop(self, *parts: str) -> None:
        """Let these be made anew when they are next asked for."""
        for part in parts:
            self.__dict__.pop(part, None)

    def _net_variance(self, lines: I64 | None) -> F32 | float:
        g = self.g if lines is None else self.g[:, lines]
        v = self._ageing.read_variance(g, self._cells, self._noise_now, lines)
        if isinstance(v, float):
            return len(g) * v
        return v[0] + v[1] if len(v) == 2 else v[0]

    def _end(self, now: float, youngest: float) -> float:
        """Chip time until which no conductance drifts visibly, when the youngest cell is of that age, seconds."""
        return float("inf") if self._youth is None else now + AGE_TOLERANCE * max(youngest, self._youth)

    def _noise_end(self, now: float, youngest: float) -> float:
        """The same for the 1/f noise."""
        read = self._ageing.cell.read
        return now + FLICKER_TOLERANCE * max(youngest, read.t_read) if self._flickers else float("inf")


def _shortest_scale(cell: CellModel) -> float | None:
    """Seconds within which no law of ageing of a card begins; None when it has none."""
    scales = [] if cell.drift is None else [cell.drift.t_ref]
    if cell.relaxation is not None:
        scales.append(cell.relaxation.t_0)
    return min(scales, default=None)


def _net_and_load(g: F32, lines: I64, net: PackedMatrix, load: F64, grid: float) -> None:
    """Net conductance and load of some word lines, which ascend."""
    least = max(1, -(-NETTED_BY_A_THREAD // (2 * g.shape[2])))
    net_and_load(0, len(lines), team_for(len(lines), least), g, lines, net.array, load, grid)
