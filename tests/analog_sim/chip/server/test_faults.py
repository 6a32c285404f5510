"""Malformed commands, hang-ups in the middle, clients that do not read: the server goes on, and the chip is what its log says.

ANALOG_SIM_FUZZ=1 runs the whole dose: 100,000 commands and 1,000 hang-ups.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket

from analog_sim.chip.server.chip import ServedChip

from .conftest import LIMITS, Terminal

WHOLE = os.environ.get("ANALOG_SIM_FUZZ") == "1"
COMMANDS, HANG_UPS = (100_000, 1_000) if WHOLE else (500, 50)
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
