"""Says when kernels are about to be compiled, which happens once per version of the program and kind of job. It never compiles itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

COMPILING = "compiling, once per version (about 10 s)"


@contextmanager
def compiling(kind: str, say: Callable[[str], None]) -> Iterator[None]:
    """Within the block a job of a kind compiles what it needs; it is said when no job of this kind came to its end before.

    Args:
        kind: `estimate`, `train`, ... say: gets the line.
    """
    folder = os.environ.get("NUMBA_CACHE_DIR")
    off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    mark = None if folder is None or off else Path(folder) / f"compiled-{kind}"
    if mark is not None and not mark.exists():
        say(COMPILING)
    yield
    if mark is not None:
        with suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
