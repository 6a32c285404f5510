"""Any stream of bytes gives messages and refusals, however it is cut into pieces."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.messages import TEXT_LIMIT, Message, MessageText, MessageUnit, Splitter, units_of

LIMIT = 1000


def split(data: bytes, piece: int = 1 << 30) -> list[Message | ScpiError]:
    splitter, found = Splitter(LIMIT), []
    for place in range(0, len(data), piece):
        splitter.feed(data[place : place + piece])
        while (message := splitter.next()) is not None:
            found.append(message)
    return found


def units(data: bytes, piece: int = 1 << 30) -> list[MessageUnit]:
    (message,) = split(data, piece)
    assert isinstance(message, Message)
    return units_of(message)


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_block_may_hold_anything(piece: int) -> None:
    body = b"\n;\"'#0,\n*RST\n"
    (unit, other) = units(b"prog 'a;''#',#2%d%s , 1e-3;*idn?\r\n" % (len(body), body), piece)
    assert unit.header == "PROG"
    name, block, number = unit.parameters
    assert name == MessageText("a;'#")
    assert bytes(block) == body  # type: ignore[arg-type]
    assert number == "1e-3"
    assert other == MessageUnit("*IDN?", ())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"PROG #0abc\n", -161),
        (b"PROG #3a12\n", -161),
        (b'ARR:SEL "a\n', -151),
        (b"PROG #41001" + b"\n" * 1001 + b" 1\n", -223),
        (b"A" * (TEXT_LIMIT + 1) + b"\n", -363),
    ],
)
@pytest.mark.parametrize("piece", [7, 1 << 30])
def test_what_is_no_message_is_refused_and_the_next_one_is_read(line: bytes, code: int, piece: int) -> None:
    piece = max(piece, len(line) // 100)
    first, second = split(line + b"*IDN?\n", piece)
    assert isinstance(first, ScpiError)
    assert first.code == code
    assert isinstance(second, Message)
    assert units_of(second)[0].header == "*IDN?"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"1abc\n", -101),
        (b":*IDN?\n", -101),
        (b"PROG 'a' 1\n", -103),
        (b"PROG'a'\n", -103),
        (b"PROG 1,\n", -109),
        (b"PROG ,1\n", -109),
        (b"PROG a#11x\n", -103),
    ],
)
def test_malformed_commands_have_their_error(line: bytes, code: int) -> None:
    with pytest.raises(ScpiError) as refused:
        units(line)
    assert refused.value.code == code


def told(found: Message | ScpiError) -> str:
    """What was found, whatever memory holds it."""
    return str((bytes(found.data), dict(found.blocks)) if isinstance(found, Message) else found)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"#", b"0", b"1", b"2", b"9", b"\n", b";", b"'", b'"', b"A?", b" ", b",", b":", b"\xff"])
    ),
    st.data(),
)
def test_any_bytes_are_cut_alike_whatever_the_pieces(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    piece = data.draw(st.integers(1, 5))
    whole, pieces = split(stream), split(stream, piece)
    assert [told(x) for x in whole] == [told(x) for x in pieces]
    for message in whole:
        if isinstance(message, Message):
            with contextlib.suppress(ScpiError):
                units_of(message)
