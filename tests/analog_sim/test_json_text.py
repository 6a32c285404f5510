"""JSON that may be damaged: a value, or a ValueError whatever is wrong."""

import re
from pathlib import Path

import pytest

from analog_sim.json_text import parse_json

ROOT = Path(__file__).parents[2]
OF_OUR_OWN = {Path("learning/experiments/training/search.py"), Path("analog_sim/json_text.py")}
"""Settings as text that the program wrote in the same process; and the one place that calls it."""


def test_a_value_comes_back() -> None:
    """Text and bytes."""
    assert parse_json('{"a": [1, null]}') == parse_json(b'{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, '{"a":' * 100_000, b"\xff\xfe\x00"])
def test_whatever_is_wrong_is_a_value_error(text: str | bytes) -> None:
    """Endless brackets end in Python's limit of recursion, which is no ValueError and went past every reader as a traceback."""
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_every_reader_of_a_file_uses_it() -> None:
    """No other call of `json.load` in the packages."""
    found = [
        path.relative_to(ROOT)
        for folder in ("analog_sim", "devices", "learning")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bjson\.loads?\(", path.read_text())
    ]
    assert set(found) == OF_OUR_OWN
