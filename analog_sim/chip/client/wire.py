"""Bytes to and from an instrument: lines and definite-length blocks. Knows no command."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from analog_sim.config import UserError

CHUNK = 1 << 16
LONGEST_LINE = 1 << 20


class Transport(Protocol):
    """Bytes to and from an instrument. Errors are OSError; TimeoutError when an answer took too long."""

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send all of them."""
        ...

    def receive_into(self, view: memoryview) -> int:
        """Take what comes next, at most len(view) bytes; 0 when the other side has hung up."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class SocketTransport:
    """A TCP connection.

    Args:
        host, port: of the instrument. timeout: seconds that an answer may take.

    Raises:
        OSError: nobody listens there.
    """

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send all of them."""
        self._socket.sendall(b"".join(parts))

    def receive_into(self, view: memoryview) -> int:
        """Take what comes next."""
        return self._socket.recv_into(view)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class Wire:
    """A connection.

    Args:
        where: its address, for messages. connected: makes the connection. timeout: seconds that an answer may take.
        here: the other side is on this machine.

    Raises:
        UserError: nobody listens there, or nobody answers in time.
    """

    def __init__(self, where: str, connected: Callable[[], Transport], timeout: float, *, here: bool = False) -> None:
        self.where = where
        self.here = here
        self._timeout = timeout
        self._buffer = bytearray()
        self._room = memoryview(bytearray(CHUNK))
        self.closed = False
        try:
            self._transport = connected()
        except TimeoutError as error:
            raise UserError(f"{self.where}: no answer within {timeout:g} s") from error
        except OSError as error:
            raise UserError(f"{self.where}: cannot be reached ({error.strerror or error})") from error

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send all parts. Raises UserError when the connection is lost."""
        try:
            self._transport.send(parts)
        except OSError as error:
            raise self._lost(error) from error

    def line(self) -> str:
        """The next line."""
        place = 0
        while (end := self._buffer.find(b"\n", place)) < 0:
            place = len(self._buffer)
            if place > LONGEST_LINE:
                raise self._lost("it sends a line without an end")
            self._more()
        text = bytes(self._buffer[:end]).decode("utf-8", "replace")
        del self._buffer[: end + 1]
        return text

    def at_memory(self) -> bool:
        """Whether the place of numbers in shared memory comes next."""
        while not self._buffer:
            self._more()
        return self._buffer[:1] == b"@"

    def at_block(self) -> bool:
        """Whether a block comes next."""
        while not self._buffer:
            self._more()
        return self._buffer[:1] == b"#"

    def block(self) -> np.ndarray:
        """The little-endian float32 numbers of a block that comes next, and the line feed behind it."""
        data = self.bytes_of_block()
        if data.size % 4:
            raise self._lost("it sends a malformed block")
        return data.view("<f4")

    def bytes_of_block(self) -> np.ndarray:
        """The bytes of a block that comes next, and the line feed behind it."""
        while len(self._buffer) < 2 or len(self._buffer) < 2 + self._buffer[1] - ord("0"):
            self._more()
        digits = self._buffer[1] - ord("0")
        head = bytes(self._buffer[2 : 2 + digits])
        if not head.isdigit():
            raise self._lost("it sends a malformed block")
        data = np.empty(int(head), np.uint8)
        view = data.data
        have = min(len(view), len(self._buffer) - 2 - digits)
        view[:have] = self._buffer[2 + digits : 2 + digits + have]
        del self._buffer[: 2 + digits + have]
        while have < len(view):
            have += self._receive_into(view[have:])
        if self.line():
            raise self._lost("it sends more than a block")
        return data

    def close(self) -> None:
        """End the connection."""
        self.closed = True
        self._transport.close()

    def _more(self) -> None:
        count = self._receive_into(self._room)
        self._buffer += self._room[:count]

    def _receive_into(self, view: memoryview) -> int:
        try:
            count = self._transport.receive_into(view)
        except TimeoutError as error:
            self.close()
            raise UserError(f"{self.where}: no answer within {self._timeout:g} s") from error
        except OSError as error:
            raise self._lost(error) from error
        if not count:
            raise self._lost("it hung up")
        return count

    def _lost(self, why: OSError | str) -> UserError:
        self.close()
        return UserError(
            f"{self.where}: the connection was lost ({why if isinstance(why, str) else why.strerror or why})"
        )


def socket_wire(host: str, port: int, timeout: float) -> Wire:
    """A connection by TCP. Raises UserError."""
    here = host in ("127.0.0.1", "localhost", "::1")
    return Wire(f"scpi://{host}:{port}", partial(SocketTransport, host, port, timeout), timeout, here=here)
