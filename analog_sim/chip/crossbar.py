"""The small protocol that the emulator, a recorded log and a real instrument all speak. SI units, numpy arrays.

Everything else (tiles, write schemes, calibration, training) is written against `Crossbar` and never asks what is behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from analog_sim.pulses.plans import PulseCounts, PulseTrain

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ChipInfo:
    """What a crossbar is and can do; a rule or scheme that needs more is refused before work starts.

    Attributes:
        rows, cols: word lines (inputs) and bit lines (outputs).
        pair: every cross point holds two cells and the array subtracts their currents before the converter (planes = 2).
        g_min, g_max: siemens. v_max: volts, largest read voltage.
        transposed_read: rows can be read out while columns are driven.
        parallel_pulse: outer-product pulse trains on all lines at once; otherwise cells are pulsed one at a time.
        programmable: cells can be programmed to a target conductance.
        pulsed: cells answer to single pulses.
    """

    rows: int
    cols: int
    pair: bool
    g_min: float
    g_max: float
    v_max: float = 1.0
    transposed_read: bool = True
    parallel_pulse: bool = True
    programmable: bool = True
    pulsed: bool = True

    @property
    def planes(self) -> int:
        """Cells per cross point: 2 for a pair, else 1."""
        return 2 if self.pair else 1


class Crossbar(Protocol):
    """An array of memory cells, emulated or real."""

    @property
    def info(self) -> ChipInfo:
        """Shape, limits and capabilities."""
        ...

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        ...

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents: volts (batch, rows) -> amperes (batch, cols); transposed: (batch, cols) -> (batch, rows)."""
        ...

    def read_conductance(self) -> F32:
        """Read every cell once, read noise included: siemens (planes, rows, cols)."""
        ...

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells to `target` siemens (planes, rows, cols), only where `mask` when given."""
        ...

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send identical programming pulses."""
        ...

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        ...

    def flush(self) -> None:
        """Send queued commands and wait until they are done."""
        ...
