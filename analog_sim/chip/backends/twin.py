"""The twin of a measured chip, from the folder of its calibration: `--chip twin:RUN`."""

from pathlib import Path
from typing import Literal

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.twin import TwinFabric, load_measured
from analog_sim.config import NamedPath
from analog_sim.random.streams import Streams


class TwinBackend(ChipBackend):
    """Emulated cells as a calibration found them, sealed as the chip itself is.

    Attributes:
        folder: of the calibration, or its `twin.npz`.
    """

    kind: Literal["twin"] = "twin"
    folder: NamedPath

    def check(self) -> None:
        """Read the file."""
        load_measured(self.folder)

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Fabricate cells as they are asked for. Raises UserError when the file is missing or damaged."""
        return SealedFabric(TwinFabric(cell, load_measured(self.folder), streams, clock))
