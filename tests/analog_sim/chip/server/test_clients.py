"""Our client's mistakes and misfortunes in one line; and PyVISA, unchanged."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.backends.scpi import Scpi
from analog_sim.chip.client.remote import RemoteFabric
from analog_sim.chip.clock import Clock
from analog_sim.chip.fabric import Fabrication
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.serve import running
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams

from .conftest import Terminal


def fabric(cell: CellModel, port: int, timeout: float = 60.0) -> RemoteFabric:
    backend = Scpi(address=f"scpi://127.0.0.1:{port}", timeout=timeout)
    made = backend.fabric(cell, Streams(0), Clock(), None)
    assert isinstance(made, RemoteFabric)
    return made


@pytest.mark.parametrize("address", ["127.0.0.1:5025", "scpi://", "scpi://host", "scpi://a:99999", "scpi://a:5025/x"])
def test_an_address_that_is_none_is_refused(cell: CellModel, address: str) -> None:
    with pytest.raises(UserError, match=r"scpi://host:port"):
        Scpi(address=address).check()
    with pytest.raises(UserError, match=r"scpi://host:port"):
        Scpi(address=address).fabric(cell, Streams(0), Clock(), None)


def test_nobody_there_and_nobody_answering_are_one_line(cell: CellModel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UserError, match=r"no answer within 0.2 s"):
            fabric(cell, port, 0.2)
    with pytest.raises(UserError, match=r"cannot be reached"):
        fabric(cell, port)


def test_another_instrument_is_named(cell: CellModel) -> None:
    """It answers *IDN? and nothing else, as most would."""

    def answer(listening: socket.socket) -> None:
        there, _ = listening.accept()
        with there, there.makefile("rwb") as file:
            for line in file:
                if line == b"*IDN?\n":
                    file.write(b"MAKER,MODEL 7,1,1.0\n")
                    file.flush()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, args=(listening,), daemon=True).start()
        with pytest.raises(
            UserError, match=r"no answer within 0.2 s; it calls itself 'MAKER,MODEL 7,1,1.0', but is no served chip"
        ):
            fabric(cell, listening.getsockname()[1], 0.2)


def test_a_lost_connection_is_one_line(cell: CellModel, chip: ServedChip) -> None:
    with running(chip) as port:
        there = fabric(cell, port)
        array = there.crossbar(("a",), 2, 2, pair=True)
    with pytest.raises(UserError, match=r"connection was lost"):
        array.mvm(np.zeros((1, 2), np.float32))


def test_limits_are_kept_before_anything_is_sent(cell: CellModel, port: int, chip: ServedChip) -> None:
    there = fabric(cell, port)
    array = there.crossbar(("a",), 2, 2, pair=True)
    for wrong in (
        lambda: array.mvm(np.zeros((1 << 20, 2), np.float32)),
        lambda: array.pulse(PulseCounts(np.full((2, 2, 2), 40_000))),
        lambda: array.wait(float("nan")),
        lambda: array.wait(1e30),
    ):
        with pytest.raises(ValueError, match=r"at most"):
            wrong()
    assert array.log.totals == {}
    assert chip.arrays['["a"]'].crossbar.log.totals == {}
    with pytest.raises(UserError, match="its own faults"):
        there.crossbar(("b",), 1, 1, pair=False, wishes=Fabrication(fault_map=np.zeros((1, 1, 1), np.uint8)))
    with pytest.raises(UserError, match=r"is 2 x 2, pair True"):
        there.crossbar(("a",), 2, 3, pair=True)
    there.link.close()


def test_a_write_that_is_refused_is_raised_by_the_next_call(cell: CellModel, port: int, terminal: Terminal) -> None:
    there = fabric(cell, port)
    array = there.crossbar(("a",), 2, 2, pair=True)
    array.wait(1.0)
    there.link.command("SYST:LOCK:REL")
    assert terminal.ask("SYST:LOCK:REQ?") == "1"
    array.wait(1.0)
    with pytest.raises(UserError, match="another client has the writer's place"):
        array.mvm(np.zeros((1, 2), np.float32))
    assert array.mvm(np.zeros((1, 2), np.float32)).shape == (1, 2)
    assert array.log.units("wait") == 1
    there.link.close()


@pytest.fixture
def visa(port: int) -> Iterator[Any]:
    pyvisa = pytest.importorskip("pyvisa", reason="PyVISA is not installed (pip install analog-hil[instruments])")
    pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed (pip install analog-hil[instruments])")
    manager = pyvisa.ResourceManager("@py")
    it = manager.open_resource(
        f"TCPIP::127.0.0.1::{port}::SOCKET", read_termination="\n", write_termination="\n", timeout=60_000
    )
    yield it
    it.close()
    manager.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pyvisa_writes_and_reads_blocks(visa: Any) -> None:
    assert visa.query("*IDN?") == "analog-hil,test,0,0"
    visa.write("FORM:BORD SWAP")
    visa.write("ARR:DEF 'p',64,32,ON")
    g_min, g_max = (float(x) for x in visa.query("ARR:GMIN? 'p';GMAX? 'p'").split(";"))
    target = np.linspace(g_min, g_max, 2 * 64 * 32, dtype=np.float32)
    visa.write_binary_values("PROG 'p',", target)
    got = visa.query_binary_values("READ:COND? 'p'", container=np.array)
    assert got.shape == target.shape
    assert np.corrcoef(got, target)[0, 1] > 0.9
    visa.write_binary_values("READ:MVM? 'p',", np.full(64 * 3, 0.1, np.float32))
    assert len(visa.read_binary_values()) == 3 * 32
    assert visa.query("SYST:ERR?") == '0,"No error"'
