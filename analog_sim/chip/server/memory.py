"""Memory that a client and the server on one machine share, so that long vectors do not go through the socket. Linux only.

The client makes an anonymous file that can never shrink (memfd, sealed), and the server opens it through /proc, which works for processes
of the same user alone. Nothing is left behind when either ends. Numbers are copied in and out: what the server works on cannot change.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.chip.server.errors import ScpiError

if sys.platform == "linux":
    import fcntl

LARGEST = 1 << 28
"""Bytes of shared memory that a server takes from one client."""
SIZE = 1 << 25
"""Bytes that our client offers: half for what it sends, half for answers. Only pages that are used take memory."""
WORTH = 1 << 14
"""Bytes from which memory is quicker than the socket."""


class SharedArea:
    """Shared memory, the first half for what the client sends, the second for answers.

    Args:
        fd: of the file. size: of it, bytes.
    """

    def __init__(self, fd: int, size: int) -> None:
        self._map = mmap.mmap(fd, size)
        self.half = size // 2

    def put(self, values: npt.NDArray[Any], begin: int) -> None:
        """Copy numbers to a place, little-endian."""
        np.frombuffer(self._map, values.dtype.newbyteorder("<"), values.size, begin)[:] = values.reshape(-1)

    def take(self, begin: int, count: int, kind: str = "f4") -> npt.NDArray[Any]:
        """A copy of `count` bytes from a place. kind: NumPy's name of the type of the numbers."""
        source = np.dtype("<" + kind)
        return np.frombuffer(self._map, source, count // source.itemsize, begin).astype(kind)


def offered() -> tuple[SharedArea, int] | None:
    """A client's memory and its file, which the client closes when the server has it; None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        fd = os.memfd_create("analog-hil", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError:
        return None
    os.ftruncate(fd, SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return SharedArea(fd, SIZE), fd


def attached(process: int, number: int) -> SharedArea:
    """The memory that a client of this user offers. Raises ScpiError when it cannot be opened, or could shrink under the server."""
    if sys.platform != "linux":
        raise ScpiError(-241, "memory is shared on Linux only")
    try:
        fd = os.open(f"/proc/{process}/fd/{number}", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise ScpiError(-241, f"the memory cannot be opened ({error.strerror})") from error
    try:
        size = os.fstat(fd).st_size
        if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK or not 0 < size <= LARGEST or size % 8:
            raise ScpiError(-222, f"a sealed file of at most {LARGEST} bytes is needed")
        return SharedArea(fd, size)
    except OSError as error:
        raise ScpiError(-222, "a sealed file in memory is needed") from error
    finally:
        os.close(fd)
