import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from analog_sim.config import ConfigError, Location
from analog_sim.config.yaml12 import Dumper, Text, parse


def read(text: str) -> Any:
    node, problems = parse(text, lambda line: Location("f", line))
    assert problems == []
    assert node is not None
    return node.plain()


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse(text, lambda line: Location("f", line))[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000),
        ("1e3", 1000),
        ("1.0e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.5e+3", -1500.0),
        ("off", "off"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("on", "on"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("2024-01-02", "2024-01-02"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("25 uS", "25 uS"),
        ("!!str 12", "12"),
        ("!!float 12", 12),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    found = read(f"a: {text}")["a"]
    assert found == value
    assert isinstance(found, type(value))


def test_empty_value_is_null() -> None:
    assert read("a:\nb: 1") == {"a": None, "b": 1}


def test_counts_written_as_powers_are_whole_numbers_and_floats_stay_floats() -> None:
    assert type(read("a: 1e3")["a"]) is int
    assert type(read("a: 1.0e3")["a"]) is float
    assert type(read("a: 1e300")["a"]) is float


def test_infinity_and_nan_are_read_so_that_models_can_refuse_them() -> None:
    assert read("a: -.inf")["a"] == -float("inf")
    assert read("a: .NaN")["a"] != read("a: .nan")["a"]


def test_duplicate_keys_are_reported_at_every_depth() -> None:
    assert problems("a: 1\nb:\n  c: 1\n  c: 2\na: 3") == [
        "f:4: b.c: duplicate key 'c' (first in line 3)",
        "f:5: a: duplicate key 'a' (first in line 1)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !!python/object/apply:os.system ['echo']", "f:1: a: tag !!python/object/apply:os.system is not allowed"),
        ("a: !mine 3", "f:1: a: tag !mine is not allowed"),
        ("a: !!int x", "f:1: a: 'x' is not a value of the tag !!int"),
        ("a: !!set {b}", "f:1: a: tag !!set is not allowed"),
        ("? [1, 2]\n: 3", "f:1: a key must be a text"),
        ("x: &x {a: 1}\ny:\n  <<: *x", "f:3: y: merge keys '<<' are not supported; use 'base:' in a file of its own"),
    ],
)
def test_what_is_not_data_is_refused(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_anchors_work() -> None:
    assert read("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x [*x]", "f:1: a.0: contains itself by an alias"),
        ("a: [1, 2", "f:1: not valid YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb: 2: 3", "f:2: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n\tb: 2", "f:2: not valid YAML: while scanning"),
        ("a: *nothing", "f:1: not valid YAML: found undefined alias 'nothing'"),
        ("a: 1\n---\nb: 2", "f:2: not valid YAML: expected a single document in the stream but found another document"),
        ("a: \x00", "f:1: not valid YAML: the character U+0000 is not allowed"),
    ],
)
def test_broken_yaml_is_one_line(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, lambda line: Location("f", line))
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_aliases_cannot_expand_without_end() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    with pytest.raises(ConfigError, match="has more than 200000 values"):
        parse(bomb, lambda line: Location("f", line))


def test_lines_of_values_keys_and_mappings() -> None:
    node, _ = parse("# comment\na:\n  b:\n    - 1\n    - c: 2\n", lambda line: Location("f", line))
    assert node is not None
    a = node.value["a"]
    assert (a.at.line, a.key_at.line) == (2, 2)  # a mapping is where its key is
    b = a.value["b"]
    assert b.at.line == 3
    assert [item.at.line for item in b.value] == [4, 5]
    assert b.value[1].value["c"].at.line == 5


def test_texts_remember_their_folder() -> None:
    node, _ = parse("a: x.npz", lambda line: Location("f", line, Path("/data")))
    assert node is not None
    text = node.plain()["a"]
    assert isinstance(text, Text)
    assert text.folder == Path("/data")
    assert type(pickle.loads(pickle.dumps(text))) is str


@pytest.mark.parametrize(
    "text", ["off", "1:30", "1e-3", "012", "true", "null", "", "25 uS", "a: b", "0o7", "~", "2024-01-02"]
)
def test_dumped_texts_stay_texts_for_readers_of_both_versions(text: str) -> None:
    written = yaml.dump({"a": text}, Dumper=Dumper)
    assert read(written) == {"a": text}
    assert yaml.safe_load(written) == {"a": text}


@pytest.mark.parametrize("value", [1e-5, 0.1, 1e16, -2.5e-300, 5e-324, 1.7976931348623157e308, 3.0, 7, -0.0])
def test_dumped_numbers_stay_the_same_numbers(value: float) -> None:
    assert read(yaml.dump({"a": value}, Dumper=Dumper)) == {"a": value}
