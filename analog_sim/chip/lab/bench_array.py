"""What the arrays of every lab's instrument do alike, whatever the instrument is told. Knows no command."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from analog_sim.chip.checks import check_plan, check_target, span
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.lab.bench import Bench
from analog_sim.chip.lab.write_by_pulses import PulsedWrite
from analog_sim.chip.operation_log import OperationLog
from analog_sim.pulses.plans import PulseCounts, PulseTrain

F32 = npt.NDArray[np.float32]


class NotReachedWarning(UserWarning):
    """Cells that programming by pulses did not bring within its tolerance; said with their number."""


class BenchArray(ABC):
    """An array without pairs on a bench.

    Args:
        info: of the array. bench: times and counts.

    Attributes:
        inside: None, a real chip shows nothing of its inside.
    """

    inside: None = None

    def __init__(self, info: ChipInfo, bench: Bench) -> None:
        self.info, self._bench = info, bench

    @property
    def log(self) -> OperationLog:
        """What this array was asked for."""
        return self._bench.log

    @property
    def time(self) -> float:
        """Chip time in seconds: the wall's."""
        return self._bench.clock.now

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read single cells: siemens (1, rows, cols)."""
        r, c = span(rows, self.info.rows, "rows"), span(cols, self.info.cols, "cols")
        with self._bench.operation("read_conductance", (r.stop - r.start) * (c.stop - c.start)):
            return self._cells(r, c)[None]

    @abstractmethod
    def _cells(self, r: slice, c: slice) -> F32:
        """Siemens of some cells as read, (rows, cols)."""


class PulsedArray(BenchArray):
    """An array whose instrument cannot program: cells are brought to a target by pulses and reads.

    Args:
        info: of the array. bench: times and counts. write: how cells are programmed.
    """

    def __init__(self, info: ChipInfo, bench: Bench, write: PulsedWrite) -> None:
        super().__init__(info, bench)
        self._write = write

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Bring cells to a target, clipped to the range of the array, by pulses and reads; warns of those that do not get there."""
        check_target(self.info, target, mask)
        goal = np.clip(target[0], self.info.g_min, self.info.g_max)
        where = np.ones(goal.shape, np.bool_) if mask is None else mask[0]
        rows, cols = slice(0, self.info.rows), slice(0, self.info.cols)
        with self._bench.operation("program", int(where.sum())):
            window = self.info.g_max - self.info.g_min
            missed = self._write.write(lambda: self._cells(rows, cols), self._send, goal, where, window)
        if missed:
            warnings.warn(
                f"{self._bench.where}: {missed} of {where.sum()} cells are not within {self._write.tolerance:.3g} of the window of "
                f"their target after {self._write.rounds} rounds of pulses",
                NotReachedWarning,
                stacklevel=2,
            )

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send pulses by counts, and trains where the instrument has them."""
        check_plan(self.info, plan)
        if isinstance(plan, PulseTrain):
            self._send_train(plan)
            return
        counts = plan.counts[0].astype(np.int64)
        with self._bench.operation("pulse", int(np.abs(counts).sum())):
            self._send(counts)

    @abstractmethod
    def _send(self, counts: npt.NDArray[np.int64]) -> None:
        """Send signed pulses (rows, cols)."""

    def _send_train(self, plan: PulseTrain) -> None:
        """Send trains; an array that takes them says so in `info.parallel_pulse`."""
        raise AssertionError("check_plan refuses trains where parallel_pulse is false")
