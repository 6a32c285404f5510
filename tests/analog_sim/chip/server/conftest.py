"""A small served chip, and a bare socket to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import Limits, ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.random.streams import Streams
from devices.card import load_card

LIMITS = Limits(block_bytes=1 << 20, cells=4096, arrays=16, clients=8)


class Terminal:
    """Lines to and from a server, without any of our client."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60.0)
        self.file = self.socket.makefile("rwb")

    def write(self, text: str | bytes) -> None:
        self.file.write((text.encode() if isinstance(text, str) else text) + b"\n")
        self.file.flush()

    def ask(self, text: str | bytes) -> str:
        self.write(text)
        return self.file.readline().decode().rstrip("\n")

    def errors(self) -> list[int]:
        found = []
        while (code := int(self.ask("SYST:ERR?").split(",")[0])) != 0:
            found.append(code)
        return found

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture(scope="session")
def cell() -> CellModel:
    return load_card("ecram").compile()


@pytest.fixture
def chip(cell: CellModel) -> ServedChip:
    served = ServedChip(SealedFabric(EmulatedFabric(cell, Streams(3).child("chip"), Clock())), LIMITS)
    served.define("w", 2, 3, True, 0)
    return served


@pytest.fixture
def port(chip: ServedChip) -> Iterator[int]:
    with running(chip) as number:
        yield number


@pytest.fixture
def terminal(port: int) -> Iterator[Terminal]:
    it = Terminal(port)
    yield it
    it.close()
