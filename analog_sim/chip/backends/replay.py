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
        record: the file, or the folder of a run: of its records each arm, seed and chip plays the one that stands there under its own
            name; where there is only one, that is played.
    """

    kind: Literal["replay"] = "replay"
    record: NamedPath

    @field_validator("record")
    @classmethod
    def _in_folder(cls, record: Path) -> Path:
        """The one record of a folder: what decides the results is that file, not the reports beside it."""
        found = sorted(record.rglob(RECORD)) if record.is_dir() else []
        return found[0] if len(found) == 1 else record

    @property
    def of_estimates(self) -> bool:
        """Chips of an estimate find their records by the names of their folders."""
        return True

    def check(self) -> None:
        """Find the records and read how they begin."""
        for path in self._files():
            Tape(path, None, write=False).close()

    def fabric(self, cell: CellModel, streams: Streams, clock: Clock, folder: Path | None) -> Fabric:
        """Open the record. Raises UserError when there is none of this arm or chip."""
        return replay(self._file(folder), cell, clock)

    def _file(self, folder: Path | None) -> Path:
        """The record of the arm or chip whose folder it is. Raises UserError."""
        found = self._files()
        if len(found) == 1:
            return found[0]
        named = None if folder is None else self.record / folder.parent.name / folder.name / RECORD
        if named in found:
            return named
        names = ", ".join(str(path.parent.relative_to(self.record)) for path in found)
        wanted = "name one file" if folder is None else f"none of them is of {folder.parent.name}/{folder.name}"
        raise UserError(f"chip.record: {self.record} holds {len(found)} records ({names}); {wanted}")

    def _files(self) -> list[Path]:
        """The record, or all records of the run. Raises UserError when there are none."""
        if not self.record.exists():
            raise UserError(f"chip.record: no such file or folder: {self.record}")
        if not self.record.is_dir():
            return [self.record]
        found = sorted(self.record.rglob(RECORD))
        if not found:
            raise UserError(f"chip.record: {self.record} holds no {RECORD}; was the run recorded?")
        return found
