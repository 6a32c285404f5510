"""Who makes crossbars. A tile receives a fabric and never builds an array itself. Knows no weight and no converter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Name, Streams
from analog_sim.wires import WiresSpec


@dataclass(frozen=True)
class Fabrication:
    """Wishes, most of which only an emulator can fulfil; a physical chip refuses a fault map and wires, because it has its own.

    Attributes:
        fault_map: (planes, rows, cols) codes of `analog_sim.cells.state.Fault`, None for faults drawn as the card says.
        count_pulses: keep a pulse counter for every cell.
        wires: resistance of the lines, None for ideal ones.
        together: arrays that the whole matrix takes, of which this is one; a chip that has not so many refuses the first.
    """

    fault_map: npt.NDArray[np.integer] | None = None
    count_pulses: bool = False
    wires: WiresSpec | None = None
    together: int = 1


PLAIN = Fabrication()


class Record(Protocol):
    """What binds a checkpoint to a chip that cannot be put back: a position in the record of its operations."""

    @property
    def position(self) -> int:
        """Number of the next operation."""
        ...

    def holds(self, position: int) -> None:
        """Raise UserError when it has fewer operations than `position`, after which a checkpoint was made."""
        ...

    def seek(self, position: int) -> None:
        """Go on from there: operations that the chip has done since are answered by the record and not repeated. Raises UserError."""
        ...

    def keep(self) -> None:
        """Before a checkpoint: return when all operations so far are in the file, and a chip that ends with its process kept its state."""
        ...

    def restoring(self) -> AbstractContextManager[None]:
        """While a checkpoint is put back: what has to be made or read again for it is answered by the record, wherever it stands there."""
        ...

    def close(self) -> None:
        """Write what waits and close the file."""
        ...


@runtime_checkable
class Fabric(Protocol):
    """A place on a chip, where arrays are made or handed out."""

    @property
    def cell(self) -> CellModel:
        """What is known of the cells: the compiled device card. On a real chip it is what the user believes."""
        ...

    @property
    def clock(self) -> Clock:
        """Chip time, shared by everything on the chip."""
        ...

    @property
    def largest(self) -> tuple[int, int] | None:
        """Rows and columns of the largest available array; None when arrays of any size are made."""
        ...

    @property
    def record(self) -> Record | None:
        """The record of what is done on the chip, None without one."""
        ...

    def at(self, *place: Name) -> Fabric:
        """The part of the chip at `place`; a name is the identity of what is made there."""
        ...

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> Crossbar:
        """An array of rows x cols cross points, with two cells each when `pair`.

        Raises:
            UserError: the chip has no such array left, or cannot fulfil the wishes.
        """
        ...


@dataclass(frozen=True)
class EmulatedFabric:
    """Fabricates emulated cells; arrays of any size, as many as are asked for.

    Attributes:
        cell: the compiled device card. streams: identity of this place on the chip. clock: shared by the whole chip.
        largest: arrays of any size are made. record: what is done is not recorded.
    """

    cell: CellModel
    streams: Streams
    clock: Clock
    largest: None = None
    record: None = None

    def at(self, *place: Name) -> EmulatedFabric:
        """The part of the chip at `place`."""
        return EmulatedFabric(self.cell, self.streams.child(*place), self.clock)

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> EmulatedCrossbar:
        """Fabricate an array; the same name gives the same cells."""
        return EmulatedCrossbar(
            self.cell,
            rows,
            cols,
            pair=pair,
            streams=self.streams.child(*name),
            clock=self.clock,
            fault_map=wishes.fault_map,
            count_pulses=wishes.count_pulses,
            wires=wishes.wires,
        )


FabricMaker = Callable[[CellModel, Streams, Clock], Fabric]
"""(compiled card, identity of the chip, its clock) -> the chip; what a backend gives, see `analog_sim.chip.backend`."""
