"""An instrument behind any VISA resource: one that speaks our commands, or a lab's own by a map of its commands."""

import atexit
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.client.link import Link
from analog_sim.chip.client.remote import RemoteFabric, connect
from analog_sim.chip.client.resume import recorded
from analog_sim.chip.client.visa import visa_wire
from analog_sim.chip.client.wire import Wire
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.fixed_arrays import FixedArrays, PhysicalArray, Stock
from analog_sim.chip.lab.command_map import CommandMap
from analog_sim.chip.lab.hardware import HardwareBackend
from analog_sim.chip.lab.lab_array import LabArray, LabWire
from analog_sim.chip.record.taped import TapedFabric
from analog_sim.config import Q, StrictModel, UserError
from analog_sim.random.streams import Streams


class LabArraySpec(StrictModel):
    """The arrays of a lab's instrument, all of one size and without pairs.

    Attributes:
        names: as its commands call them. rows, cols: of each. v_max: largest read voltage.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    rows: Annotated[int, Field(ge=1, le=65536)]
    cols: Annotated[int, Field(ge=1, le=65536)]
    v_max: Annotated[float, Q("voltage", "V", gt=0)]


class VisaBackend(HardwareBackend):
    """A chip behind PyVISA.

    Attributes:
        address: of the resource, "TCPIP::192.168.0.7::5025::SOCKET" for example. timeout: seconds that an answer may take.
        library: of VISA: "@py" is pyvisa-py, "" the one that is installed.
        commands: of the instrument; null for those of docs/instrument.md. arrays: with `commands`, what it has; the range of their
            conductance is the card's.
    """

    kind: Literal["visa"] = "visa"
    address: Annotated[str, Field(min_length=1)]
    timeout: Annotated[float, Field(gt=0.0, le=86400.0)] = 30.0
    library: str = "@py"
    commands: CommandMap | None = None
    arrays: LabArraySpec | None = None

    def check(self) -> None:
        """Refuse commands without arrays, and arrays without commands."""
        if (self.commands is None) != (self.arrays is None):
            raise UserError(
                "chip: commands and arrays describe a lab's instrument together; give both, or none of them"
            )

    def opened(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Open the resource. Raises UserError when it cannot be reached."""
        self.check()
        wire = self._wire()
        if self.commands is None or self.arrays is None:
            return connect(Link(wire), cell)
        lab = LabWire(wire, self.commands)
        commands, has = self.commands, self.arrays
        info = ChipInfo(
            rows=has.rows,
            cols=has.cols,
            pair=False,
            g_min=cell.g_min,
            g_max=cell.g_max,
            v_max=has.v_max,
            transposed_read=commands.currents_transposed is not None,
            parallel_pulse=False,
            programmable=commands.write is not None,
            pulsed=commands.up is not None,
        )
        good = np.zeros((1, has.rows, has.cols), np.bool_)
        made = [PhysicalArray(name, LabArray(name, info, lab, clock), good) for name in has.names]
        for name in has.names:
            atexit.register(lab.off, name)
        return FixedArrays(cell, clock, Stock.of(made), (has.rows, has.cols), end=partial(_leave, lab, has.names))

    def reach(self) -> None:
        """Open the resource and close it. Raises UserError when it cannot be reached."""
        self._wire().close()

    def recorded(self, chip: Fabric, path: Path, cell: CellModel, streams: Streams) -> TapedFabric:
        """The chip with its record; one that speaks our commands remembers itself what it did after it. Raises UserError."""
        if isinstance(chip, RemoteFabric):
            return recorded(chip, path, cell.name)
        return super().recorded(chip, path, cell, streams)

    def let_go(self, chip: Fabric) -> None:
        """Outputs to zero, and the connection ends."""
        if isinstance(chip, RemoteFabric):
            chip.link.leave()
        elif isinstance(chip, FixedArrays):
            chip.let_go()

    def _wire(self) -> Wire:
        return visa_wire(self.address.removeprefix("visa://"), self.timeout, self.library)


def _leave(lab: LabWire, names: Sequence[str]) -> None:
    for name in names:
        lab.off(name)
    lab.wire.close()
