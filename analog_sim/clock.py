"""Chip time. One clock is shared by everything on a chip; arrays that work at the same time advance it once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds since fabrication."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._parallel: list[float] | None = None

    @property
    def now(self) -> float:
        """Chip time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; inside `parallel()` only the longest of the operations counts."""
        if seconds < 0.0:
            raise ValueError(f"chip time cannot run backwards (got {seconds} s)")
        if self._parallel is None:
            self._now += seconds
        else:
            self._parallel.append(seconds)

    def restore(self, now: float) -> None:
        """Set the time of a checkpoint."""
        self._now = now

    @contextmanager
    def parallel(self) -> Iterator[None]:
        """Operations inside run at the same time on different arrays. Nests: the outer block wins."""
        if self._parallel is not None:
            yield
            return
        self._parallel = []
        try:
            yield
        finally:
            durations, self._parallel = self._parallel, None
            self._now += max(durations, default=0.0)
