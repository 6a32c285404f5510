"""Looking again instead of sleeping, for a moment: a processor that has gone to sleep needs some 30 us to wake, each way of a command.

Whoever looks gives its turn away to any other process first, so that what it takes is time in which the processor would have slept.
"""

from __future__ import annotations

import asyncio
import os
import time

import numba

from analog_sim.threads import available_cores

MOMENT = 1e-3
"""Seconds; after a longer pause, 30 us do not matter."""


def give_way() -> None:
    """Let another process have the processor, if one wants it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0.0)


class Awake:
    """Keeps the event loop of a server from sleeping for a moment after the last message, if there is a processor that nobody needs.

    Where the emulator computes on all processors there is none: looking would take the client's turn away. `idle`: there is one.
    """

    def __init__(self, idle: bool | None = None) -> None:
        self._idle = numba.get_num_threads() < available_cores() if idle is None else idle
        self._until = 0.0
        self._looks = False

    def stay(self) -> None:
        """A message was answered: the next one may come at once."""
        self._until = time.monotonic() + MOMENT
        if self._idle and not self._looks:
            self._looks = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._looks = time.monotonic() < self._until
        if self._looks:
            give_way()
            asyncio.get_running_loop().call_soon(self._look)  # the loop looks for messages in between
