"""Emulated cells behind the bare protocol: what a learning loop can do with a chip that shows nothing of its inside.

The proof that nothing above needs more: everything but `inside` works as on the open chip. Energy stays unknown, as on most hardware.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.checks import check_plan, check_target, check_voltages
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.chip.fabric import PLAIN, Fabric, Fabrication, Record
from analog_sim.chip.operation_log import OperationLog
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Name

F32 = npt.NDArray[np.float32]


class SealedCrossbar:
    """A crossbar of which only the protocol is left.

    Args:
        hidden: the array behind it.
    """

    inside: None = None

    def __init__(self, hidden: Crossbar) -> None:
        self._hidden = hidden
        self.info: ChipInfo = replace(hidden.info, inspectable=False)
        self.log = OperationLog()

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self._hidden.time

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents; see `Crossbar`."""
        check_voltages(self.info, v, transpose)
        with self._counted("mvm_transposed" if transpose else "mvm", len(v)):
            return self._hidden.mvm(v, transpose=transpose)

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read cells one by one."""
        with self._counted("read_conductance", 0) as count:
            g = self._hidden.read_conductance(rows, cols)
            count.units = g.size
            return g

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells to a target."""
        check_target(self.info, target, mask)
        with self._counted("program", self.info.cells if mask is None else int(mask.sum())):
            self._hidden.program(target, mask)

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send pulses."""
        check_plan(self.info, plan)
        before = self._hidden.log.units("pulse")
        with self._counted("pulse", 0) as count:
            self._hidden.pulse(plan)
            count.units = self._hidden.log.units("pulse") - before

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        with self._counted("wait", 1):
            self._hidden.wait(seconds)

    def flush(self) -> None:
        """Wait for queued commands."""
        self._hidden.flush()

    def _counted(self, kind: str, units: int) -> _Count:
        return _Count(self, self._hidden, kind, units)


class _Count:
    """Accounts for one operation when it has ended well: for a `with` statement. units: may be set inside."""

    def __init__(self, sealed: SealedCrossbar, hidden: Crossbar, kind: str, units: int) -> None:
        self._log, self._hidden, self._kind, self.units = sealed.log, hidden, kind, units
        self._time = hidden.time
        self._seconds = _seconds(hidden)

    def __enter__(self) -> _Count:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        if failure is None:
            seconds = _seconds(self._hidden) - self._seconds
            self._log.add(self._kind, self._time, units=self.units, seconds=seconds)


def _seconds(array: Crossbar) -> float:
    return sum(total.seconds for total in array.log.totals.values())


@dataclass(frozen=True)
class SealedFabric:
    """A fabric whose arrays hide their inside.

    Attributes:
        hidden: makes the arrays.
    """

    hidden: Fabric

    @property
    def cell(self) -> CellModel:
        """The card, as it was given: what the user believes of the cells."""
        return self.hidden.cell

    @property
    def clock(self) -> Clock:
        """Chip time."""
        return self.hidden.clock

    @property
    def largest(self) -> tuple[int, int] | None:
        """As of the hidden fabric."""
        return self.hidden.largest

    @property
    def record(self) -> Record | None:
        """As of the hidden fabric."""
        return self.hidden.record

    def at(self, *place: Name) -> SealedFabric:
        """The part of the chip at `place`."""
        return SealedFabric(self.hidden.at(*place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> SealedCrossbar:
        """An array of the hidden fabric, sealed."""
        return SealedCrossbar(self.hidden.crossbar(name, rows, cols, pair=pair, wishes=wishes))
