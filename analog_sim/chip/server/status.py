"""Registers and the error queue of one client (IEEE 488.2, chapter 11; SCPI-99, volume 2, chapter 21.8). Knows no command."""

from __future__ import annotations

from collections import deque

from analog_sim.chip.server.errors import ScpiError

QUEUE = 32
"""Errors that are kept; the last place then says that more came."""
DONE, POWER_ON = 1, 128
"""Bits of the standard event register: operation complete, power on."""


class Status:
    """Status of one client's session; another client's mistakes do not show in it.

    Attributes:
        enabled_events: *ESE. enabled_service: *SRE.
    """

    def __init__(self) -> None:
        self._events = POWER_ON
        self._errors: deque[ScpiError] = deque()
        self.enabled_events = 0
        self.enabled_service = 0

    def add(self, error: ScpiError) -> None:
        """An error goes into the queue, and its bit into the event register."""
        self._events |= error.event
        if len(self._errors) >= QUEUE:
            self._errors[-1] = ScpiError(-350)
        else:
            self._errors.append(error)

    def next_error(self) -> tuple[int, str]:
        """The oldest error, which leaves the queue; (0, "No error") when there is none."""
        if not self._errors:
            return 0, "No error"
        error = self._errors.popleft()
        return error.code, error.text

    @property
    def errors(self) -> int:
        """Errors in the queue."""
        return len(self._errors)

    def complete(self) -> None:
        """*OPC: all is done, because commands are carried out in order."""
        self._events |= DONE

    def events(self) -> int:
        """*ESR?: the event register, which is cleared by reading it."""
        events, self._events = self._events, 0
        return events

    def byte(self) -> int:
        """*STB?: bit 2 errors wait, bit 5 an enabled event, bit 6 a reason for service."""
        value = (4 if self._errors else 0) | (32 if self._events & self.enabled_events else 0)
        return value | (64 if value & self.enabled_service & ~64 else 0)

    def clear(self) -> None:
        """*CLS."""
        self._events = 0
        self._errors.clear()
