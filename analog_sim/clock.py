"""Chip time. One clock is shared by everything on a chip; arrays that work at the same time advance it once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Seconds since fabrication."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        # Open frames, innermost last: how a frame joins the durations of its operations, and the joint duration so far.
        self._frames: list[tuple[Callable[[float, float], float], float]] = []

    @property
    def now(self) -> float:
        """Chip time in seconds; inside a frame, the time at which the outermost one was opened."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; inside a frame they count as the frame says."""
        if not seconds >= 0.0:
            raise ValueError(f"chip time cannot run backwards (got {seconds} s)")
        if self._frames:
            join, sofar = self._frames[-1]
            self._frames[-1] = join, join(sofar, seconds)
        else:
            self._now += seconds

    def restore(self, now: float) -> None:
        """Set the time of a checkpoint."""
        self._now = now

    @contextmanager
    def parallel(self) -> Iterator[None]:
        """Operations (or `sequence` frames) inside run at the same time: the longest counts."""
        with self._frame(max):
            yield

    @contextmanager
    def sequence(self) -> Iterator[None]:
        """Operations inside run one after the other, as one operation of the frame around."""
        with self._frame(lambda sofar, seconds: sofar + seconds):
            yield

    @contextmanager
    def _frame(self, join: Callable[[float, float], float]) -> Iterator[None]:
        self._frames.append((join, 0.0))
        try:
            yield
        finally:
            self.advance(self._frames.pop()[1])
