"""Give memory back to the system between tasks."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress


def release_memory() -> None:
    """Free what nothing refers to, and return free pages.

    The C library keeps freed pages for later: after some chips of a large network it holds hundreds of megabytes that no array uses.
    """
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library than glibc has no such function
            ctypes.CDLL(None).malloc_trim(0)
