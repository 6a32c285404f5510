"""HiSLIP by PyVISA, unchanged, and by bare sockets: what is malformed, too much, or ends half way is answered or ends the connection."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.hislip import (
    ASYNC_CLEAR,
    ASYNC_CLEARED,
    ASYNC_INITIALIZE,
    ASYNC_INITIALIZED,
    CLEAR_COMPLETE,
    CLEARED,
    DATA,
    DATA_END,
    ERROR,
    FATAL,
    INITIALIZE,
    INITIALIZED,
    LOCK,
    LOCK_INFO,
    LOCK_INFO_IS,
    LOCKED,
    MAX_SIZE,
    MAX_SIZE_IS,
    STATUS,
    STATUS_IS,
    TRIGGER,
    Hislip,
)
from analog_sim.chip.server.serve import Instrument, in_thread

from .conftest import LIMITS, Terminal

HEAD = struct.Struct("!2sBBIQ")


class Channel:
    """Messages to and from a port."""

    opened: list[socket.socket] = []  # noqa: RUF012 - closed after each test

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60.0)
        self.opened.append(self.socket)

    def send(self, kind: int, control: int = 0, number: int = 0, payload: bytes = b"") -> None:
        self.socket.sendall(HEAD.pack(b"HS", kind, control, number, len(payload)) + payload)

    def receive(self) -> tuple[int, int, int, bytes]:
        head = self.exactly(HEAD.size)
        sign, kind, control, number, length = HEAD.unpack(head)
        assert sign == b"HS"
        return kind, control, number, self.exactly(length)

    def exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise ConnectionError("hung up")
            found += part
        return found

    def ask(self, kind: int, control: int = 0, number: int = 0, payload: bytes = b"") -> tuple[int, int, int, bytes]:
        self.send(kind, control, number, payload)
        return self.receive()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while Channel.opened:
        Channel.opened.pop().close()


class Client:
    """Both channels."""

    def __init__(self, port: int) -> None:
        self.sync, self.other = Channel(port), Channel(port)
        kind, control, number, _ = self.sync.ask(INITIALIZE, 0, 0x01000000, b"hislip0")
        assert (kind, control, number >> 16) == (INITIALIZED, 0, 0x0100)
        assert self.other.ask(ASYNC_INITIALIZE, 0, number & 0xFFFF)[0] == ASYNC_INITIALIZED
        self.number = 0xFFFFFF00

    def query(self, text: bytes) -> bytes:
        self.number += 2
        kind, _, number, payload = self.sync.ask(DATA_END, 0, self.number, text)
        assert (kind, number) == (DATA_END, self.number)
        return payload

    def close(self) -> None:
        self.sync.socket.close()
        self.other.socket.close()


@pytest.fixture
def ports(chip: ServedChip) -> Iterator[list[int]]:
    """Of SCPI and of HiSLIP."""
    instrument = Instrument(chip, "analog-hil,test,0,0")
    hislip = Hislip(instrument)
    starts = [lambda: instrument.start("127.0.0.1", 0), lambda: hislip.start("127.0.0.1", 0)]

    def end() -> None:
        instrument.drop_all()
        hislip.drop_all()

    with in_thread(starts, end) as found:
        yield found


def test_pyvisa_writes_and_reads(ports: list[int]) -> None:
    pyvisa = pytest.importorskip("pyvisa", reason="PyVISA is not installed (pip install analog-hil[instruments])")
    pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed (pip install analog-hil[instruments])")
    manager = pyvisa.ResourceManager("@py")
    visa: Any = manager.open_resource(f"TCPIP::127.0.0.1::hislip0,{ports[1]}::INSTR", timeout=60_000)
    try:
        assert visa.query("*IDN?").strip() == "analog-hil,test,0,0"
        visa.write("FORM:BORD SWAP")
        visa.write("ARR:DEF 'p',40,32,ON")
        g_min, g_max = (float(x) for x in visa.query("ARR:GMIN? 'p';GMAX? 'p'").split(";"))
        target = np.linspace(g_min, g_max, 2 * 40 * 32, dtype=np.float32)
        visa.write_binary_values("PROG 'p',", target)
        got = visa.query_binary_values("READ:COND? 'p'", container=np.array)
        assert np.corrcoef(got, target)[0, 1] > 0.9
        many = np.full(40 * 2500, 0.1, np.float32)  # more than the largest message that pyvisa-py sends
        visa.write_binary_values("READ:MVM? 'p',", many)
        assert len(visa.read_binary_values()) == 2500 * 32
        visa.write("NOTHING")
        assert visa.read_stb() & 4
        assert visa.query("SYST:ERR?").startswith("-113")
        visa.clear()
        assert visa.query("SYST:ERR?").strip() == '0,"No error"'
    finally:
        visa.close()
        manager.close()


def test_messages_in_pieces_and_their_answers(ports: list[int]) -> None:
    it = Client(ports[1])
    it.sync.send(DATA, 0, 2, b"*ES")
    assert it.sync.ask(DATA_END, 0, 4, b"R?;:TIME?\n*IDN?") == (DATA_END, 0, 4, b"128;0.0\nanalog-hil,test,0,0\n")
    assert it.other.ask(MAX_SIZE, 0, 0, (16 + 7).to_bytes(8, "big"))[0] == MAX_SIZE_IS
    it.sync.send(DATA_END, 0, 6, b"*IDN?")
    parts = [it.sync.receive() for _ in range(3)]
    assert [part[0] for part in parts] == [DATA, DATA, DATA_END]
    assert b"".join(part[3] for part in parts) == b"analog-hil,test,0,0\n"
    it.close()


def test_a_message_that_ends_within_a_block_is_refused(ports: list[int]) -> None:
    it = Client(ports[1])
    for broken in (b"PROG 'w',#248abc", b"ARR:SEL 'w", b"PROG #2"):
        it.sync.send(DATA_END, 0, 2, broken)
        assert it.query(b"SYST:ERR?").startswith((b"-161", b"-151")), broken
        assert it.query(b"SYST:ERR?") == b'0,"No error"\n'
    it.sync.send(DATA, 0, 2, b"PROG 'w',#248abc")
    assert it.other.ask(ASYNC_CLEAR)[0] == ASYNC_CLEARED
    assert it.sync.ask(CLEAR_COMPLETE)[0] == CLEARED
    assert it.query(b"*IDN?").startswith(b"analog-hil")
    it.sync.send(TRIGGER)
    assert it.sync.ask(99)[:2] == (ERROR, 1)
    assert it.other.ask(99)[:2] == (ERROR, 1)
    assert it.other.ask(STATUS)[:2] == (STATUS_IS, 0)
    it.close()


def test_the_lock_is_the_writer_s_place_and_is_freed(ports: list[int], chip: ServedChip) -> None:
    it, terminal = Client(ports[1]), Terminal(ports[0])
    assert it.other.ask(LOCK, 1, 100)[:2] == (LOCKED, 1)
    assert it.other.ask(LOCK_INFO)[:3] == (LOCK_INFO_IS, 1, 1)
    assert terminal.ask("SYST:LOCK:REQ?") == "0"
    assert it.other.ask(LOCK, 0)[:2] == (LOCKED, 1)
    assert terminal.ask("SYST:LOCK:REQ?") == "1"
    assert it.other.ask(LOCK, 1)[:2] == (LOCKED, 0)
    terminal.write("SYST:LOCK:REL")
    assert terminal.ask("SYST:LOCK:OWN?") == "NONE"
    assert it.other.ask(LOCK, 1)[:2] == (LOCKED, 1)
    it.other.socket.close()  # one channel is enough to lose the client
    with pytest.raises(ConnectionError):
        it.sync.receive()
    while terminal.ask("SYST:LOCK:OWN?") != "NONE":
        pass
    terminal.close()


def test_what_is_no_hislip_ends_and_too_much_is_refused(ports: list[int]) -> None:
    stranger = Channel(ports[1])
    stranger.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert stranger.receive()[:2] == (FATAL, 1)
    for kind, number in ((DATA_END, 0), (ASYNC_INITIALIZE, 77)):
        stranger = Channel(ports[1])
        assert stranger.ask(kind, 0, number)[:2] == (FATAL, 3)
    half = Channel(ports[1])
    half.ask(INITIALIZE)
    assert half.ask(DATA_END, 0, 2, b"*IDN?")[:2] == (FATAL, 2)
    it = Client(ports[1])
    it.sync.socket.sendall(HEAD.pack(b"HS", DATA, 0, 2, 10 << 30))  # 10 GB
    assert it.sync.receive()[:2] == (ERROR, 4)
    other = Client(ports[1])
    assert other.query(b"*IDN?").startswith(b"analog-hil")
    held = [other, it]
    while len(held) < LIMITS.clients:
        held.append(Client(ports[1]))
    assert Channel(ports[1]).ask(INITIALIZE)[:2] == (FATAL, 4)
    for each in held:
        each.close()


def test_any_bytes_are_survived(ports: list[int]) -> None:
    rng = random.Random(5)
    for _ in range(60):
        it = Client(ports[1])
        for _ in range(rng.randrange(1, 5)):
            channel = it.sync if rng.random() < 0.7 else it.other
            payload = rng.randbytes(rng.randrange(40)) if rng.random() < 0.5 else b"READ:MVM? 'w',#18" + bytes(8)
            head = HEAD.pack(
                b"HS" if rng.random() < 0.9 else b"XX",
                rng.randrange(40),
                rng.randrange(4),
                rng.getrandbits(32),
                len(payload),
            )
            try:
                channel.socket.sendall((head + payload)[: rng.choice([3, 16, 1000])])
            except OSError:
                break
        it.close()
    last = Client(ports[1])
    assert last.query(b"*IDN?").startswith(b"analog-hil")
    last.close()
