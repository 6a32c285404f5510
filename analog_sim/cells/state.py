"""The per-cell arrays of one crossbar: fabricated once, then changed only by programming, pulses and nothing else.

Only what the card needs is allocated. This file draws which table a cell has and what is broken (`spread` draws bounds and gains); it
never reads a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.spread import draw_bounds, draw_gains, draw_read_gains
from analog_sim.random.streams import Streams

GAIN_UNIT = 8192
"""Fixed point of the step gains: gain = q / GAIN_UNIT, so gains reach from 0 to just below 8."""

READ_UNIT = 2048
"""Fixed point of the read noise of a cell over that of the tables: q / READ_UNIT, so that it reaches up to 32 times."""

MEMORY_UNIT = 65535
"""Fixed point of a cell's memory of the direction of its last pulses."""
NO_MEMORY = 32768
"""The memory of a cell that was programmed: half-way between a run of pulses up and one down."""

TARGET_STEPS = 65534
"""Fixed point of a cell's target: state u = (code - 1) / TARGET_STEPS, off by at most 1 / 131,068 of the window (8e-6); code 0: none."""

BOUND_STEPS = 65534
"""Fixed point of a cell's own bounds: bound = q * lsb with lsb = 2 g_max / BOUND_STEPS, so that g_max itself is exact."""


PULSED: tuple[tuple[str, type], ...] = (
    ("g", np.float32),
    ("lo", np.uint16),
    ("hi", np.uint16),
    ("gain_up", np.uint16),
    ("gain_down", np.uint16),
    ("table", np.uint8),
    ("fault", np.uint8),
    ("count", np.uint32),
    ("t_written", np.float64),
    ("target", np.uint16),
    ("memory", np.uint16),
)
"""What the kernels of pulses see of the cells, in their order (`analog_sim.pulses.kernels.cells.Cells`)."""


class Fault(IntEnum):
    """What a fault map says of a cell; in `CellState.fault` anything but HEALTHY never changes again."""

    HEALTHY = 0
    STUCK_LOW = 1
    STUCK_HIGH = 2
    STUCK_RANDOM = 3
    DEAD = 4


@dataclass
class CellState:
    """Structure of arrays, each (planes, rows, cols) or None when the card does not need it.

    Attributes:
        g: float32 siemens as last written; 0 in a dead cell.
        t_written: float64 chip time of the last write in seconds.
        target: uint16, the state that was last programmed, see `TARGET_STEPS`; only where the card has laws that are stated against it
            (`CellModel.needs_target`). 0 in a cell that was never programmed, or was pulsed or written exactly since: there the state
            that it was left in stands for the target.
        gain_up, gain_down: uint16 step gains in units of 1 / GAIN_UNIT.
        read_gain: uint16 standard deviation of a read over that of the tables, in units of 1 / READ_UNIT.
        memory: uint16 memory of the direction of the last pulses, q = code / MEMORY_UNIT (`HistoryModel`).
        lo, hi: uint16 own bounds in units of `bound_lsb` siemens.
        table: uint8 index of the cell's pulse table.
        fault: uint8, see `Fault`.
        count: uint32 pulses received.
        bound_lsb: siemens.
    """

    g: npt.NDArray[np.float32]
    bound_lsb: float
    t_written: npt.NDArray[np.float64] | None = None
    target: npt.NDArray[np.uint16] | None = None
    gain_up: npt.NDArray[np.uint16] | None = None
    gain_down: npt.NDArray[np.uint16] | None = None
    read_gain: npt.NDArray[np.uint16] | None = None
    memory: npt.NDArray[np.uint16] | None = None
    lo: npt.NDArray[np.uint16] | None = None
    hi: npt.NDArray[np.uint16] | None = None
    table: npt.NDArray[np.uint8] | None = None
    fault: npt.NDArray[np.uint8] | None = None
    count: npt.NDArray[np.uint32] | None = None
    _by_rows: tuple[Any, ...] | None = field(default=None, init=False, repr=False, compare=False)

    def by_rows(self) -> tuple[Any, ...]:
        """The arrays `PULSED` as (planes rows, cols), of size zero where there is none: views, made anew when an array was replaced."""
        if self._by_rows is None:
            whole, cols = (getattr(self, name) for name, _ in PULSED), self.g.shape[2]
            flat = (
                np.empty((0, 0), kind) if array is None else array.reshape(-1, cols)
                for array, (_, kind) in zip(whole, PULSED, strict=True)
            )
            self._by_rows = tuple(flat)
        return self._by_rows

    def __setattr__(self, name: str, value: object) -> None:
        if name != "_by_rows":  # an array is replaced, or made
            object.__setattr__(self, "_by_rows", None)
        object.__setattr__(self, name, value)

    def bounds(self, cell: CellModel) -> tuple[np.ndarray, np.ndarray]:
        """Own (lower, upper) bounds in siemens, broadcastable to the shape of `g`."""
        if self.lo is None or self.hi is None:
            return np.full((1, 1, 1), cell.g_min, np.float32), np.full((1, 1, 1), cell.g_max, np.float32)
        lsb = np.float32(self.bound_lsb)
        return self.lo * lsb, self.hi * lsb

    def read_gains(self) -> npt.NDArray[np.float32] | None:
        """Read noise of every cell over that of the tables; None when all are alike."""
        return None if self.read_gain is None else self.read_gain * np.float32(1.0 / READ_UNIT)

    def healthy(self) -> npt.NDArray[np.bool_] | None:
        """Mask of cells that can be written; None when all can."""
        return None if self.fault is None else self.fault == Fault.HEALTHY

    def arrays(self) -> dict[str, np.ndarray]:
        """Every allocated array by name, for checkpoints."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: a for name, a in named.items() if isinstance(a, np.ndarray)}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put back what `arrays` returned on a chip of the same card, seed and shape.

        Raises:
            ValueError: an array is missing or of another shape.
        """
        for name, mine in self.arrays().items():
            saved = arrays.get(name)
            if saved is None or np.shape(saved) != mine.shape:
                raise ValueError(
                    f"checkpoint: {name} has shape {None if saved is None else np.shape(saved)}, needs {mine.shape}"
                )
            mine[...] = saved

    def bytes_per_cell(self) -> float:
        """Memory of the allocated arrays divided by the number of cells."""
        return sum(a.nbytes for a in self.arrays().values()) / self.g.size


def target_unit(cell: CellModel) -> float:
    """Siemens per step of the fixed point of targets."""
    return cell.window / TARGET_STEPS


def codes(values: np.ndarray, lsb: float) -> npt.NDArray[np.uint16]:
    """Fixed point of bounds (siemens) or gains: the nearest multiples of lsb, within 16 bits."""
    return np.clip(np.rint(values / lsb), 0, 65535).astype(np.uint16)


def fabricate(
    cell: CellModel,
    planes: int,
    rows: int,
    cols: int,
    streams: Streams,
    *,
    fault_map: npt.NDArray[np.integer] | None = None,
    count_pulses: bool = False,
) -> CellState:
    """Draw a chip: bounds, gains, tables and faults of every cell; all healthy cells start at their lower bound.

    Each cause has its own named stream, so that switching one spread off leaves every other draw as it was.

    Args:
        cell: the compiled device card.
        planes: cells per cross point, 1 or 2.
        rows: word lines.
        cols: bit lines.
        streams: the chip's identity; stream names start with "fabrication".
        fault_map: (planes, rows, cols) of `Fault` codes, added to the drawn faults.
        count_pulses: allocate the pulse counter even when the card has no endurance limit.

    Raises:
        ValueError: the fault map has another shape or an unknown code.
    """
    shape = (planes, rows, cols)
    lsb = 2.0 * cell.g_max / BOUND_STEPS
    table = _draw_tables(cell, shape, streams)
    bounds = draw_bounds(cell, shape, table, streams)
    gains = draw_gains(cell, shape, table, bounds, streams)
    lo, hi = (None, None) if bounds is None else (codes(bound, lsb) for bound in bounds)
    read_gain = draw_read_gains(cell, shape, streams)
    gain_up, gain_down = (None, None) if gains is None else (codes(gain, 1.0 / GAIN_UNIT) for gain in gains)
    state = CellState(
        g=np.full(shape, cell.g_min, np.float32),
        bound_lsb=lsb,
        t_written=np.zeros(shape, np.float64) if cell.ages or cell.read.flicker.any() else None,
        target=np.zeros(shape, np.uint16) if cell.needs_target else None,
        gain_up=gain_up,
        gain_down=gain_down,
        read_gain=None if read_gain is None else codes(read_gain, 1.0 / READ_UNIT),
        memory=None if cell.pulse is None or cell.pulse.history is None else np.full(shape, NO_MEMORY, np.uint16),
        lo=lo,
        hi=hi,
        table=table,
        count=np.zeros(shape, np.uint32) if count_pulses or cell.endurance < float("inf") else None,
    )
    if lo is not None:
        state.g[...] = lo * np.float32(lsb)
    state.fault = _draw_faults(cell, shape, fault_map, streams)
    if state.fault is not None:
        _apply_faults(state, cell, streams)
    return state


def _draw_tables(cell: CellModel, shape: tuple[int, int, int], streams: Streams) -> npt.NDArray[np.uint8] | None:
    if cell.pulse is None or cell.pulse.tables == 1:
        return None
    if cell.pulse.tables > 256:
        raise ValueError(f"{cell.name}: at most 256 pulse tables (got {cell.pulse.tables})")
    return streams.stream("fabrication.table").integers(0, cell.pulse.tables, shape).astype(np.uint8)


def _draw_faults(
    cell: CellModel, shape: tuple[int, int, int], fault_map: np.ndarray | None, streams: Streams
) -> npt.NDArray[np.uint8] | None:
    if cell.faults.none and fault_map is None:
        return None
    p = cell.faults
    fault = np.zeros(shape, np.uint8)
    draw = streams.stream("fabrication.stuck").uniforms(shape)
    edges = np.cumsum([p.stuck_low, p.stuck_high, p.stuck_random])
    for code, (low, high) in enumerate(zip([0.0, *edges[:-1]], edges, strict=True), start=1):
        fault[(draw >= low) & (draw < high)] = code
    _, rows, cols = shape
    fault[:, streams.stream("fabrication.dead_rows").uniforms((rows,)) < p.dead_rows, :] = Fault.DEAD
    fault[:, :, streams.stream("fabrication.dead_cols").uniforms((cols,)) < p.dead_cols] = Fault.DEAD
    if fault_map is not None:
        if fault_map.shape != shape:
            raise ValueError(f"fault map: shape {fault_map.shape}, this crossbar needs {shape}")
        if fault_map.min() < 0 or fault_map.max() > Fault.DEAD:
            raise ValueError(f"fault map: codes 0 to {int(Fault.DEAD)} (got {fault_map.min()} to {fault_map.max()})")
        fault = np.where(fault_map > 0, fault_map, fault).astype(np.uint8)
    return fault


def _apply_faults(state: CellState, cell: CellModel, streams: Streams) -> None:
    assert state.fault is not None
    lo, hi = (np.broadcast_to(b, state.g.shape) for b in state.bounds(cell))
    low, high = state.fault == Fault.STUCK_LOW, state.fault == Fault.STUCK_HIGH
    state.g[low] = lo[low]
    state.g[high] = hi[high]
    anywhere = state.fault == Fault.STUCK_RANDOM
    draw = streams.stream("fabrication.stuck_state").uniforms(state.g.shape)
    state.g[anywhere] = (lo + (hi - lo) * draw)[anywhere]
    state.g[state.fault == Fault.DEAD] = 0.0
