"""The small protocol that the emulator, a recording and a real instrument all speak. SI units, numpy arrays.

Everything above (tiles, write schemes, calibration, training) is typed against `Crossbar` and does not know what is behind it. What only
an emulator can show is `Inspectable`; a crossbar hands it out as `inside`, and a sealed one hands out None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from analog_sim.chip.operation_log import OperationLog
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.saved_state import State

if TYPE_CHECKING:
    from analog_sim.reads.wired import WiresReport

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
        inspectable: the truth of every cell can be seen and set (`Crossbar.inside`); only an emulator can.
        pulse_volts, pulse_seconds: largest amplitude and width that a plan may ask for; 0 for pulses of the chip's own alone.
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
    inspectable: bool = False
    pulse_volts: float = 0.0
    pulse_seconds: float = 0.0

    @property
    def planes(self) -> int:
        """Cells per cross point: 2 for a pair, else 1."""
        return 2 if self.pair else 1

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.planes * self.rows * self.cols


class Inspectable(Protocol):
    """What only an emulator can do: show and set the truth of every cell. Never needed, only a comfort."""

    def conductance_now(self) -> F32:
        """Conductance of every cell now, siemens (planes, rows, cols), without read noise."""
        ...

    def glance(self, row_step: int = 1, col_step: int = 1) -> F32:
        """`conductance_now` of every so many-th row and column, for a display: nothing is remembered, later reads give the same bits."""
        ...

    def net_now(self) -> F32:
        """Net conductance (plane 0 minus plane 1) of the cells now, siemens (rows, cols), without read noise and wires."""
        ...

    def effective_now(self, *, transpose: bool = False) -> F32:
        """What a read, or a transposed read, multiplies with now, siemens (rows, cols) for both: `net_now` seen through the wires."""
        ...

    def currents_now(self, v: F32, *, transpose: bool = False) -> F32:
        """Currents that a read, or a transposed read, of volts v (batch, lines) would sense now, amperes, without noise and time."""
        ...

    def bent(self, v: npt.ArrayLike) -> F32:
        """f(v), volts, of cells with I = g f(v): v itself where they are ohmic."""
        ...

    @property
    def wires_report(self) -> WiresReport | None:
        """What reads under wires have cost and how well they are known; None for ideal wires."""
        ...

    def sense(self, v: F32, *, transpose: bool = False, out: F32 | None = None) -> tuple[F32, F32 | None]:
        """A read whose noise is drawn later: currents, and the variance of their noise (None when there is none)."""
        ...

    def add_ideal(self, dg: F32, *, two_sided: bool = False) -> None:
        """Change the net conductance by dg (rows, cols) siemens exactly: no error, no pulse, no time."""
        ...

    def pulse_counts(self) -> npt.NDArray[np.integer] | None:
        """Pulses that every cell got, (planes, rows, cols); None when they are not counted."""
        ...

    def state(self, *, cells: bool = True) -> State:
        """A snapshot: everything that later operations depend on; without the cells where nobody writes them until it is put back."""
        ...

    def restore(self, state: State) -> None:
        """Put a snapshot back. Raises ValueError for one that is not of this array."""
        ...


class Crossbar(Protocol):
    """An array of memory cells, emulated, recorded or real.

    A call that goes against `info` (wrong shape, volts beyond `v_max`, a missing capability, values that are not finite) raises ValueError
    and changes nothing.
    """

    @property
    def info(self) -> ChipInfo:
        """Shape, limits and capabilities."""
        ...

    @property
    def log(self) -> OperationLog:
        """What this array was asked to do so far: calls, units, chip time; energy where it is known."""
        ...

    @property
    def inside(self) -> Inspectable | None:
        """The truth of the cells where it can be seen, None where the chip is sealed."""
        ...

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        ...

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents: volts (batch, rows) -> amperes (batch, cols); transposed: (batch, cols) -> (batch, rows)."""
        ...

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read the cells of some lines (all when None) once, read noise included: siemens (planes, rows, cols)."""
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
