"""Malformed commands, hang-ups in the middle, clients that do not read: the server goes on, and the chip is what its log says.

ANALOG_SIM_FUZZ=1 runs the whole dose: 100,000 commands, 1,000 hang-ups, 100 kills.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from analog_sim.chip.clock import Clock
from analog_sim.chip.crossbar import Crossbar
from analog_sim.chip.fabric import EmulatedFabric
from analog_sim.chip.record.frames import read_frames
from analog_sim.chip.record.operations import Request, execute
from analog_sim.chip.sealed import SealedFabric
from analog_sim.chip.server.chip import ServedChip
from analog_sim.random.streams import Streams
from devices.card import load_card

from .conftest import LIMITS, Terminal

WHOLE = os.environ.get("ANALOG_SIM_FUZZ") == "1"
COMMANDS, HANG_UPS, KILLS = (100_000, 1_000, 100) if WHOLE else (500, 50, 4)
PIECES = [
    b"READ",
    b":",
    b"MVM?",
    b" ",
    b"'w'",
    b",",
    b"0.1",
    b"#",
    b"1",
    b"212",
    b"#0",
    b'"',
    b";",
    b"*RST",
    b"\x00",
    b"\xff",
    b"PROG ",
    b"-1e999",
    b"ARR:DEF ",
    b"PULS:TRA ",
    b"PULS:CELL ",
    b"@0:4",
    b"BOTH",
    b"nan",
    b"SYST:ERR?",
    b"COND?",
    b"?",
    b"*",
    b"#9999999999",
    b"TIME:PAR",
    b"END",
]


def garbage(rng: random.Random) -> bytes:
    return b"".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 12)))


def test_malformed_commands_are_answered_by_errors(port: int, chip: ServedChip) -> None:
    rng = random.Random(7)
    for number in range(COMMANDS // 50):
        terminal = Terminal(port)
        for _ in range(50):
            terminal.write(garbage(rng).replace(b"#9999999999", b"#"))
        # Whatever is open (a block of at most 99 bytes, a string) ends here.
        terminal.write(b"\n" * 100)
        terminal.write(f"FORM ASC;:SYST:LOCK:REL;:*ESE {number % 250};*ESE?")
        terminal.write("TIME?")
        assert terminal.file.readline()
        terminal.close()
    last = Terminal(port)
    assert last.ask("*IDN?") == "analog-hil,test,0,0"
    assert chip.frames == []
    last.close()


def test_hanging_up_in_the_middle_changes_nothing(port: int, terminal: Terminal) -> None:
    rng = random.Random(8)
    message = b"PROG 'w',#248" + bytes(48) + b"\nPULS:COUN " + b",".join([b"3"] * 12) + b"\n"
    done = 0
    for _ in range(HANG_UPS):
        cut = rng.randrange(len(message) + 1)
        with socket.create_connection(("127.0.0.1", port), 60.0) as it:
            it.sendall(message[:cut])
            if rng.random() < 0.5:
                it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset instead of a farewell
        done += cut >= 62
    while terminal.ask("SYST:LOCK:OWN?") != "NONE":
        pass
    totals = terminal.ask("LOG:TOT?")
    programs = int(totals.split('"program",')[1].split(",")[0]) if '"program"' in totals else 0
    assert programs <= done
    assert terminal.errors() == []


def test_a_client_that_does_not_read_stops_nobody(port: int, terminal: Terminal) -> None:
    deaf = socket.create_connection(("127.0.0.1", port), 60.0)
    deaf.settimeout(0.5)
    try:
        for _ in range(20_000):
            deaf.sendall(b"SYST:HELP:HEAD?\n" * 20)
    except TimeoutError:
        pass  # the server has stopped to read from it
    else:
        raise AssertionError("the server took everything")
    assert terminal.ask("*IDN?") == "analog-hil,test,0,0"
    deaf.close()


def test_a_client_without_a_line_feed_or_with_a_huge_block_is_held_small(port: int, terminal: Terminal) -> None:
    with socket.create_connection(("127.0.0.1", port), 60.0) as it:
        it.sendall(b"PROG #9999999999" + bytes(1 << 20))
        it.sendall(bytes(1 << 20))
        assert terminal.ask("*IDN?") == "analog-hil,test,0,0"
    other = Terminal(port)
    for _ in range(5):
        other.file.write(b"A" * (1 << 20))
    other.write("")
    assert other.errors() == [-363]
    other.close()


def test_too_many_clients_are_turned_away(port: int) -> None:
    held = [Terminal(port) for _ in range(LIMITS.clients)]
    assert all(it.ask("*OPC?") == "1" for it in held)
    with socket.create_connection(("127.0.0.1", port), 60.0) as extra, contextlib.suppress(ConnectionResetError):
        assert extra.recv(1) == b""
    for it in held:
        it.close()


class Zygote:
    """Starts servers of one configuration and kills them."""

    def __init__(self, folder: Path) -> None:
        (folder / "chip.yaml").write_text(
            "schema: serve/1\ndevice: ecram\nseed: 4\narrays: {w: {rows: 2, cols: 3}}\njournal: chip.journal\n",
            encoding="utf-8",
        )
        command = [sys.executable, str(Path(__file__).with_name("zygote.py")), "chip.yaml"]
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = 0

    def start(self) -> int:
        """A server; its port."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        self.pid, port = 0, 0
        while not (self.pid and port):
            line = self.process.stdout.readline()
            assert line, "the zygote ended"
            if line.startswith("pid"):
                self.pid = int(line.split()[1])
            elif line.startswith("serving"):
                port = int(line.rsplit(":", 1)[1])
        return port

    def kill(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.pid = 0

    def close(self) -> None:
        self.kill()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    it = Zygote(tmp_path)
    yield it
    it.close()


def by_the_log(journal: Path) -> tuple[Crossbar, int]:
    """A chip of this process that did what the journal says, and the writes in it."""
    clock = Clock()
    cells = EmulatedFabric(load_card("ecram").compile(), Streams(4).child("chip"), clock)
    array, writes = SealedFabric(cells).crossbar(("w",), 2, 3, pair=True), 0
    for header, arrays, _ in list(read_frames(journal))[1:]:
        if header["kind"] in ("crossbar", "clock"):
            continue
        clock.restore(header["time"])
        execute(Request("w", header["kind"], header["settings"], arrays), array)
        writes += header["kind"] in ("program", "pulse")
    return array, writes


def test_kills_during_writes_lose_nothing_that_was_acknowledged(zygote: Zygote, tmp_path: Path) -> None:
    rng = random.Random(9)
    g_min, g_max = 1.5e-6, 9e-6
    acknowledged = sent = 0
    for _ in range(KILLS):
        it = Terminal(zygote.start())
        deadly = threading.Timer(rng.uniform(0.005, 0.1), zygote.kill)  # somewhere in the middle of what follows
        deadly.start()
        with contextlib.suppress(OSError, ValueError):
            while True:
                cells = ",".join(f"{rng.uniform(g_min, g_max):.6g}" for _ in range(12))
                line = f"PROG {cells}" if rng.random() < 0.5 else "PULS:COUN " + ",".join(["2"] * 12)
                sent += 1
                if int(it.ask(f"{line};*OPC?")) == 1:
                    acknowledged += 1
        deadly.join()
        it.close()
        again = Terminal(zygote.start())
        array, writes = by_the_log(tmp_path / "chip.journal")
        assert acknowledged <= writes <= sent
        acknowledged = sent = writes  # what was under way is in the log, or never was
        again.write("FORM ASC")
        seen = np.array(again.ask("READ:COND?").split(","), np.float64).astype(np.float32)
        np.testing.assert_array_equal(seen, array.read_conductance().ravel())
        again.close()
        zygote.kill()
    assert acknowledged > KILLS


def test_an_answer_of_gigabytes_is_refused(terminal: Terminal) -> None:
    terminal.write("ARR:DEF 'wide',1,2048,ON")
    numbers = LIMITS.block_bytes // 8 // 4
    terminal.write(b"READ:MVM? 'wide',#%d%d" % (len(str(4 * numbers)), 4 * numbers) + bytes(4 * numbers))
    assert terminal.errors() == [-223]
    assert terminal.ask("*IDN?") == "analog-hil,test,0,0"


def test_a_writer_that_dies_frees_its_place(port: int, terminal: Terminal) -> None:
    code = (
        "import os, signal, socket; it = socket.create_connection(('127.0.0.1', %d));"
        "it.sendall(b'SYST:LOCK:REQ?\\nTIME:PAR;ADV 1\\n'); assert it.recv(2) == b'1\\n'; print('has', flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code % port], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (-signal.SIGKILL, "has"), done.stderr
    while terminal.ask("SYST:LOCK:OWN?") != "NONE":
        pass
    assert terminal.ask("WAIT 1;:TIME?") == "2.0"
