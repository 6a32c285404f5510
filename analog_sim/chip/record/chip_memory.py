"""The state that an emulated sealed chip keeps for itself, as hardware does, so that it goes on where its process ended.

The file is of one position in the record of what was done. Behind it the chip does again what the record holds, and no more: the loop
above never sees this file, and nothing is asked of it that a chip would not remember.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.chip.fabric import PLAIN, EmulatedFabric, Fabrication
from analog_sim.config import UserError
from analog_sim.random.streams import Name
from analog_sim.saved_state import State, taken
from analog_sim.state_file import read_state, write_state

FILE = "chip.state"
"""Beside the record."""


class ChipMemoryState(TypedDict):
    """What is in the file: operations done, bytes of the record up to there, every array by its place."""

    position: int
    end: int
    arrays: dict[str, State]


@dataclass
class ChipMemory:
    """All arrays of an emulated chip, and the file of their state.

    Attributes:
        path: of the file. arrays: by place, as they are made.
    """

    path: Path
    arrays: dict[str, EmulatedCrossbar] = field(default_factory=dict)

    def keep(self, position: int, end: int) -> None:
        """Write the state, whole or not at all, as that after `position` operations. Raises UserError."""
        state: ChipMemoryState = {
            "position": position,
            "end": end,
            "arrays": {name: array.state() for name, array in self.arrays.items()},
        }
        try:
            write_state(self.path, state)
        except OSError as error:
            raise UserError(f"{self.path}: the chip's state cannot be written ({error.strerror})") from error

    def recall(self, ends: list[int]) -> int:
        """Put the state back; how many operations of the record it contains.

        0 where there is no state of this record: then all of it must be done again, which takes longer and gives the same.

        Args:
            ends: bytes of the record up to the end of each operation.
        """
        if not self.path.exists():
            return 0
        try:
            saved = taken(ChipMemoryState, read_state(self.path, "a readable state of a chip", "delete it"))
            position = saved["position"]
            of_this = 0 < position <= len(ends) and ends[position - 1] == saved["end"]
            if not of_this or not set(saved["arrays"]) <= set(self.arrays):
                return 0
            before = {name: array.state() for name, array in self.arrays.items()}
            try:
                for name, state in saved["arrays"].items():
                    self.arrays[name].restore(state)
            except (ValueError, KeyError):
                for name, state in before.items():
                    self.arrays[name].restore(state)
                return 0
        except (UserError, ValueError):
            return 0
        return position


@dataclass(frozen=True)
class RememberedFabric:
    """Fabricates emulated arrays that a memory knows.

    Attributes:
        cells: fabricates them. memory: knows them. place: names on the way here. largest, record: as of `EmulatedFabric`.
    """

    cells: EmulatedFabric
    memory: ChipMemory
    place: tuple[Name, ...] = ()
    largest: None = None
    record: None = None

    @property
    def cell(self) -> CellModel:
        """The card."""
        return self.cells.cell

    @property
    def clock(self) -> Clock:
        """Chip time."""
        return self.cells.clock

    def at(self, *place: Name) -> RememberedFabric:
        """The part of the chip at `place`."""
        return replace(self, cells=self.cells.at(*place), place=(*self.place, *place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> EmulatedCrossbar:
        """Fabricate an array; the same name gives the same cells."""
        made = self.cells.crossbar(name, rows, cols, pair=pair, wishes=wishes)
        self.memory.arrays["/".join(map(str, (*self.place, *name)))] = made
        return made
