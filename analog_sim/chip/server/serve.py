"""The socket: one `Session` for each connection, several at a time in one thread. A client never makes another one wait for its network."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.messages import TEXT_LIMIT, Splitter
from analog_sim.chip.server.session import Session
from analog_sim.chip.server.table import carry_out
from analog_sim.chip.server.wall_clock import WallClock
from analog_sim.config import UserError

HIGH_WATER = 1 << 20
"""Bytes of answers that a client may leave unread; beyond, its commands wait."""
RECEIVED = 1 << 17
"""Bytes received at a time."""
TOGETHER = 1 << 16
"""Bytes of answers to messages that came together from which they are sent; a client then wakes once for all of them."""
MOST_PARTS = 1024
"""Parts that a system gathers at a time (IOV_MAX of Linux and macOS)."""
_GATHERS = hasattr(os, "writev")
_QUICK = getattr(socket, "TCP_QUICKACK", None)
_KEEP = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""A client whose machine has died gives up the writer's place after about 25 s."""


class Paced(asyncio.BufferedProtocol, ABC):
    """A connection whose commands wait while its answers are not read."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._room = memoryview(bytearray(RECEIVED))
        self._held = False
        self._later: asyncio.TimerHandle | None = None

    def set_up(self, transport: asyncio.BaseTransport) -> asyncio.Transport:
        """Set what makes short messages quick, bounds what is unread and makes dead clients known."""
        self._transport = opened = cast(asyncio.Transport, transport)
        opened.set_write_buffer_limits(high=HIGH_WATER)
        self._socket: Any = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP:
            if hasattr(socket, name):
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return opened

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Send parts; the system gathers what the connection takes at once, without a copy."""
        opened = self._transport
        # Python 3.12 and 3.13.0 would wait for room on a connection that was aborted, and leave its number behind for the next one.
        if opened is None or opened.is_closing():
            return
        if _GATHERS and not opened.get_write_buffer_size() and len(parts) <= MOST_PARTS:
            try:
                sent = os.writev(self._socket.fileno(), parts)
            except OSError:
                sent = 0  # it takes nothing now, or has ended: the transport finds out which
            parts = _behind(parts, sent)
        if parts:
            opened.writelines(parts)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where bytes are received: always the same memory, because new memory costs more than the bytes."""
        return self._room

    def pause_writing(self) -> None:
        """The client does not read its answers: its commands wait, nobody else's."""
        self._held = True

    def resume_writing(self) -> None:
        """Go on."""
        self._held = False
        self._work()

    @abstractmethod
    def _work(self) -> None:
        """Carry out the messages that are whole, as far as the client reads."""


def _behind(parts: Sequence[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
    """What is left of parts when so many bytes were sent."""
    for at, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[at + 1 :]]
        sent -= len(part)
    return []


class Connection(Paced):
    """One client's connection.

    Args:
        server: what is served.
    """

    def __init__(self, server: Instrument) -> None:
        super().__init__()
        self._server = server
        self._splitter = Splitter(server.chip.limits.block_bytes)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse a client beyond the limit; set what makes short messages quick and dead clients known."""
        opened = self.set_up(transport)
        host = transport.get_extra_info("peername")[0]
        self._session = Session(self._server.chip, self._server.identity, local=host in ("127.0.0.1", "::1"))
        connections = self._server.connections
        if len(connections) >= self._server.chip.limits.clients:
            opened.abort()
            return
        connections.add(self)
        self._acknowledge()

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes and carry out the messages that are whole."""
        self._acknowledge()
        self._splitter.feed(self._room[:nbytes])
        self._work()

    def eof_received(self) -> bool:
        """A client that has ended its side gets no more answers."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Free what the client held."""
        if self._later is not None:
            self._later.cancel()
        self._server.connections.discard(self)
        self._transport = None
        self._session.close()

    def _acknowledge(self) -> None:
        # Clients that leave Nagle's algorithm on wait for the acknowledgement of the first part of a message before they send the rest;
        # a delayed one costs them 40 ms. Linux forgets the option, so it is set after each receive.
        if _QUICK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK, 1)

    def _work(self) -> None:
        answers: list[bytes | memoryview] = []
        size = 0
        while self._transport is not None and not self._held and self._later is None:
            message = self._splitter.next()
            if message is None:
                break
            answer = carry_out(self._session, message)
            answers += answer
            size += sum(len(part) for part in answer)
            self._catch_up()
            if size > TOGETHER or self._later is not None:
                self.send(answers)
                answers, size = [], 0
        if answers:
            self.send(answers)
        if self._transport is not None:
            full = self._splitter.waiting > self._server.chip.limits.block_bytes + 2 * TEXT_LIMIT
            if full or self._held:
                self._transport.pause_reading()
            elif not self._transport.is_reading():
                self._transport.resume_reading()

    def _catch_up(self) -> None:
        """In real time a client waits until the chip has done what it asked for."""
        clock = self._server.chip.fabric.clock
        if isinstance(clock, WallClock) and clock.ahead > 1e-3:
            self._later = asyncio.get_running_loop().call_later(clock.ahead, self._go_on)

    def _go_on(self) -> None:
        self._later = None
        self._work()


class Instrument:
    """A chip at an address.

    Args:
        chip: what is served. identity: answer to *IDN?.

    Attributes:
        connections: open ones.
    """

    def __init__(self, chip: ServedChip, identity: str) -> None:
        self.chip, self.identity = chip, identity
        self.connections: set[Connection] = set()

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen. Raises UserError when the address is not available."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(lambda: Connection(self), host, port)
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port} ({error.strerror or error})") from error

    def drop_all(self) -> None:
        """End all connections."""
        for connection in list(self.connections):
            if connection._transport is not None:
                connection._transport.abort()


@contextmanager
def in_thread(
    starts: Sequence[Callable[[], Awaitable[asyncio.Server]]], end: Callable[[], None]
) -> Iterator[list[int]]:
    """Run servers in a thread of this process, for tests and benchmarks; gives their ports.

    Args:
        starts: each begins to listen. end: ends their connections; called in the thread.
    """
    loop = asyncio.new_event_loop()
    servers: list[asyncio.Server] = [loop.run_until_complete(_started(start)) for start in starts]
    thread = threading.Thread(target=loop.run_forever, name="instrument", daemon=True)
    thread.start()
    try:
        yield [server.sockets[0].getsockname()[1] for server in servers]
    finally:

        async def ended() -> None:
            for server in servers:
                server.close()
            end()
            await asyncio.sleep(0)
            loop.stop()

        asyncio.run_coroutine_threadsafe(ended(), loop)
        thread.join(60.0)
        if not loop.is_running():  # else it is still busy, and what failed meanwhile matters more
            loop.close()


async def _started(start: Callable[[], Awaitable[asyncio.Server]]) -> asyncio.Server:
    return await start()


@contextmanager
def running(chip: ServedChip, identity: str = "analog-hil,test,0,0", port: int = 0) -> Iterator[int]:
    """Serve a chip on the loopback from a thread of this process; gives the port."""
    instrument = Instrument(chip, identity)
    with in_thread([lambda: instrument.start("127.0.0.1", port)], instrument.drop_all) as ports:
        yield ports[0]
