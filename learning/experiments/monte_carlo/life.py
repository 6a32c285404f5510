"""A sign of life of a job whose length nobody knows: what it is at, and for how long. It never decides what is done."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from learning.experiments.monte_carlo.progress import span
from learning.experiments.monte_carlo.screen import Ticker, live_screen


class TerminalLife:
    """Lines of progress, and a sign of life when none came for `EVERY` seconds.

    Use as ``with TerminalLife() as say: work(say)``; `say` prints a line to standard error and names what the signs of life are of.
    On a terminal and in a notebook the sign is one line that counts, in a file it is a line each time.
    """

    EVERY = 4.0

    def __init__(self) -> None:
        self._screen = live_screen()
        self._lock = threading.Lock()
        self._doing = "working"
        self._begun = self._last = time.monotonic()
        self._ticker = Ticker(self._watch, 0.5)

    def __enter__(self) -> Callable[[str], None]:
        self._ticker.start()
        return self._say

    def __exit__(self, *_: object) -> None:
        self._ticker.stop()
        if self._screen is not None:
            self._screen.close("")

    def _say(self, text: str) -> None:
        with self._lock:
            self._doing, self._begun = text, time.monotonic()
            if self._screen is not None:
                self._screen.draw([])
            self._print(text)

    def _print(self, text: str) -> None:
        self._last = time.monotonic()
        print(f"  {text}", file=sys.stderr, flush=True)

    def _watch(self) -> None:
        with self._lock:
            now = time.monotonic()
            if self._screen is not None:
                self._screen.draw([f"  ... {self._doing[:56]}: {span(now - self._begun)}"])
            elif now - self._last >= self.EVERY:
                self._print(f"... {self._doing[:60]}: {span(now - self._begun)}")
