"""A limit of time that a busy machine does not reach: processor time of this process, or very much wall time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

WALL = 15
"""Wall time that is allowed, as a multiple of the processor time: for what sleeps, or waits for a lock."""


@contextmanager
def no_hang(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a block that takes more than so many seconds of processor time. Not on Windows."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(
            f"hangs: no end within {seconds:g} s of processor time, or {WALL} times as long by the clock"
        )

    before = [(sign, signal.signal(sign, stop)) for sign in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, WALL * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for sign, handler in before:
            signal.signal(sign, handler)
