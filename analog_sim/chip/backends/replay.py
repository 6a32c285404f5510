"""A recorded chip: it repeats what was recorded, for the very calls that were recorded, and refuses everything else."""

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backend import RECORD, ChipBackend
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabric
from analog_sim.chip.record.tape import Tape
from analog_sim.chip.record.taped import replay
from analog_sim.config import NamedPath, UserError
from analog_sim.random.streams import Streams


class Replay(ChipBackend):
    """Play a record back.

    Attributes:
        record: the file, or a folder with exactly one `operations.record` in or below it (a run folder).
    """

    kind: Literal["replay"] = "replay"
    record: NamedPath

    @field_validator("record")
    @classmethod
    def _in_folder(cls, record: Path) -> Path:
        """The one record of a folder: what decides the results is that file, not the reports beside it."""
        found = sorted(record.rglob(RECORD)) if record.is_dir() else []
        return found[0] if len(found) == 1 else record

    def check(self) -> None:
        """Find the record and read how it begins."""
        Tape(self._file(), None, write=False).close()

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Open the record. Raises UserError when there is none, or more than one."""
        return replay(self._file(), cell, clock)

    def _file(self) -> Path:
        if not self.record.exists():
            raise UserError(f"chip.record: no such file or folder: {self.record}")
        if not self.record.is_dir():
            return self.record
        found = sorted(self.record.rglob(RECORD))
        if len(found) != 1:
            names = ", ".join(str(path.parent.relative_to(self.record)) for path in found) or "none"
            raise UserError(f"chip.record: {self.record} holds {len(found)} records ({names}); name one file")
        return found[0]
