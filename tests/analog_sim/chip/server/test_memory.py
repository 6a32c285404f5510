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
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.memory import SIZE, WORTH, offered
from analog_sim.chip.server.serve import running
from analog_sim.chip.server.session import Session
from analog_sim.config import UserError
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

    session.execute(Message(bytearray(f"SYST:MEM? {os.getpid()},{offer[1]}".encode()), {}))
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
