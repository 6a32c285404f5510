"""The twin of a measured chip, from the folder of its calibration: `--chip twin:RUN`."""

from pathlib import Path
from typing import Literal

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend, identity, record_path
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.record.taped import recording
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.twin import TwinFabric, load_measured
from analog_sim.config import NamedPath
from analog_sim.random.streams import Streams


class TwinBackend(ChipBackend):
    """Emulated cells as a calibration found them, sealed as the chip itself is.

    Attributes:
        folder: of the calibration, or its `twin.npz`.
        record: write every operation to `operations.record` in the folder of the arm, or of the chip of an estimate, for `replay`, and so
            that an interrupted training can go on: the twin then does again what the record holds.
    """

    kind: Literal["twin"] = "twin"
    folder: NamedPath
    record: bool = False

    @property
    def of_estimates(self) -> bool:
        """Whether chips of an estimate are recorded."""
        return self.record

    def check(self) -> None:
        """Read the file."""
        load_measured(self.folder)

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Fabricate cells as they are asked for. Raises UserError when the file is missing or damaged."""
        measured = load_measured(self.folder)
        chip = SealedFabric(TwinFabric(cell, measured, streams, clock))
        if not self.record or folder is None:
            return chip
        settings = identity(measured.cell, streams) | {"kind": self.kind}
        return recording(chip, record_path(folder), settings, remembers=False)
