"""Pulses that other threads send while their caller goes on: where that is allowed, and when they must have ended. It sends none itself.

Layers are on arrays of their own. While the cells of one are pulsed, the trains of the next are drawn and sent; nobody looks at the first
before both are through. So a training step is a `with overlapping:` block: inside, an array may leave a train to other threads, and ends it
when somebody looks at it, at the end of the block at the latest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Overlapping(threading.local):
    """Blocks, of each thread its own, in which arrays may be pulsed while the caller goes on; inner ones are parts of the outer."""

    def __init__(self) -> None:
        self._depth = 0
        self._ends: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        while self._ends and not self._depth:
            self._ends.pop()()

    @property
    def open(self) -> bool:
        """Whether this thread is in a block."""
        return self._depth > 0

    def end(self, settle: Callable[[], None]) -> None:
        """Call this at the end of the block."""
        self._ends.append(settle)


overlapping = Overlapping()
"""For a `with` statement, at whose end all pulses have ended. Raises MemoryError, there or where somebody looks, if they had no memory."""
