"""What the arrays of every lab's instrument share: time by the wall, counts, and outputs at zero when anything fails. Knows no command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from analog_sim.chip.clock import Clock
from analog_sim.chip.operation_log import OperationLog
from analog_sim.config import UserError


class Bench:
    """Times and counts the operations of one array.

    Args:
        where: the instrument, for messages. clock: advanced by what operations take. off: puts the outputs to zero, as far as it can.

    Attributes:
        log: operations that ended well.
    """

    def __init__(self, where: str, clock: Clock, off: Callable[[], None]) -> None:
        self.where, self.clock = where, clock
        self._off = off
        self.log = OperationLog()

    @contextmanager
    def operation(self, kind: str, units: int, least: float = 0.0) -> Iterator[None]:
        """One operation, of at least `least` seconds. When it fails in any way, Ctrl-C included, the outputs go to zero.

        Raises:
            UserError: the instrument's software raised something of its own, which may not even be an Exception.
        """
        begun, now = time.monotonic(), self.clock.now
        try:
            yield
        except BaseException as error:
            self.off()
            if isinstance(error, UserError | KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            told = (str(error).splitlines() or [""])[0]
            raise UserError(
                f"{self.where}: {kind} failed: {type(error).__name__}: {told}".removesuffix(": ")
            ) from error
        seconds = max(time.monotonic() - begun, least)
        self.clock.advance(seconds)
        self.log.add(kind, now, units=units, seconds=seconds)

    def off(self) -> None:
        """Outputs to zero, whatever becomes of it: the connection may be what failed."""
        try:
            self._off()
        except BaseException:  # what failed first is what is reported
            return
