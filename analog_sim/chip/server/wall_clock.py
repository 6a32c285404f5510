"""Chip time that follows the wall clock. What takes the chip longer than it took this computer pushes its time ahead, and clients wait."""

from __future__ import annotations

import time

from analog_sim.chip.clock import Clock


class WallClock(Clock):
    """Seconds since fabrication, of the wall.

    Args:
        now: where it starts.
    """

    def __init__(self, now: float = 0.0) -> None:
        super().__init__(now)
        self._start = time.monotonic() - now

    @property
    def now(self) -> float:
        """Chip time in seconds: the wall's, or when what the chip does is done."""
        return max(self._now, time.monotonic() - self._start)

    def advance(self, seconds: float) -> None:
        """The chip is busy for `seconds` from now on."""
        if not self._frames:
            self._now = self.now
        super().advance(seconds)

    def restore(self, now: float) -> None:
        """Go on from a chip time."""
        super().restore(now)
        self._start = time.monotonic() - now

    @property
    def ahead(self) -> float:
        """Seconds until the wall has caught up with the chip."""
        return self.now - (time.monotonic() - self._start)
