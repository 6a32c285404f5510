"""Scratch that a thread keeps for numbers that are drawn and used at once. Never holds a result."""

import threading

import numpy as np
import numpy.typing as npt

AT_ONCE = 2**17
"""Normals that are drawn, and then used while they are in the second-level cache. With fewer, threads wait for Python's lock."""

_here = threading.local()


def kept_room(size: int) -> npt.NDArray[np.float32]:
    """Float32 scratch of this thread, (size,), that holds anything; the same memory at every call.

    New memory of a megabyte is asked of the system page by page and given back, for which two threads wait for each other.
    """
    room: npt.NDArray[np.float32] | None = getattr(_here, "room", None)
    if room is None or len(room) < size:
        room = _here.room = np.empty(size, np.float32)
    return room[:size]
