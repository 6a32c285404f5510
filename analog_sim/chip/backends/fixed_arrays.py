"""An emulated chip of arrays that exist: their number and size are fixed and some of their cells are known to be bad. Sealed."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.state import Fault
from analog_sim.chip.backend import ChipBackend, identity, record_path
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric, Fabric, Fabrication
from analog_sim.chip.fixed_arrays import FixedArrays, PhysicalArray, Stock
from analog_sim.chip.record.chip_memory import FILE, ChipMemory, RememberedFabric
from analog_sim.chip.record.taped import recording
from analog_sim.chip.sealed import SealedCrossbar
from analog_sim.random.streams import Streams


class FixedArraysBackend(ChipBackend):
    """Arrays of one size; the layout of NIST's Daffodil board (32 arrays of 25 x 25 cells) by default.

    Attributes:
        arrays: how many arrays the chip has. rows, cols: word lines and bit lines of each array.
        bad_cells: share of cells that are stuck and known to be; which ones follows from the seed.
        subtracts: arrays hold pairs and subtract their currents; otherwise a differential pair takes two arrays and two reads.
        record: whether every operation is recorded, so that a training can be resumed; as for `sealed`.
    """

    kind: Literal["fixed_arrays"] = "fixed_arrays"
    arrays: Annotated[int, Field(ge=1, le=100000)] = 32
    rows: Annotated[int, Field(ge=1, le=65536)] = 25
    cols: Annotated[int, Field(ge=1, le=65536)] = 25
    bad_cells: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    subtracts: bool = False
    record: bool | None = None

    @property
    def of_estimates(self) -> bool:
        """Whether chips of an estimate are recorded."""
        return self.record is True

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Fabricate the arrays."""
        memory = None if self.record is False or folder is None else ChipMemory(record_path(folder).with_name(FILE))
        bare, planes = EmulatedFabric(cell, streams, clock), 2 if self.subtracts else 1
        cells = bare if memory is None else RememberedFabric(bare, memory)
        made = []
        for k in range(self.arrays):
            draws = streams.stream("bad cells", k).uniforms((planes, self.rows, self.cols))
            bad = draws < np.float32(self.bad_cells)
            faults = np.where(bad, int(Fault.STUCK_RANDOM), int(Fault.HEALTHY)).astype(np.uint8)
            wishes = Fabrication(fault_map=faults if bad.any() else None)
            array = cells.crossbar(("array", k), self.rows, self.cols, pair=self.subtracts, wishes=wishes)
            made.append(PhysicalArray(f"array {k}", SealedCrossbar(array), bad))
        chip = FixedArrays(cell, clock, Stock.of(made), (self.rows, self.cols), self.subtracts)
        if memory is None or folder is None:
            return chip
        settings = identity(cell, streams) | self.model_dump(mode="json", exclude={"record"})
        return recording(chip, record_path(folder), settings, remembers=False, memory=memory)
