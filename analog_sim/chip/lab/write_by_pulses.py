"""Cells brought to a target by pulses and reads, for instruments that cannot program by themselves. Knows no instrument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PulsedWrite:
    """How cells are brought to a target.

    Attributes:
        tolerance: share of the conductance window within which a cell counts as written. rounds: of pulses and a read, at most.
        most: pulses of a cell in a round.
    """

    tolerance: float
    rounds: int
    most: int

    def write(
        self,
        read: Callable[[], F32],
        pulse: Callable[[npt.NDArray[np.int64]], None],
        target: F32,
        where: npt.NDArray[np.bool_],
        window: float,
    ) -> int:
        """Pulse and read until all cells are within tolerance; how many are not.

        The pulses of a round are the distance over the mean step of the round before; at first a step is taken for 1/50 of the window.

        Args:
            read: siemens (rows, cols). pulse: takes signed counts (rows, cols). target: siemens (rows, cols). where: cells to write.
            window: siemens between the ends of the range.
        """
        step, before, counts = window / 50.0, None, np.zeros(target.shape, np.int64)
        for number in range(self.rounds + 1):
            g = read()
            sent = counts != 0
            if before is not None and sent.any():
                moved = float(((g - before)[sent] * np.sign(counts[sent])).sum() / np.abs(counts[sent]).sum())
                step = min(max(moved, window / 10_000.0), window)
            away = np.where(where, target - g, np.float32(0.0))
            left = np.abs(away) > self.tolerance * window
            if not left.any() or number == self.rounds:
                return int(left.sum())
            needed = np.clip(np.rint(np.abs(away) / step), 1, self.most) * np.sign(away)
            counts, before = np.where(left, needed, 0.0).astype(np.int64), g
            pulse(counts)
        raise AssertionError("the last round returns")
