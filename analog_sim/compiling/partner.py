"""What two processes that compile kernels tell each other: which kernel each begins and ends. It starts no process."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO

PATIENCE = 60.0
"""Seconds after which the other side is waited for no longer: what stops it must not stop this process."""

BEGUN, KEPT, GIVEN_UP = b"+", b"=", b"-"


class Partner:
    """One end of the line between the two processes.

    Args:
        heard, said: pipes from and to the other one. ended: is called, in another thread, once the other one is gone.
    """

    def __init__(self, heard: IO[bytes], said: IO[bytes], ended: Callable[[], None]) -> None:
        self._heard, self._said, self._ended = heard, said, ended
        self._news = threading.Condition()
        self._at_work: set[str] = set()
        self._kept: set[str] = set()
        self._here: list[str] = []
        threading.Thread(target=self._listen, name="second-compiler", daemon=True).start()

    def has(self, kernel: str) -> bool:
        """Whether the other one is compiling a kernel, or has done so."""
        with self._news:
            return kernel in self._at_work or kernel in self._kept

    def made(self, kernel: str) -> bool:
        """Wait while the other one compiles a kernel; whether it did so.

        The two never wait for each other: a kernel is waited for by one that calls it, and none calls itself.
        """
        with self._news:
            if kernel in self._at_work:
                self._news.wait_for(lambda: kernel not in self._at_work, PATIENCE)
            return kernel in self._kept

    def begin(self, kernel: str) -> None:
        """Tell that a kernel is being compiled here."""
        self._here.append(kernel)
        self._say(BEGUN, kernel)

    def kept(self, kernel: str) -> None:
        """Tell that a kernel is compiled and in the cache."""
        if kernel in self._here:
            self._here.remove(kernel)
            self._say(KEPT, kernel)

    def give_up(self) -> None:
        """Tell that what is not finished here will not be."""
        while self._here:
            self._say(GIVEN_UP, self._here.pop())

    def _say(self, sign: bytes, kernel: str) -> None:
        with suppress(OSError, ValueError):  # the other one is gone
            self._said.write(sign + kernel.encode() + b"\n")
            self._said.flush()

    def _listen(self) -> None:
        with suppress(OSError, ValueError), self._heard:
            for line in self._heard:
                sign, kernel = line[:1], line[1:-1].decode()
                with self._news:
                    (self._at_work.add if sign == BEGUN else self._at_work.discard)(kernel)
                    if sign == KEPT:
                        self._kept.add(kernel)
                    self._news.notify_all()
        with self._news:
            self._at_work.clear()
            self._news.notify_all()
        self._ended()
