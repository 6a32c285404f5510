"""The emulated chip behind the bare protocol, as a real one would be: nothing of its inside is seen, nothing is put back."""

from pathlib import Path
from typing import Literal

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import ChipBackend, identity, record_path
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric, Fabric
from analog_sim.chip.record.chip_memory import FILE, ChipMemory, RememberedFabric
from analog_sim.chip.record.taped import recording
from analog_sim.chip.sealed import SealedFabric
from analog_sim.random.streams import Streams


class Sealed(ChipBackend):
    """Cells of the card, arrays of any size, only the protocol.

    Attributes:
        record: write every operation of a training run to `operations.record` in the arm's folder, and at every checkpoint the chip's own
            state to `chip.state`, where it is the chip's business. Without it an interrupted training cannot go on, because the emulated
            chip ends with its process. true: also every chip of an estimate, in `chips/`. null: trainings alone. false: nothing.
    """

    kind: Literal["sealed"] = "sealed"
    record: bool | None = None

    @property
    def of_estimates(self) -> bool:
        """Whether chips of an estimate are recorded."""
        return self.record is True

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Fabricate cells, seal them, record what is done to them."""
        cells = EmulatedFabric(cell, streams, clock)
        if self.record is False or folder is None:
            return SealedFabric(cells)
        path = record_path(folder)
        memory = ChipMemory(path.with_name(FILE))
        sealed = SealedFabric(RememberedFabric(cells, memory))
        return recording(sealed, path, identity(cell, streams), remembers=False, memory=memory)
