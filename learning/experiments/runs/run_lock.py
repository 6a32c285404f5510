"""One process at a time in a run's folder. It never waits.

The operating system holds the lock and drops it when the process ends, however it ends: no stale lock can stay behind.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analog_sim.config import UserError

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = ".lock"
"""File in the folder; empty or not, it says nothing once no process holds it."""


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`. Raises UserError when another process holds it or the folder cannot be written."""
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another folder by --out") from error
    try:
        try:
            _take(handle)
        except OSError as error:
            owner = path.read_text(encoding="utf-8", errors="replace").strip() or "unknown"
            raise UserError(
                f"{folder}: another run is at work here ({owner}); wait for it or choose another --out"
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(handle)
