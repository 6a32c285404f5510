"""How far a long job is: a bar where someone watches, whole lines where the output goes to a file. It never decides what is done."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Literal, Protocol, Self

from tqdm import tqdm

Shown = bool | Literal["lines"]
EVERY_S = 30.0
"""Between two lines."""


class Progress(Protocol):
    """A context within which `update` is called once for every unit that is done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...

    def update(self) -> object:
        """One more unit is done."""
        ...


class ProgressLines:
    """`3 of 25 chips, 42 s` on stderr, at most one line in `EVERY_S` seconds, and one at the end.

    Args:
        total, done: units. unit: its name. shown: whether to write anything.
    """

    def __init__(self, total: int, done: int, unit: str, shown: bool) -> None:
        self._total, self._done, self._unit, self._shown = total, done, unit, shown
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self) -> None:
        """One more unit is done."""
        self._done += 1
        now = time.monotonic()
        if self._shown and (self._done == self._total or now - self._last >= EVERY_S):
            self._last = now
            units = f"{self._unit}{'s' if self._total != 1 else ''}"
            print(f"{self._done} of {self._total} {units}, {_span(now - self._start)}", file=sys.stderr, flush=True)


def progress(total: int, *, done: int = 0, unit: str, shown: Shown = True) -> Progress:
    """A bar when stderr is a terminal, else lines.

    Args:
        total, done: units in all, and those done before. unit: its name, in the singular.
        shown: False for nothing; "lines" for lines on a terminal too, because others write there.
    """
    if shown is True and sys.stderr.isatty():
        bar: Progress = tqdm(total=total, initial=done, unit=unit, dynamic_ncols=True, mininterval=0.2)
        return bar
    return ProgressLines(total, done, unit, shown is not False)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
