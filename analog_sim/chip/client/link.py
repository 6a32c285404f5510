"""Commands to a served chip and their reports, in order. Writes are not waited for: their reports are read with the next answer."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analog_sim.chip.client.wire import Wire
from analog_sim.chip.server.memory import WORTH, SharedArea, offered
from analog_sim.config import UserError

WAITING = 32
"""Reports that may be outstanding."""
BLOCK_BYTES = 1 << 15
"""Commands about time are collected up to so many bytes before they are sent."""
_REPORT = re.compile(r'(-?\d+),"((?:[^"]|"")*)",(\d+),([^,]+),([^,]+),([^,]+)')
_OUT_OF_RANGE = (-222, -223)


class LinkReport(NamedTuple):
    """What the chip says of an operation: units, chip seconds, joules, chip time after it."""

    units: int
    seconds: float
    joules: float
    now: float


Part = bytes | memoryview
Heard = Callable[[LinkReport], None]


def block(values: np.ndarray) -> list[Part]:
    """Numbers as a definite-length block, little-endian."""
    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    length = b"%d" % data.nbytes
    if len(length) > 9:
        raise ValueError(f"a block of {data.nbytes} bytes is longer than the standard allows")
    return [b"#%d%s" % (len(length), length), data.reshape(-1).view(np.uint8).data if data.size else b""]


class Link:
    """A connection that speaks the commands of `analog_sim.chip.server.commands`.

    Args:
        wire: the connection.

    Attributes:
        identity: answer to *IDN?. real_time: chip time is the wall's. block_bytes, pulses, wait: limits. headers: commands it knows.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._collected: list[Part] = [b"FORM REAL;:FORM:BORD SWAP\n"]
        self._waiting: deque[Heard] = deque()
        self._failed: Exception | None = None
        self._memory: SharedArea | None = None
        self._lent = False  # a write that may not be done yet has numbers in the shared memory
        self._now: float | None = None
        self.identity = self._identity()
        self.real_time = self.query("TIME:MODE?") == "REAL"
        limits = self.query("SYST:LIM?").split(",")
        self.block_bytes, self.pulses, self.wait = int(limits[0]), int(limits[3]), float(limits[4])
        self.headers = frozenset(self._text("SYST:HELP:HEAD?").split())
        if self._wire.here:
            self._share()

    def _identity(self) -> str:
        """What it calls itself. Raises UserError for an instrument that does but knows nothing of reports."""
        self._collected.append(b"*IDN?\nSYST:REP?\n")
        self._send()
        name = self._wire.line()
        try:
            self._take(None)
        except UserError as error:
            raise UserError(
                f"{error}; it calls itself {name[:60]!r}, but is no served chip; other instruments: `chip: {{kind: visa}}` (docs/chips.md)"
            ) from error
        self._raise()
        return name

    def _share(self) -> None:
        """Share memory with the server, if it is on this machine and this user's."""
        offer = offered()
        if offer is None:
            return
        memory, fd = offer
        try:
            self.query(f"SYST:MEM? {os.getpid()},{fd}")
            self._memory = memory
        except (UserError, ValueError):
            return  # an older server, another user's, another machine behind a tunnel: the socket does it too
        finally:
            os.close(fd)

    def shares(self, count: int) -> bool:
        """Whether so many bytes go through shared memory."""
        return self._memory is not None and WORTH <= count <= self._memory.half

    def numbers(self, values: np.ndarray, answer: int) -> list[Part]:
        """Numbers, float32 of a read: their place in shared memory where that pays and has room, else a block. answer: bytes of it."""
        memory = self._memory
        if memory is None or max(values.nbytes, answer) > memory.half or values.nbytes + answer < WORTH:
            return block(values)
        if self._lent:
            self._send()
            self._hear()
            self._lent = False
        memory.put(values, 0)
        return [b"@0:%d" % values.nbytes]

    def lent(self, values: np.ndarray) -> list[Part]:
        """The same for a write, which is not waited for: its numbers stay where they are until its report was heard."""
        parts = self.numbers(values, 0)
        self._lent = self._lent or len(parts) == 1
        return parts

    @property
    def where(self) -> str:
        """The address."""
        return self._wire.where

    @property
    def closed(self) -> bool:
        """The connection has ended."""
        return self._wire.closed

    def note(self, command: str) -> None:
        """A command about chip time; sent with the next one."""
        self._now = None
        self._collected.append(command.encode() + b"\n")
        if len(self._collected) > BLOCK_BYTES // 16:
            self._send()

    def write(self, parts: list[Part], heard: Heard) -> None:
        """An operation without an answer; `heard` is called with its report before the next answer is given."""
        self._now = None
        self._collected += [*parts, b"\nSYST:REP?\n"]
        self._waiting.append(heard)
        self._send()
        if len(self._waiting) >= WAITING:
            self.settle()

    def read(self, parts: list[Part], heard: Heard) -> np.ndarray:
        """An operation with an answer. Raises ValueError or UserError as the chip refused it, or one before it."""
        self._collected += [*parts, b"\nSYST:REP?\n"]
        self._send()
        self._hear()
        answer = None
        if self._memory is not None and self._wire.at_memory():
            begin, count = (int(part) for part in self._wire.line()[1:].split(":"))
            answer = self._memory.take(begin, count)
        elif self._wire.at_block():
            answer = self._wire.block()
        self._take(heard)
        self._raise()
        assert answer is not None
        return answer

    def query(self, command: str) -> str:
        """A line. Raises UserError when the chip refuses."""
        self._collected.append(command.encode() + b"\nSYST:REP?\n")
        self._send()
        self._hear()
        first = self._wire.line()
        report = _REPORT.fullmatch(first)
        if report is None:
            self._take(None)
            self._raise()
            return first
        self._judge(report, None)
        self._raise()
        raise UserError(f"{self.where}: no answer to {command}")

    def _text(self, command: str) -> str:
        """Text that comes in a block. Raises UserError when the chip refuses."""
        self._collected.append(command.encode() + b"\nSYST:REP?\n")
        self._send()
        self._hear()
        answer = self._wire.bytes_of_block().tobytes() if self._wire.at_block() else b""
        self._take(None)
        self._raise()
        return answer.decode("utf-8", "replace")

    def command(self, command: str) -> None:
        """A command without an answer, done when this returns."""
        self._collected.append(command.encode() + b"\nSYST:REP?\n")
        self._send()
        self._hear()
        self._take(None)
        self._raise()

    def settle(self) -> None:
        """Return when all that was sent is done. Raises ValueError or UserError when something was refused."""
        self._send()
        self._hear()
        self._raise()

    def now(self) -> float:
        """Chip time."""
        if self._now is None or self.real_time:
            return float(self.query("TIME?"))
        return self._now

    def close(self) -> None:
        """End the connection."""
        self._wire.close()

    def leave(self) -> None:
        """End the connection when all that was sent is done. Raises ValueError or UserError when something was refused."""
        try:
            if not self.closed:
                self.settle()
        finally:
            self.close()

    def _send(self) -> None:
        if self._collected:
            collected, self._collected = self._collected, []
            self._wire.send(collected)

    def _hear(self) -> None:
        while self._waiting:
            self._take(self._waiting.popleft())

    def _take(self, heard: Heard | None) -> None:
        line = self._wire.line()
        report = _REPORT.fullmatch(line)
        if report is None:
            self.close()
            raise UserError(f"{self.where}: it answers as no served chip does ({line[:60]!r})")
        self._judge(report, heard)

    def _judge(self, report: re.Match[str], heard: Heard | None) -> None:
        code, text = int(report[1]), report[2].replace('""', '"')
        said = LinkReport(int(report[3]), float(report[4]), float(report[5]), float(report[6]))
        self._now = said.now
        if code == 0:
            if heard is not None:
                heard(said)
        elif self._failed is None:
            detail = text.partition(";")[2] or text
            refused = f"{self.where}: {detail} (error {code})"
            self._failed = ValueError(detail) if code in _OUT_OF_RANGE else UserError(refused)

    def _raise(self) -> None:
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
