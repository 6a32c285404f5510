"""What backends of real chips share: a chip that keeps its cells when the program ends can be recorded, so that a run can go on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, final

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend, identity, record_path
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.record.kept import recording_kept
from analog_sim.chip.record.taped import TapedFabric
from analog_sim.config import UserError
from analog_sim.random.streams import Streams


class HardwareBackend(ChipBackend, ABC):
    """Configuration of a chip that is there once and keeps its cells.

    Attributes:
        record: write every operation to `operations.record` in the folder of the arm, or of the chip of an estimate, for `replay`, and so
            that an interrupted run can go on; the chip must not be used for anything else meanwhile.
    """

    shared: ClassVar[bool] = True
    record: bool = False

    @property
    def of_estimates(self) -> bool:
        """Whether chips of an estimate are recorded."""
        return self.record

    @abstractmethod
    def opened(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """The chip itself; arguments as of `fabric`. Raises UserError when it cannot be opened."""

    def let_go(self, chip: Fabric) -> None:
        """Let go of what `opened` returned."""

    def recorded(self, chip: Fabric, path: Path, cell: CellModel, streams: Streams) -> TapedFabric:
        """The chip with its record, new or to be gone on with. Raises UserError."""
        return recording_kept(chip, path, identity(cell, streams) | {"kind": self.kind})

    @final
    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Open the chip, and its record if there is to be one. Raises UserError."""
        chip = self.opened(cell, streams, clock, folder)
        if not self.record or folder is None:
            return chip
        try:
            return self.recorded(chip, record_path(folder), cell, streams)
        except UserError:
            self.let_go(chip)
            raise

    @final
    def release(self, fabric: Fabric) -> None:
        """Let go of the chip."""
        chip = fabric.chip if isinstance(fabric, TapedFabric) else fabric
        if chip is not None:
            self.let_go(chip)
