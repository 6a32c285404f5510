"""Write-ahead journal of a served chip: an operation is in the file before it is done, and is answered only after that.

It survives the end of the process, not that of the machine (the file is flushed, not forced to the disk). Format: `chip.record.frames`.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from analog_sim.chip.record.frames import FrameWriter, make_way, read_frames
from analog_sim.chip.record.operations import Request
from analog_sim.config import UserError

if sys.platform != "win32":
    import fcntl

PATIENCE = 2.0
"""Seconds to wait for the lock: a server that was just killed may not have ended yet when the next one is started."""


class Journal:
    """The journal of one chip; goes on with one that is there.

    Args:
        path: of the file. chip: settings of the chip, compared with those of a journal that is there.

    Raises:
        UserError: another chip's journal, one that another server writes, a damaged one, or the file cannot be written.

    Attributes:
        token: names this chip, for clients that go on with it. cut: bytes of an incomplete last operation that were left out.
    """

    def __init__(self, path: Path, chip: dict[str, Any]) -> None:
        self.path = path
        self.token = uuid.uuid4().hex
        self.cut = 0
        end: int | None = None
        if path.exists():
            self._lock = _only_one(path)
            try:
                end = self._end_of(chip)
            except UserError:
                self._lock.close()
                raise
            self.cut = path.stat().st_size - (end or 0)
            if end is None:
                self._lock.close()
                make_way(path)
        else:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"{path}: the journal's folder cannot be made ({error.strerror})") from error
        self._writer = FrameWriter(path, keep=end)
        if end is None:
            self._lock = _only_one(path)
            self._writer.append({"served": chip, "token": self.token}, {})
            self._writer.sync()

    def _end_of(self, chip: dict[str, Any]) -> int | None:
        """Bytes of a journal that is there, whose token this one goes on with; None when it does not even say whose it is."""
        end: int | None = None
        for header, _, place in read_frames(self.path):
            if end is None and header.get("served") != chip:
                raise UserError(f"{self.path}: the journal is of another chip: {header.get('served')}, now {chip}")
            self.token = str(header.get("token", self.token)) if end is None else self.token
            end = place
        return end

    def append(self, request: Request, now: float, *, framed: bool) -> None:
        """Write an operation; returns when it is in the file. framed: its duration counts with others.

        Raises:
            UserError: it cannot be written, and may not be done; nothing of it is in the file.
        """
        header = {
            "array": request.array,
            "kind": request.kind,
            "settings": request.settings,
            "time": now,
            "framed": framed,
        }
        try:
            self._writer.append(header, request.arrays)
            self._writer.sync()
        except UserError:
            self._writer.try_again()  # the operation is not done, so the next one may follow the last that was
            raise

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
        self._lock.close()


def _only_one(path: Path) -> BinaryIO:
    """The file, locked until it is closed or the process ends, however it ends. Raises UserError when another process has it."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: the journal cannot be read ({error.strerror})") from error
    begun = time.monotonic()
    while sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() - begun > PATIENCE:
                file.close()
                raise UserError(f"{path}: another server writes this journal; end it, or name another file") from error
            time.sleep(0.01)
        else:
            break
    return file
