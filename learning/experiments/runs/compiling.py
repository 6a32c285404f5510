"""Says when kernels are about to be compiled, once per version of the program and kind of job, and lets that begin early.

It never knows which kernels there are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

COMPILING = "compiling, once per version (about {})"


def _mark(kind: str) -> Path | None:
    """File that is there once a job of this kind came to its end; None where nothing is compiled, or kept."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    return None if folder is None or off else Path(folder) / f"compiled-{kind}"


def first_time(kind: str) -> bool:
    """Whether a job of this kind is about to compile its kernels."""
    mark = _mark(kind)
    return mark is not None and not mark.exists()


@contextmanager
def ahead(kind: str, jobs: Callable[[], Iterable[Callable[[], object]]]) -> Iterator[None]:
    """Within the block, which does something else, a thread runs small jobs that compile kernels, where a job of this kind would.

    LLVM works without the interpreter's lock, and so do most of the things that a digital network does while it trains: on a second core
    most of the compiling costs no time. What is not compiled at the end of the block is left to whoever needs it; the job at work then
    is waited for, so that no thread is left behind.

    Args:
        jobs: makes them; they are run in turn. What they raise is left to the run, which does the same things where errors are seen.
    """
    if not first_time(kind):
        yield
        return
    stop = threading.Event()

    def work() -> None:
        with suppress(Exception):
            for job in jobs():
                if stop.is_set():
                    return
                job()

    thread = threading.Thread(target=work, name="compile-ahead", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def compiling(kind: str, say: Callable[[str], None], takes: str = "10 s") -> Iterator[None]:
    """Within the block a job of a kind compiles what it needs; it is said when no job of this kind came to its end before.

    Args:
        kind: `estimate`, `train`, ... say: gets the line. takes: how long, for the line.
    """
    mark = _mark(kind)
    if first_time(kind):
        say(COMPILING.format(takes))
    yield
    if mark is not None:
        with suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
