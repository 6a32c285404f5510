"""The emulated chip that shows its inside: snapshots, exact weights, measuring without a trace."""

from pathlib import Path
from typing import ClassVar, Literal

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric, Fabric
from analog_sim.random.streams import Streams


class Emulated(ChipBackend):
    """Cells of the card, arrays of any size."""

    kind: Literal["emulated"] = "emulated"
    snapshots: ClassVar[bool] = True

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Fabricate cells as they are asked for."""
        return EmulatedFabric(cell, streams, clock)
