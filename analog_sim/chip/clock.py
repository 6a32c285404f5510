"""Chip time. One clock is shared by everything on a chip; arrays that work at the same time advance it once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

LONGEST = 1e12
"""Seconds that can pass at once, thirty thousand years: what is more is a mistake, and no law of a card was measured for it."""


def check_seconds(seconds: float) -> None:
    """Raise ValueError for a time that cannot pass: negative, longer than `LONGEST`, or not a number."""
    if not isinstance(seconds, int | float | np.integer | np.floating):
        raise ValueError(f"seconds must be a number (got {seconds!r})")
    if not 0.0 <= seconds <= LONGEST:
        raise ValueError(
            f"seconds must be from 0 to {LONGEST:g}: chip time cannot run backwards or without end (got {seconds})"
        )


class Clock:
    """Seconds since fabrication."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        # Open frames, innermost last.
        self._frames: list[Frame] = []

    @property
    def now(self) -> float:
        """Chip time in seconds; inside a frame, the time at which the outermost one was opened."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; inside a frame they count as the frame says."""
        if type(seconds) is not float or not 0.0 <= seconds <= LONGEST:  # the usual case needs no call
            check_seconds(seconds)
        if self._frames:
            frame = self._frames[-1]
            frame.seconds = frame.join(frame.seconds, seconds)
        else:
            self._now += seconds

    def restore(self, now: float) -> None:
        """Set the time of a checkpoint."""
        self._now = now

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Whatever is done to the clock inside is undone at the end, and open frames do not see it."""
        now, frames = self._now, list(self._frames)
        self._frames.clear()
        try:
            yield
        finally:
            self._now, self._frames[:] = now, frames

    def parallel(self) -> Frame:
        """Operations (or `sequence` frames) inside run at the same time: the longest counts."""
        return Frame(self._frames, self.advance, max)

    def sequence(self) -> Frame:
        """Operations inside run one after the other, as one operation of the frame around."""
        return Frame(self._frames, self.advance, operator.add)


class Frame:
    """Operations that count as one, for a `with` statement.

    Args:
        open_frames: the clock's, innermost last.
        advance: told how long the frame took, when it closes.
        join: how a frame adds the duration of an operation to the joint duration so far.
    """

    __slots__ = ("_advance", "_open", "join", "seconds")

    def __init__(
        self, open_frames: list[Frame], advance: Callable[[float], None], join: Callable[[float, float], float]
    ) -> None:
        self._open, self._advance, self.join = open_frames, advance, join
        self.seconds = 0.0

    def __enter__(self) -> Frame:
        self._open.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._advance(self._open.pop().seconds)
