"""An array behind amplifiers that are not ideal: every line that is sensed has a gain and an offset. Knows no converter and no weight.

    i_out = gain * i + offset,  gain (lines,), offset (lines,) amperes

What a calibration measures of a chip's own electronics, and what its twin does. Cells that are read one by one are not affected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.chip.operation_log import OperationLog
from analog_sim.pulses.plans import PulseCounts, PulseTrain

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LineAmplifiers:
    """Amplifiers of one direction: gain (lines,), offset (lines,) amperes."""

    gain: F32
    offset: F32

    def apply(self, current: F32) -> F32:
        """Currents (batch, lines) as they come out."""
        return current * self.gain + self.offset


class AmplifiedCrossbar:
    """A crossbar behind its amplifiers; sealed, because what its inside would show is not what comes out.

    Args:
        hidden: the array. forward: of the bit lines. backward: of the word lines in transposed reads, None for ideal ones.
    """

    inside: None = None

    def __init__(self, hidden: Crossbar, forward: LineAmplifiers, backward: LineAmplifiers | None = None) -> None:
        self._hidden, self._forward, self._backward = hidden, forward, backward
        self.info: ChipInfo = replace(hidden.info, inspectable=False)

    @property
    def log(self) -> OperationLog:
        """Of the array."""
        return self._hidden.log

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self._hidden.time

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents through the amplifiers."""
        current = self._hidden.mvm(v, transpose=transpose)
        amplifiers = self._backward if transpose else self._forward
        return current if amplifiers is None else amplifiers.apply(current)

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read cells one by one."""
        return self._hidden.read_conductance(rows, cols)

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells to a target."""
        self._hidden.program(target, mask)

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send pulses."""
        self._hidden.pulse(plan)

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        self._hidden.wait(seconds)

    def flush(self) -> None:
        """Wait for queued commands."""
        self._hidden.flush()
