"""Commands as a client sees them, over a socket; and the page that documents them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.server.chip import ServedChip
from analog_sim.chip.server.commands import COMMANDS, INFO_HEADERS
from analog_sim.chip.server.serve import running
from analog_sim.chip.server.table import page, spellings

from .conftest import Terminal

DOCS = Path(__file__).resolve().parents[4] / "docs" / "instrument.md"


def block(values: np.ndarray) -> bytes:
    data = values.tobytes()
    return b"#%d%d%s" % (len(str(len(data))), len(data), data)


def test_every_command_is_documented() -> None:
    assert page() in DOCS.read_text(encoding="utf-8")


EXAMPLES: dict[str, str | bytes] = {
    "*ESE": "32",
    "*SRE": "32",
    "SYSTem:MEMory?": "",  # test_memory.py
    "FORMat:BORDer": "NORM",
    "FORMat": "REAL,32",
    "ARRay:SELect": "'w'",
    "ARRay:DEFine": "'made',2,2,ON,0",
    "READ:MVM?": "'w',0.1,0.1",
    "READ:MVM:TRANsposed?": "'w',0.1,0.1,0.1",
    "READ:CONDuctance?": "'w',0,1,0,2",
    "PROGram": "'w'," + ",".join(["5e-6"] * 12),
    "PROGram:MASKed": b"'w'," + block(np.full(12, 5e-6, ">f4")) + b"," + block(np.ones(12, np.uint8)),
    "PULSe:COUNts": "'w'," + ",".join(["1", "-1"] * 6),
    "PULSe:CELLs": b"'w'," + block(np.array([0, 5, 11], ">u4")) + b"," + block(np.array([1, -3, 100], np.int8)),
    "PULSe:TRAin": b"'w',1,8,BOTH,"
    + b",".join(
        [
            block(np.ones(2, np.uint8)),
            block(np.ones(3, np.uint8)),
            block(np.ones(2, np.int8)),
            block(np.ones(3, np.int8)),
        ]
    ),
    "WAIT": "'w',1e-3",
    "LOG:ANSWer?": "",  # after LOG:POS?, see test_training.py
    "TIME:ADVance": "1e-6",
    "TIME:GO": "",  # behind an operation of a run that goes on, see test_training.py
}
"""First header of a command -> parameters that it takes; "" for those that are tried elsewhere."""


@pytest.mark.parametrize("long", [False, True])
def test_every_command_of_the_page_does_as_it_says(terminal: Terminal, long: bool) -> None:
    """In the order of the table: none is refused, a query answers one line, and nothing else answers."""
    terminal.write("ARR:SEL 'w'")
    for command in COMMANDS:
        parameters = EXAMPLES.get(command.patterns[0])
        if parameters == "":
            continue
        needed = command.usage and not command.usage.startswith("[") and not command.patterns[0].endswith("]")
        assert parameters is not None or not needed, f"EXAMPLES lacks {command.patterns[0]}"
        for pattern in command.patterns:
            header = spellings(pattern)[-1 if long else 0].encode()
            said = parameters.encode() if isinstance(parameters, str) else parameters or b""
            asked = (b":" if not header.startswith(b"*") else b"") + header + (b" " + said if said else b"")
            if command.patterns[0] == "FORMat":
                asked += b";:FORM ASC"  # answers of numbers as one line
            if pattern.endswith("?"):
                answer = terminal.ask(asked)
                assert answer, pattern
                if answer.startswith("#"):  # the rest of a block of text
                    size = int(answer[2 : 2 + int(answer[1])])
                    terminal.file.read(2 + int(answer[1]) + size + 1 - len(answer) - 1)
            else:
                terminal.write(asked)
            assert terminal.errors() == [], pattern


def test_every_field_has_a_command_and_no_two_are_spelt_alike() -> None:
    own = {"pulse_volts", "pulse_seconds"}  # a served chip sends pulses of its own alone
    assert list(INFO_HEADERS) == [field.name for field in fields(ChipInfo) if field.name not in own]
    forms = [s for command in COMMANDS for pattern in command.patterns for s in spellings(pattern)]
    assert len(forms) == len(set(forms))


def test_common_commands_and_registers(terminal: Terminal) -> None:
    assert terminal.ask("*IDN?") == "analog-hil,test,0,0"
    assert terminal.ask("*ESR?") == "128"
    assert terminal.ask("*ESE 32;*SRE 32;*STB?") == "0"
    terminal.write("NOTHING")
    assert terminal.ask("*STB?") == str(4 + 32 + 64)
    assert terminal.ask("SYST:ERR?") == '-113,"Undefined header;NOTHING"'
    assert terminal.ask("*ESR?;*STB?;*OPC?;*TST?") == "32;0;1;0"
    assert terminal.ask("*OPC;*WAI;*ESR?") == "1"
    terminal.write("NOTHING")
    assert terminal.ask("*CLS;*STB?;:SYST:ERR:COUN?") == "0;0"


def test_headers_are_relative_and_have_long_and_short_forms(terminal: Terminal) -> None:
    assert terminal.ask("array:rows?;cols?;CAPAB:TRAN?") == "2"
    assert terminal.errors() == [-113, -113]
    assert terminal.ask("ARR:ROWS?;COL?;:FORMAT:BORDER?;BORD SWAPPED;BORD?") == "2;3;NORM;SWAP"


@pytest.mark.parametrize("order", ["NORM", "SWAP"])
def test_cells_are_written_and_read_in_either_byte_order(terminal: Terminal, order: str) -> None:
    kind = ">f4" if order == "NORM" else "<f4"
    g_min, g_max = (float(x) for x in terminal.ask("ARR:GMIN?;GMAX?").split(";"))
    terminal.write(f"FORM:BORD {order}")
    target = np.full(12, (g_min + g_max) / 2, kind)
    terminal.write(b"PROG 'w'," + block(target))
    terminal.write("READ:COND? 0,1,0,3")
    assert terminal.file.read(4) == b"#224"
    got = np.frombuffer(terminal.file.read(25)[:-1], kind)
    assert abs(got.mean() - target[0]) < 0.2 * (g_max - g_min)
    shown = terminal.ask("FORM ASC;:READ:COND? 0,1,0,3")
    assert len(shown.split(",")) == 6
    assert terminal.errors() == []


def test_wrong_parameters_change_nothing(terminal: Terminal, chip: ServedChip) -> None:
    before = terminal.ask("LOG:TOT?;:TIME?")
    for line, code in (
        (b"READ:MVM? 0.1,99", -222),
        (b"READ:MVM? 0.1", -222),
        (b"READ:MVM? 'none',0.1,0.1", -241),
        (b"READ:MVM? nan,0", -222),
        (b"READ:COND? 0,9,0,1", -222),
        (b"PROG " + block(np.zeros(5, ">f4")), -222),
        (b"PROG #13abc", -161),
        (b"PULS:COUN 1,2,3.5,4,5,6,7,8,9,10,11,12", -222),
        (b"PULS:TRA 1,64,BOTH", -222),
        (b"WAIT -1", -222),
        (b"WAIT 1,2", -108),
        (b"TIME:ADV -1", -222),
        (b"TIME:END", -221),
        (b"ARR:DEF 'w',9,9,ON", -221),
        (b"ARR:DEF 'big',4000,4000,ON", -223),
        (b"ARR:DEF '[1.5]',2,2,ON", -222),
        (b"FORM REAL,64", -222),
    ):
        terminal.write(line)
        assert terminal.errors() == [code], line
    assert terminal.ask("LOG:TOT?;:TIME?") == before
    assert list(chip.arrays) == ["w"]


def test_frames_count_as_the_longest_or_the_sum(terminal: Terminal) -> None:
    terminal.write("TIME:PAR;SEQ;ADV 1;ADV 2;END;ADV 2.5;END")
    assert terminal.ask("TIME?;TIME:LAST?") == "3.0;3.0"


def test_one_client_writes_at_a_time_and_the_place_is_freed(port: int, terminal: Terminal) -> None:
    terminal.write("TIME:PAR;ADV 1")
    other = Terminal(port)
    assert other.ask("SYST:LOCK:OWN?;REQ?") == "OTHER;0"
    other.write("WAIT 1")
    assert other.errors() == [-203]
    assert terminal.errors() == []
    terminal.write("SYST:LOCK:REL")
    assert terminal.ask("TIME?") == "1.0"
    assert other.ask("SYST:LOCK:REQ?") == "1"
    other.close()
    while terminal.ask("SYST:LOCK:OWN?") != "NONE":
        pass
    assert terminal.ask("WAIT 1;:TIME?") == "2.0"


def test_a_read_only_chip_is_read(chip: ServedChip) -> None:
    chip.read_only = True
    with running(chip) as port:
        it = Terminal(port)
        assert it.ask("FORM ASC;:READ:MVM? 0,0").count(",") == 2
        it.write("WAIT 1")
        assert it.errors() == [-203]
        it.close()
