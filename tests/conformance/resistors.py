"""A chip in one file, as a user would write it: ideal resistors with a voltage limit, which cannot be read transposed.

`pytest tests/conformance --chip tests/conformance/resistors.py:chip`, or `chip: {factory: "tests/conformance/resistors.py:chip"}`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.checks import check_plan, check_target, check_voltages, span
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.fabric import PLAIN, Fabrication
from analog_sim.chip.operation_log import OperationLog
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Name, Streams

V_MAX = 0.3
READ, WRITE = 1e-7, 1e-6
"""Seconds of a read of one vector, and of a write or a slot of pulses."""
STEPS = 500
"""Pulses from one end of the window to the other."""


class Resistors:
    """An array of resistors, each of which a pulse changes by the same step."""

    inside = None

    def __init__(self, cell: CellModel, rows: int, cols: int, pair: bool, clock: Clock) -> None:
        self.info = ChipInfo(rows, cols, pair, cell.g_min, cell.g_max, V_MAX, transposed_read=False)
        self.log = OperationLog()
        self._clock = clock
        self._g = np.full((self.info.planes, rows, cols), cell.g_min, np.float32)
        self._step = np.float32((cell.g_max - cell.g_min) / STEPS)

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self._clock.now

    def mvm(self, v: np.ndarray, *, transpose: bool = False) -> np.ndarray:
        """Currents, exactly."""
        check_voltages(self.info, v, transpose)
        self._spend("mvm", len(v), READ * len(v))
        g = self._g[0] - self._g[1] if self.info.pair else self._g[0]
        return (v @ g).astype(np.float32)

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> np.ndarray:
        """Conductances, exactly."""
        r, c = span(rows, self.info.rows, "rows"), span(cols, self.info.cols, "cols")
        g = self._g[:, r, c].copy()
        self._spend("read_conductance", g.size, READ * g.shape[1])
        return g

    def program(self, target: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Set cells, exactly."""
        check_target(self.info, target, mask)
        np.copyto(self._g, self._clip(target), where=True if mask is None else mask)
        self._spend("program", self.info.cells if mask is None else int(mask.sum()), WRITE * self.info.rows)

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Move cells by whole steps."""
        check_plan(self.info, plan)
        if isinstance(plan, PulseCounts):
            counts = plan.counts
            slots = int(np.abs(counts).max(axis=(0, 2)).sum())  # one row after the other
        else:
            counts, slots = self._train(plan)
        self._g = self._clip(self._g + self._step * counts)
        self._spend("pulse", int(np.abs(counts).sum()), WRITE * slots)

    def _train(self, plan: PulseTrain) -> tuple[np.ndarray, int]:
        """Coincidences of a train, summed over its samples: counts (planes, rows, cols), slots."""
        both = np.bitwise_count(plan.row_bits[:, :, None] & plan.col_bits[:, None, :]).astype(np.int64)
        signed = both * plan.row_sign[:, :, None] * plan.col_sign[:, None, :]
        if not self.info.pair:
            counts = signed.sum(axis=0)[None]
        elif plan.mode == "both":
            counts = np.stack([signed.sum(axis=0), -signed.sum(axis=0)])
        else:  # each sample potentiates the cell of its sign
            counts = np.stack([np.maximum(signed, 0).sum(axis=0), np.maximum(-signed, 0).sum(axis=0)])
        return counts, plan.length * len(plan.row_bits)

    def wait(self, seconds: float) -> None:
        """Resistors do not age."""
        self._spend("wait", 1, seconds)

    def flush(self) -> None:
        """Nothing is queued."""

    def _clip(self, g: np.ndarray) -> np.ndarray:
        return np.clip(g, self.info.g_min, self.info.g_max).astype(np.float32)

    def _spend(self, kind: str, units: int, seconds: float) -> None:
        now = self._clock.now
        self._clock.advance(seconds)
        self.log.add(kind, now, units=units, seconds=seconds)


@dataclass(frozen=True)
class ResistorChip:
    """Makes arrays of any size."""

    cell: CellModel
    clock: Clock
    made: dict[tuple[Name, ...], Resistors]
    place: tuple[Name, ...] = ()
    largest: None = None
    record: None = None

    def at(self, *place: Name) -> ResistorChip:
        """The part of the chip at `place`."""
        return replace(self, place=(*self.place, *place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> Resistors:
        """An array; the same name gives the same array."""
        return self.made.setdefault((*self.place, *name), Resistors(self.cell, rows, cols, pair, self.clock))


def chip(cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> ResistorChip:
    """The factory that `--chip` names."""
    return ResistorChip(cell, clock, {})
