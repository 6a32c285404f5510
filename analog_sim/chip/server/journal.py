"""Write-ahead journal of a served chip: an operation is in the file before it is done, and is answered only after that.

It survives the end of the process, not that of the machine (the file is flushed, not forced to the disk). Format: `chip.record.frames`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analog_sim.chip.record.frames import FrameWriter, read_frames
from analog_sim.chip.record.operations import Request
from analog_sim.config import UserError


class Journal:
    """The journal of one chip; goes on with one that is there.

    Args:
        path: of the file. chip: settings of the chip, compared with those of a journal that is there.

    Raises:
        UserError: another chip's journal, a damaged one, or the file cannot be written.

    Attributes:
        token: names this chip, for clients that go on with it.
    """

    def __init__(self, path: Path, chip: dict[str, Any]) -> None:
        self.path = path
        self.token = uuid.uuid4().hex
        end: int | None = None
        if path.exists():
            for header, _, place in read_frames(path):
                if end is None and header.get("served") != chip:
                    raise UserError(f"{path}: the journal is of another chip: {header.get('served')}, now {chip}")
                self.token = str(header.get("token", self.token)) if end is None else self.token
                end = place
            if end is None:
                path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = FrameWriter(path, keep=end)
        if end is None:
            self._writer.append({"served": chip, "token": self.token}, {})
            self._writer.sync()

    def append(self, request: Request, now: float, *, framed: bool) -> None:
        """Write an operation; returns when it is in the file. framed: its duration counts with others."""
        header = {
            "array": request.array,
            "kind": request.kind,
            "settings": request.settings,
            "time": now,
            "framed": framed,
        }
        self._writer.append(header, request.arrays)
        self._writer.sync()

    def entries(self) -> Iterator[tuple[Request, float, bool]]:
        """(operation, chip time at its start, framed), from the beginning."""
        frames = read_frames(self.path)
        next(frames, None)
        for header, arrays, _ in frames:
            yield (
                Request(header["array"], header["kind"], header["settings"], arrays),
                float(header["time"]),
                bool(header["framed"]),
            )

    def close(self) -> None:
        """Write what waits and close the file."""
        self._writer.close()
