"""The same instrument by HiSLIP (IVI-6.1, revision 1.1): a synchronous channel for messages, another one for status, lock and clear.

Synchronized mode only; encryption and authentication, shared locks and service requests are not offered. Total: whatever bytes come, they
are answered, refused by an error message of the standard, or end the connection, and no more of them is kept than the limits say. A client
that sends a command before it has read the answer to the one before drops the older answer by its number, as the standard says.
"""

from __future__ import annotations

import asyncio
import struct

from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.messages import TEXT_LIMIT, Splitter
from analog_sim.chip.server.serve import Instrument, Paced
from analog_sim.chip.server.session import Session
from analog_sim.chip.server.table import carry_out
from analog_sim.chip.server.wall_clock import WallClock
from analog_sim.config import UserError

_HEAD = struct.Struct("!2sBBIQ")
VENDOR, VERSION = b"AH", 0x0100
"""Two letters of ours; version 1.0 of the protocol, which every client speaks."""
(INITIALIZE, INITIALIZED, FATAL, ERROR, LOCK, LOCKED, DATA, DATA_END, CLEAR_COMPLETE, CLEARED) = range(10)
(REMOTE, REMOTE_DONE, TRIGGER, _, _, MAX_SIZE, MAX_SIZE_IS, ASYNC_INITIALIZE, ASYNC_INITIALIZED, ASYNC_CLEAR) = range(
    10, 20
)
(_, STATUS, STATUS_IS, ASYNC_CLEARED, LOCK_INFO, LOCK_INFO_IS) = range(20, 26)
SHORT = 256
"""Bytes of a payload that is not a message's."""
HEADS = 1 << 12
"""Bytes received at a time between messages: what follows of a long message is then received where it stays, not copied there."""
CHUNK = 1 << 20
"""Bytes of an answer in one message at most, before a client has said what it takes."""


class HislipLink:
    """One client: its session and its two channels.

    Args:
        session: carries commands out. number: of the link.

    Attributes:
        sync, other: the channels. largest: bytes of a message that the client takes. splitter: of the message that is coming in.
    """

    def __init__(self, session: Session, number: int) -> None:
        self.session, self.number = session, number
        self.sync: HislipConnection | None = None
        self.other: HislipConnection | None = None
        self.largest = CHUNK
        self.restart()

    def restart(self) -> None:
        """Forget what came of a message."""
        self.splitter = Splitter(self.session.chip.limits.block_bytes)

    def end(self) -> None:
        """Both channels end together, and what the client held is free."""
        self.session.close()
        for channel in (self.sync, self.other):
            if channel is not None:
                channel.abort()


class Hislip:
    """HiSLIP for an instrument.

    Args:
        instrument: what is served.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.links: dict[int, HislipLink] = {}
        self._next = 0

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen. Raises UserError when the address is not available."""
        try:
            return await asyncio.get_running_loop().create_server(lambda: HislipConnection(self), host, port)
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port} ({error.strerror or error})") from error

    def link(self) -> HislipLink | None:
        """A new client; None when there are as many as may be."""
        if len(self.links) >= self.instrument.chip.limits.clients:
            return None
        self._next = self._next % 0xFFFF + 1
        while self._next in self.links:
            self._next = self._next % 0xFFFF + 1
        made = HislipLink(Session(self.instrument.chip, self.instrument.identity), self._next)
        self.links[self._next] = made
        return made

    def drop_all(self) -> None:
        """End all connections."""
        for link in list(self.links.values()):
            link.end()


class LongPayload:
    """The payload of a message that is coming in, received where it stays.

    Args:
        kind, number, length: of the message. begun: what is there of it.

    Attributes:
        data: its bytes.
    """

    def __init__(self, kind: int, number: int, length: int, begun: bytearray) -> None:
        self.kind, self.number = kind, number
        self.data = bytearray(length + 1)
        del self.data[length:]  # room for a line feed behind it, without moving it
        self.data[: len(begun)] = begun
        self._filled = len(begun)
        self._room: memoryview | None = None

    def room(self) -> memoryview:
        """Where the next bytes go."""
        self._room = memoryview(self.data)[self._filled :]
        return self._room

    def came(self, count: int) -> None:
        """So many bytes came there."""
        if self._room is not None:
            self._room.release()  # asyncio still holds it, and memory that is held cannot change its length
        self._filled += count

    @property
    def whole(self) -> bool:
        """All of it is there."""
        return self._filled == len(self.data)


class HislipConnection(Paced):
    """One channel.

    Args:
        server: what is served.
    """

    def __init__(self, server: Hislip) -> None:
        super().__init__()
        self._server = server
        self._buffer = bytearray()
        self._skip = 0
        self._long: LongPayload | None = None
        self._link: HislipLink | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first message, which says which channel it is."""
        self.set_up(transport)
        self._deadline = asyncio.get_running_loop().call_later(10.0, self._unless_begun)

    def _unless_begun(self) -> None:
        if self._link is None:
            self.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where bytes are received: those of a long message where they stay."""
        return super().get_buffer(sizehint)[:HEADS] if self._long is None else self._long.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes and carry out the messages that are whole."""
        if self._long is None:
            self._buffer += self._room[:nbytes]
        else:
            self._long.came(nbytes)
        self._work()

    def connection_lost(self, error: Exception | None) -> None:
        """The other channel ends too."""
        self._transport = None
        self._deadline.cancel()
        if self._later is not None:
            self._later.cancel()
        link = self._link
        if link is not None and self._server.links.pop(link.number, None) is not None:
            link.end()

    def abort(self) -> None:
        """End this channel at once."""
        if self._transport is not None:
            self._transport.abort()

    def _work(self) -> None:
        while self._transport is not None and not self._held and self._later is None and self._one():
            pass
        if self._transport is not None:
            if self._held or self._later is not None:
                self._transport.pause_reading()
            elif not self._transport.is_reading():
                self._transport.resume_reading()

    def _one(self) -> bool:
        """Take one message, or as much of a long one as is there; False when more bytes are needed."""
        if self._long is not None:
            return self._take_long(self._long)
        buffer = self._buffer
        if self._skip:
            gone = min(self._skip, len(buffer))
            del buffer[:gone]
            self._skip -= gone
            return not self._skip
        if len(buffer) < _HEAD.size:
            return False
        sign, kind, control, number, length = _HEAD.unpack_from(buffer)
        if sign != b"HS":
            self._fatal(1, "not a HiSLIP message")
            return False
        most = SHORT if kind not in (DATA, DATA_END) else self._server.instrument.chip.limits.block_bytes + TEXT_LIMIT
        if length > most:
            self._send(ERROR, 4, 0, f"at most {most} bytes are taken".encode())
            del buffer[: _HEAD.size]
            self._skip = length
            if self._link is not None:
                self._link.restart()
            return True
        if len(buffer) < _HEAD.size + length:
            if kind in (DATA, DATA_END) and self._link is not None and self is self._link.sync:
                self._long = LongPayload(kind, number, length, buffer[_HEAD.size :])
                buffer.clear()
            return False
        end = _HEAD.size + length
        payload = buffer[_HEAD.size : end]
        del buffer[:end]
        if self._link is None:
            self._begin(kind, number)
        elif self is self._link.sync:
            self._on_sync(self._link, kind, number, payload)
        else:
            self._on_async(self._link, kind, control, payload)
        return True

    def _take_long(self, long: LongPayload) -> bool:
        if not long.whole:
            return False
        self._long = None
        assert self._link is not None
        self._on_sync(self._link, long.kind, long.number, long.data)
        return True

    def _begin(self, kind: int, number: int) -> None:
        """The first message: a new client, or the second channel of one."""
        if kind == INITIALIZE:
            link = self._server.link()
            if link is None:
                self._fatal(4, "too many clients")
                return
            self._link, link.sync = link, self
            self._send(INITIALIZED, 0, VERSION << 16 | link.number)
            return
        found = self._server.links.get(number)
        if kind != ASYNC_INITIALIZE or found is None or found.other is not None:
            self._fatal(
                3, "the first message is Initialize, or AsyncInitialize with the number of a link that lacks it"
            )
            return
        self._link, found.other = found, self
        self._send(ASYNC_INITIALIZED, 0, int.from_bytes(VENDOR, "big"))

    def _on_sync(self, link: HislipLink, kind: int, number: int, payload: bytearray) -> None:
        if link.other is None:
            self._fatal(2, "the asynchronous channel is not there yet")
        elif kind in (DATA, DATA_END):
            link.splitter.take(payload)
            self._carry_out(link, number, ended=kind == DATA_END)
        elif kind == CLEAR_COMPLETE:
            link.restart()
            self._send(CLEARED, 0, 0)
        elif kind != TRIGGER:
            self._send(ERROR, 1, 0, b"unrecognized message type")

    def _carry_out(self, link: HislipLink, number: int, *, ended: bool) -> None:
        """Carry out the commands that are whole; at the end of the message send all its answers as one."""
        if not ended:
            return  # answered together when all of it is there
        link.splitter.feed(b"\n")
        parts: list[bytes | memoryview] = []
        while (message := link.splitter.next()) is not None:
            parts += carry_out(link.session, message)
        if not link.splitter.clean:
            carry_out(link.session, ScpiError(-161, "the message ended within a block or a string"))
        link.restart()
        if parts:
            self._answer(link, number, parts)
        clock = link.session.chip.fabric.clock
        if isinstance(clock, WallClock) and clock.ahead > 1e-3:  # in real time a client waits until the chip is done
            self._later = asyncio.get_running_loop().call_later(clock.ahead, self._go_on)

    def _go_on(self) -> None:
        self._later = None
        self._work()

    def _answer(self, link: HislipLink, number: int, parts: list[bytes | memoryview]) -> None:
        size, most = sum(len(part) for part in parts), max(link.largest - _HEAD.size, 1)
        if size <= most:
            self.send([_HEAD.pack(b"HS", DATA_END, 0, number, size), *parts])
            return
        view = memoryview(b"".join(parts))
        for begin in range(0, len(view), most):
            part = view[begin : begin + most]
            self._send(DATA_END if begin + most >= len(view) else DATA, 0, number, part)

    def _on_async(self, link: HislipLink, kind: int, control: int, payload: bytearray) -> None:
        if kind == MAX_SIZE and len(payload) == 8:
            link.largest = min(max(int.from_bytes(payload, "big"), _HEAD.size + 1), 1 << 30)
            ours = self._server.instrument.chip.limits.block_bytes + TEXT_LIMIT
            self._send(MAX_SIZE_IS, 0, 0, ours.to_bytes(8, "big"))
        elif kind == STATUS:
            self._send(STATUS_IS, link.session.status.byte(), 0)
        elif kind == LOCK:
            self._send(LOCKED, _lock(link.session, control, bytes(payload)), 0)
        elif kind == LOCK_INFO:
            taken = link.session.chip.writer is not None
            self._send(LOCK_INFO_IS, int(taken), int(taken))
        elif kind == ASYNC_CLEAR:
            link.restart()
            self._send(ASYNC_CLEARED, 0, 0)
        elif kind == REMOTE:
            self._send(REMOTE_DONE, 0, 0)
        else:
            self._send(ERROR, 1, 0, b"unrecognized message type")

    def _send(self, kind: int, control: int, number: int, payload: bytes | memoryview = b"") -> None:
        self.send([_HEAD.pack(b"HS", kind, control, number, len(payload)), payload])

    def _fatal(self, code: int, text: str) -> None:
        self._send(FATAL, code, 0, text.encode())
        if self._transport is not None:
            self._transport.close()
        self._buffer.clear()


def _lock(session: Session, control: int, shared: bytes) -> int:
    """The writer's place as the lock of the protocol: 1 had or given back, 0 refused (it does not wait), 3 not held or not offered."""
    if shared or control > 1:
        return 3
    if control == 0:
        held = session.chip.writer is session
        session.chip.release(session)
        return 1 if held else 3
    try:
        session.chip.may_write(session)
    except ScpiError:
        return 0
    return 1
