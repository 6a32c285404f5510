"""What a connection sends: nothing once it was aborted, though it hears of that only later."""

import asyncio
import socket
from collections.abc import Iterator
from typing import cast

import pytest

from analog_sim.chip.server.serve import Paced


class Aborted:
    """A transport between `abort` and `connection_lost`."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.written: list[object] = []

    def get_extra_info(self, name: str) -> socket.socket:
        return self.end

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def writelines(self, parts: list[object]) -> None:
        self.written += parts


class Channel(Paced):
    """The least that is one."""

    def _work(self) -> None:
        pass


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        other, _ = server.accept()
        with other:
            yield one, other


def test_an_aborted_connection_is_sent_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    """Python 3.12 and 3.13.0 would register its number for writing for good, and the next client that got that number was hung up on."""
    transport, channel = Aborted(ends[0]), Channel()
    channel.set_up(cast(asyncio.BaseTransport, transport))
    channel.send([b"answer"])
    assert not transport.written
    ends[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        ends[1].recv(1)
