"""Vectors through shared memory: the same bits as through the socket; what could harm the server is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.client import link as link_module
from analog_sim.chip.client.remote import RemoteCrossbar, RemoteFabric
from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.memory import SIZE, WORTH, offered
from analog_sim.chip.server.serve import running
from analog_sim.chip.server.session import Session
from analog_sim.chip.server.table import carry_out
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams

from .conftest import Terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux only")


def reads(cell: CellModel) -> list[np.ndarray]:
    """Of a fresh chip through a served one: more and fewer bytes than memory pays for, both ways round."""
    with running(ServedChip(SealedFabric(EmulatedFabric(cell, Streams(3), Clock())))) as port:
        there = Scpi(address=f"scpi://127.0.0.1:{port}", timeout=120.0).fabric(cell, Streams(0), Clock(), None)
        array = there.crossbar(("w",), 40, 24, pair=True)
        assert isinstance(there, RemoteFabric)
        assert isinstance(array, RemoteCrossbar)
        found = []
        for count in (1, WORTH // 4 // 24, 500):
            for lines, transpose in ((40, False), (24, True)):
                v = np.linspace(-0.1, 0.1, count * lines, dtype=np.float32).reshape(count, lines)
                found.append(array.mvm(v, transpose=transpose))
        with pytest.raises(ValueError, match="volts"):
            array.mvm(np.full((500, 40), 9.0, np.float32))
        found.append(array.read_conductance())
        there.link.close()
    return found


def test_memory_and_socket_give_the_same_bits(cell: CellModel, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    put = link_module.SharedArea.put
    monkeypatch.setattr(link_module.SharedArea, "put", lambda *a: used.append(a[1].size) or put(*a))
    by_memory = reads(cell)
    assert 20_000 in used, "long vectors went through memory"
    monkeypatch.setattr(link_module, "offered", lambda: None)
    used.clear()
    by_socket = reads(cell)
    assert used == []
    for mine, its in zip(by_memory, by_socket, strict=True):
        np.testing.assert_array_equal(mine, its)


def plans() -> list[PulseCounts]:
    """For 200 x 24 pairs: nothing, few cells with and without their rows named, more than eight bits, all cells, another type."""
    none = np.zeros((2, 200, 24), np.int16)
    few, many = none.copy(), np.full_like(none, 2)
    few[0, 3, 5], few[1, 199, 23], few[1, 0, 0] = 7, -60, 3
    far = few.copy()
    far[0, 3, 5], many[1, 100] = -128, -900
    named = PulseCounts(few, rows=np.array([1, 3, 200, 399]))
    return [*(PulseCounts(counts) for counts in (none, few, far, many, few.astype(np.int64))), named]


def writes(array: Crossbar) -> list[np.ndarray]:
    """Writes that are not waited for, each in the memory of the one before, with reads in it between some of them."""
    found, info = [], array.info
    for k, plan in enumerate(plans()):
        array.program(np.full((2, 200, 24), info.g_min + (0.3 + 0.1 * k) * (info.g_max - info.g_min), np.float32))
        array.pulse(plan)
        if k % 2:
            found.append(array.mvm(np.linspace(-0.1, 0.1, 100 * 200, dtype=np.float32).reshape(100, 200)))
        else:
            found.append(array.read_conductance())
    return [*found, np.array([array.log.units("pulse"), array.time])]


@pytest.mark.parametrize("way", ["memory", "socket", "an older server"])
def test_counts_of_some_cells_are_those_of_all(cell: CellModel, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    here = writes(SealedFabric(EmulatedFabric(cell, Streams(3), Clock())).crossbar(("p",), 200, 24, pair=True))
    if way != "memory":
        monkeypatch.setattr(link_module, "offered", lambda: None)
    sent: list[bytes] = []
    write = link_module.Link.write
    monkeypatch.setattr(link_module.Link, "write", lambda *a: sent.append(bytes(a[1][0])) or write(*a))
    with running(ServedChip(SealedFabric(EmulatedFabric(cell, Streams(3), Clock())))) as port:
        there = Scpi(address=f"scpi://127.0.0.1:{port}", timeout=120.0).fabric(cell, Streams(0), Clock(), None)
        assert isinstance(there, RemoteFabric)
        if way == "an older server":
            there.link.headers -= {"PULSe:CELLs"}
        got = writes(there.crossbar(("p",), 200, 24, pair=True))
        there.link.close()
    counted = [command.strip() for command in sent if command.startswith(b"PULS")]
    every = b"PULS:COUN"
    some = every if way == "an older server" else b"PULS:CELL"
    assert counted == [some, some, every if way == "memory" else some, every, some, some]
    for mine, its in zip(here, got, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_numbers_of_cells_that_cannot_be_are_refused(terminal: Terminal) -> None:
    terminal.write("PROG 'w'," + ",".join(["5e-6"] * 12))
    before = terminal.ask("FORM ASC;:READ:COND? 'w'")

    def block(values: np.ndarray) -> bytes:
        return b"#2%02d%s" % (values.nbytes, values.tobytes())

    one, two = np.array([1], np.int8), np.array([1, 2], np.int8)
    for cells, counts, code in (
        (np.array([12], ">u4"), one, -222),
        (np.array([2**32 - 1], ">u4"), one, -222),
        (np.array([3, 3], ">u4"), two, -222),
        (np.array([4, 3], ">u4"), two, -222),
        (np.array([3, 4, 5], ">u4"), two, -222),
        (np.array([3], ">u4"), np.array([1], ">i4"), -222),
        (np.array([3, 4, 5], ">u1"), two, -161),
    ):
        terminal.write(b"PULS:CELL 'w'," + block(cells) + b"," + block(counts))
        assert terminal.errors() == [code], (cells, counts)
    terminal.write(b"PULS:CELL 'w',1,2")
    assert terminal.errors() == [-104]
    assert '"pulse"' not in terminal.ask("LOG:TOT? 'w'")
    terminal.write(b"PULS:CELL 'w'," + block(np.array([0, 11], ">u4")) + b"," + block(np.array([300, -300], ">i2")))
    after = terminal.ask("READ:COND? 'w'")
    moved = np.array(after.split(","), float) - np.array(before.split(","), float)
    assert moved[0] > 1e-6 > -1e-6 > moved[11]
    assert np.abs(moved[1:11]).max() < 3e-7
    assert terminal.ask("LOG:TOT? 'w'").split('"pulse",')[1].startswith("1,600,")


def test_a_file_that_could_shrink_and_places_outside_are_refused(terminal: Terminal, tmp_path: Path) -> None:
    plain = os.open(tmp_path / "plain", os.O_RDWR | os.O_CREAT)
    os.truncate(plain, 4096)
    unsealed = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.truncate(unsealed, 4096)
    for wrong, code in ((plain, -222), (unsealed, -222), (1023, -241)):
        terminal.write(f"SYST:MEM? {os.getpid()},{wrong}")
        assert terminal.errors() == [code]
    offer = offered()
    assert offer is not None
    memory, fd = offer
    assert terminal.ask(f"SYST:MEM? {os.getpid()},{fd}") == str(SIZE // 2)
    for place in ("@0:3", "@1:8", f"@{SIZE // 2}:8", "@99999999999:8", "@0:12"):
        terminal.write(f"READ:MVM? 'w',{place}")
        assert terminal.errors() == [-222], place
    memory.put(np.full(2, 0.1, np.float32), 4)
    assert terminal.ask("READ:MVM? 'w',@4:8") == f"@{SIZE // 2}:12"
    assert np.isfinite(memory.take(SIZE // 2, 12)).all()
    for each in (plain, unsealed, fd):
        os.close(each)


def test_a_client_from_elsewhere_cannot_share(chip: ServedChip) -> None:
    session = Session(chip, "x")
    offer = offered()
    assert offer is not None
    from analog_sim.chip.server.messages import Message

    carry_out(session, Message(bytearray(f"SYST:MEM? {os.getpid()},{offer[1]}".encode()), {}))
    assert session.status.next_error()[0] == -221
    os.close(offer[1])


def test_a_refused_offer_leaves_the_socket(cell: CellModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: link_module.Link, command: str) -> str:
        if command.startswith("SYST:MEM"):
            raise UserError("no such command")
        return query(self, command)

    query = link_module.Link.query
    monkeypatch.setattr(link_module.Link, "query", refused)
    assert len(reads(cell)) == 7
