"""From bytes to commands: total, so that every stream of bytes gives commands and refusals, and never more memory than the limits say.

A message ends with a line feed. It holds commands, separated by semicolons: a header and parameters, which are plain words and numbers,
quoted strings (a quote inside is doubled) and definite-length blocks `#<digits><length><bytes>` (IEEE 488.2, 7.7.6), in which any byte may
stand. It never knows what a command means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from analog_sim.chip.server.errors import ScpiError

TEXT_LIMIT = 1 << 20
"""Bytes of a message outside its blocks."""
REPEATED = 256
"""Bytes of a message up to which its parts are remembered."""
_TOO_LONG = f"a message may have {TEXT_LIMIT} bytes outside its blocks"
_SPECIAL = re.compile(rb"[\"'#\n]")
_BLANK = re.compile(rb"[ \t\r]*")
_HEADER = re.compile(rb"\*?:?[A-Za-z][A-Za-z0-9_:]*\??")
_PLAIN = re.compile(rb"[^,;\"'\s][^,;\"']*")


@dataclass(frozen=True)
class MessageText:
    """A string in quotes."""

    value: str


Parameter = str | MessageText | memoryview
"""A plain word or number, a string, a block's bytes."""


@dataclass(frozen=True)
class MessageUnit:
    """One command of a message.

    Attributes:
        header: in capitals, a query's with its question mark. parameters: in order.
    """

    header: str
    parameters: Sequence[Parameter]


@dataclass(frozen=True)
class Message:
    """One whole message.

    Attributes:
        data: its bytes without the line feed. blocks: place of a block's `#` -> (first byte, end) of its bytes.
    """

    data: bytes | bytearray
    blocks: Mapping[int, tuple[int, int]]


_NO_BLOCKS: Mapping[int, tuple[int, int]] = MappingProxyType({})


class Splitter:
    """Cuts a stream of bytes into messages.

    Args:
        block_limit: bytes that the blocks of one message may hold together.
    """

    def __init__(self, block_limit: int) -> None:
        self._block_limit = block_limit
        self._buffer = bytearray()
        self._refusal: ScpiError | None = None
        self._swallow = 0
        self._restart()

    def feed(self, data: bytes | memoryview) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def take(self, data: bytearray) -> None:
        """Take bytes as they came, in memory that is the splitter's from now on: nothing is copied when nothing waits."""
        if self._buffer:
            self._buffer += data
        else:
            self._buffer = data

    @property
    def waiting(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    @property
    def clean(self) -> bool:
        """Nothing of a message has come that is not whole."""
        return not self._buffer and self._refusal is None

    def next(self) -> Message | ScpiError | None:
        """The next message, or why what came was none; None until more bytes came."""
        if not self._place and self._refusal is None:
            # Without a # there is no block, and the message ends at the line feed.
            end = self._buffer.find(b"\n", 0, TEXT_LIMIT)
            text = bytes(self._buffer[:end]) if end >= 0 else b"#"
            if b"#" not in text and not text.count(b'"') % 2 and not text.count(b"'") % 2:
                del self._buffer[: end + 1]
                return Message(text, _NO_BLOCKS)
        while True:
            if self._refusal is not None:
                return self._throw_away()
            if len(self._buffer) < self._place:  # in the middle of a block
                return None
            found = self._scan()
            if found is not None:
                return found
            if self._refusal is None:
                return None

    def _restart(self) -> None:
        self._place, self._in_blocks, self._quote = 0, 0, b""
        self._blocks: dict[int, tuple[int, int]] = {}

    def _throw_away(self) -> ScpiError | None:
        """Drop the rest of a refused message: the bytes of its block, then up to the line feed."""
        count = min(self._swallow, len(self._buffer))
        del self._buffer[:count]
        self._swallow -= count
        if self._swallow:
            return None
        end = self._buffer.find(b"\n")
        if end < 0:
            self._buffer.clear()
            return None
        del self._buffer[: end + 1]
        refusal, self._refusal = self._refusal, None
        self._restart()
        return refusal

    def _refuse(self, code: int, detail: str, place: int, swallow: int = 0) -> None:
        self._refusal, self._swallow = ScpiError(code, detail), swallow
        del self._buffer[:place]

    def _scan(self) -> Message | None:
        buffer = self._buffer
        while (found := _SPECIAL.search(buffer, self._place)) is not None:
            sign, at = found.group(), found.start()
            self._place = at + 1
            if sign == b"\n":
                if self._quote:
                    self._refuse(-151, "a quoted string has no end", at)
                    return None
                if at - self._in_blocks > TEXT_LIMIT:
                    self._refuse(-363, _TOO_LONG, at)
                    return None
                if 2 * at > len(buffer):  # most of what has come: hand it over and keep the rest
                    self._buffer = buffer[at + 1 :]
                    del buffer[at:]
                    message = Message(buffer, self._blocks)
                else:
                    message = Message(buffer[:at], self._blocks)
                    del buffer[: at + 1]
                self._restart()
                return message
            if self._quote:
                self._quote = b"" if sign == self._quote else self._quote
            elif sign != b"#":
                self._quote = sign
            elif not self._block(at):
                return None
        if self._place <= len(buffer):
            self._place = len(buffer)
            if len(buffer) - self._in_blocks > TEXT_LIMIT:
                self._refuse(-363, _TOO_LONG, len(buffer))
        return None

    def _block(self, at: int) -> bool:
        """Note the block whose `#` is at `at`; False when more bytes are needed or it was refused."""
        head = bytes(self._buffer[at + 1 : at + 11])
        if not head:
            self._place = at
            return False
        if not head[:1].isdigit():
            return True  # a number of another base; what reads it decides
        digits = int(head[:1])
        if digits == 0:
            self._refuse(-161, "blocks of indefinite length (#0) have no end on a socket", at + 1)
            return False
        length = head[1 : 1 + digits]
        if length and not length.isdigit():
            self._refuse(-161, "the length of a block is not a number", at + 1)
            return False
        if len(length) < digits:
            self._place = at
            return False
        size, begin = int(length), at + 2 + digits
        self._in_blocks += size
        if self._in_blocks > self._block_limit:
            self._refuse(-223, f"the blocks of a message may hold {self._block_limit} bytes", begin, size)
            return False
        self._blocks[at] = (begin, begin + size)
        self._place = begin + size
        return self._place <= len(self._buffer)


def units_of(message: Message) -> Sequence[MessageUnit]:
    """The commands of a message. Raises ScpiError when one is malformed: then none of them is carried out."""
    if isinstance(message.data, bytes) and len(message.data) <= REPEATED:
        return _again(message.data)
    return _units(message)


@lru_cache(maxsize=256)
def _again(text: bytes) -> Sequence[MessageUnit]:
    """The commands of a message without blocks; software says the same short things over and over."""
    return _units(Message(text, _NO_BLOCKS))


def _units(message: Message) -> Sequence[MessageUnit]:
    data, place, units = message.data, 0, []
    while place < len(data):
        place = _blank(data, place)
        if data[place : place + 1] == b";":
            place += 1
            continue
        if place == len(data):
            break
        header = _HEADER.match(data, place)
        if header is None:
            raise ScpiError(-101, f"no command begins with {data[place : place + 8]!r}")
        parameters, place = _parameters(message, header.end())
        units.append(MessageUnit(header.group().decode().upper(), tuple(parameters)))
    return units


def _parameters(message: Message, place: int) -> tuple[list[Parameter], int]:
    data, found = message.data, []
    begin, place = place, _blank(message.data, place)
    if place < len(data) and data[place] != ord(";") and begin == place:
        raise ScpiError(-103, f"a blank is needed between a header and {data[place : place + 8]!r}")
    while place < len(data) and data[place] != ord(";"):
        parameter, place = _parameter(message, place)
        found.append(parameter)
        place = _blank(data, place)
        if data[place : place + 1] == b",":
            place = _blank(data, place + 1)
            if place == len(data) or data[place] == ord(";"):
                raise ScpiError(-109, "nothing stands behind the last comma")
        elif place < len(data) and data[place] != ord(";"):
            raise ScpiError(-103, f"a comma is needed before {data[place : place + 8]!r}")
    return found, place


def _parameter(message: Message, place: int) -> tuple[Parameter, int]:
    data = message.data
    if place in message.blocks:
        begin, end = message.blocks[place]
        return memoryview(data)[begin:end], end
    if data[place : place + 1] in (b'"', b"'"):
        return _string(data, place)
    plain = _PLAIN.match(data, place)
    if plain is None:
        raise ScpiError(-109, "a parameter is empty")
    if b"#" in plain.group()[1:]:
        raise ScpiError(-103, "a comma is needed before a block")
    return plain.group().decode("latin-1").strip(), plain.end()


def _string(data: bytes | bytearray, place: int) -> tuple[MessageText, int]:
    quote, place, parts = data[place : place + 1], place + 1, []
    while True:
        end = data.find(quote, place)
        if end < 0:
            raise ScpiError(-151, "a quoted string has no end")
        parts.append(data[place:end])
        place = end + 1
        if data[place : place + 1] != quote:
            return MessageText(quote.join(parts).decode("utf-8", "replace")), place
        place += 1


def _blank(data: bytes | bytearray, place: int) -> int:
    found = _BLANK.match(data, place)
    return place if found is None else found.end()
