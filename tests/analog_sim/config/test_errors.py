"""A mistake is one line, whatever the user wrote."""

import pytest

from analog_sim.config import ConfigError, Problem
from analog_sim.config.errors import Location, on_one_line


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\x0b", "\x1b[2J", "\x85", "\u2028", "\x00"])
def test_what_is_quoted_neither_ends_the_line_nor_commands_the_terminal(break_: str) -> None:
    problem = Problem(Location("x.yaml", 3), f"device{break_}.kind", f"unknown kind 'a{break_}b'")
    told = str(ConfigError([problem]))
    assert len(told.splitlines()) == 1
    assert told.isprintable()
    assert on_one_line("a\nb") == "a\\nb"


def test_other_letters_are_left_as_they_are() -> None:
    assert on_one_line("µ 中文\u3000é\u00a0°") == "µ 中文\u3000é\u00a0°"


@pytest.mark.parametrize(
    ("path", "message", "told"),
    [
        ("tile.wires", "wires: a line floats", "x.yaml:3: tile.wires: a line floats"),
        ("wires", "wires: a line floats", "x.yaml:3: wires: a line floats"),
        ("tile.wires", "tile.wires: a line floats", "x.yaml:3: tile.wires: a line floats"),
        ("card", "x.yaml: is no card", "x.yaml:3: card: is no card"),
        ("", "wires: a line floats", "x.yaml:3: wires: a line floats"),
        ("tile.wires", "wires are 0 ohm", "x.yaml:3: tile.wires: wires are 0 ohm"),
    ],
)
def test_a_message_does_not_repeat_where_it_is_told_of(path: str, message: str, told: str) -> None:
    assert str(Problem(Location("x.yaml", 3), path, message)) == told
