"""A chip behind a socket that speaks the commands of docs/instrument.md: the virtual instrument, or an instrument that offers the same."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.client.link import Link
from analog_sim.chip.client.remote import RemoteFabric, connect
from analog_sim.chip.client.resume import recorded
from analog_sim.chip.client.wire import socket_wire
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.lab.hardware import HardwareBackend
from analog_sim.chip.record.taped import TapedFabric
from analog_sim.config import UserError
from analog_sim.random.streams import Streams

_ADDRESS = re.compile(r"scpi://(\[[0-9A-Fa-f:.]+\]|[^:/\s\[\]]+):([0-9]{1,5})")


class Scpi(HardwareBackend):
    """A served chip. Two runs at a time share its cells.

    Attributes:
        address: scpi://host:port. timeout: seconds that an answer may take.
        record: as of every real chip; each operation then waits for the chip's answer about time.
    """

    kind: Literal["scpi"] = "scpi"
    address: str
    timeout: Annotated[float, Field(gt=0.0, le=86400.0)] = 30.0

    def check(self) -> None:
        """Raise UserError for an address that is none."""
        self._place()

    def reach(self) -> None:
        """Ask for its identity. Raises UserError when nobody answers."""
        link = Link(socket_wire(*self._place(), self.timeout))
        try:
            link.query("*IDN?")
        finally:
            link.close()

    def _place(self) -> tuple[str, int]:
        """Host and port. Raises UserError."""
        found = _ADDRESS.fullmatch(self.address)
        if found is None or int(found[2]) > 65535:
            raise UserError(f"chip.address: write scpi://host:port (got '{self.address}')")
        return found[1].strip("[]"), int(found[2])

    def opened(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> RemoteFabric:
        """Connect. Chip time is the server's, so `clock` is not used. Raises UserError when the chip cannot be reached."""
        return connect(Link(socket_wire(*self._place(), self.timeout)), cell)

    def recorded(self, chip: Fabric, path: Path, cell: CellModel, streams: Streams) -> TapedFabric:
        """The chip with its record; what the chip did after its last operation is asked of the chip. Raises UserError."""
        assert isinstance(chip, RemoteFabric)
        return recorded(chip, path, cell.name)

    def let_go(self, chip: Fabric) -> None:
        """End the connection, with which the writer's place is free for the next."""
        if isinstance(chip, RemoteFabric):
            chip.link.leave()
