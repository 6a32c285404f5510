"""Wires as data, and the refusal of wires that cannot be."""

import math
from pathlib import Path

import pytest

from analog_sim.config import ConfigError, dump_yaml, load_config, validate
from analog_sim.wires import End, Line, Topology, TransposedSpec, WiresError, WiresSpec, simple

ON, OFF = End(1.0, True), End()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: End(-1.0), r"resistance of an end: got -1\.0 ohm, allowed: >= 0 ohm"),
        (lambda: End(math.nan), "resistance of an end: got nan"),
        (lambda: End(math.inf, True), "the line would float"),
        (lambda: Line(-2.0, ON, OFF), r"resistance of a segment: got -2\.0 ohm, allowed: finite, >= 0 ohm"),
        (lambda: Line(math.inf, ON, OFF), "resistance of a segment: got inf"),
        (lambda: Line(1.0, OFF, OFF), "no driven or sensed end: it would float"),
        (lambda: Line(1.0, End(0.0, True), OFF), "an end of 0 ohm on a line with resistive segments"),
        (lambda: Line(0.0, End(0.0, True), End(5.0)), "driven or sensed at one end and grounded at the other"),
        (lambda: Line(0.0, ON, End(0.0)), "driven or sensed at one end and grounded at the other"),
        (lambda: Topology(Line(1.0, ON, OFF), Line(1.0, ON, OFF), -1.0), "resistance of a selector: got -1"),
        (lambda: simple(1.0, -1.0), "resistance of a"),
    ],
)
def test_impossible_wires_are_refused(make: object, message: str) -> None:
    with pytest.raises(WiresError, match=message):
        make()  # type: ignore[operator]


def test_terminals_are_one_segment_away() -> None:
    wires = simple(1.0, 2.0, driver=100.0, sense=50.0, far_ends="grounded")
    assert wires.word == Line(1.0, End(101.0, True), End(1.0))
    assert wires.bit == Line(2.0, End(2.0), End(52.0, True))
    assert simple(1.0, 2.0, drive="both").word == Line(1.0, ON, ON)
    assert simple(0.0, 0.0).ideal
    assert not simple(0.0, 0.0, selector=1.0).ideal
    assert not simple(0.0, 1.0).ideal


def test_the_two_directions_of_a_specification() -> None:
    spec = WiresSpec(word_line=1.0, bit_line="500 mOhm", driver=100.0, sense=100.0, drive="both", sense_at="top")
    back = spec.backward()
    assert back.word == Line(0.5, End(100.5, True), OFF), "bit lines are driven where they are otherwise sensed"
    assert back.bit == Line(1.0, End(101.0, True), End(101.0, True))
    assert spec.forward().reciprocal(back)
    assert (
        not WiresSpec(word_line=1.0, bit_line=1.0, driver=100.0)
        .forward()
        .reciprocal(WiresSpec(word_line=1.0, bit_line=1.0, driver=100.0).backward())
    ), "a driver of 100 ohm where the forward read has a virtual ground"
    other = WiresSpec(word_line=1.0, bit_line=1.0, transposed=TransposedSpec(driver=7.0, drive="top", sense_at="right"))
    assert other.backward().word == Line(1.0, End(8.0, True), OFF)
    assert other.backward().bit == Line(1.0, OFF, ON)


def test_the_specification_reads_yaml_with_units(tmp_path: Path) -> None:
    file = tmp_path / "wires.yaml"
    file.write_text("word_line: 1 ohm\nbit_line: 500 mOhm\ndriver: 0.1 kOhm\npair: columns\ntransposed: {sense: 3}\n")
    spec = load_config(file, WiresSpec)
    assert (spec.word_line, spec.bit_line, spec.driver, spec.pair) == (1.0, 0.5, 100.0, "columns")
    assert spec.transposed == TransposedSpec(sense=3.0)
    again = tmp_path / "again.yaml"
    again.write_text(dump_yaml(spec))
    assert load_config(again, WiresSpec) == spec


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"word_line": "-1 ohm", "bit_line": 1}, r"word_line: must be >= 0 Ohm \(got '-1 ohm'\)"),
        ({"word_line": "1 S", "bit_line": 1}, "word_line: 'S' is a unit of conductance, not of resistance"),
        ({"word_line": 1, "bit_line": 1, "drivers": 3}, "unknown key 'drivers', did you mean 'driver'"),
        ({"word_line": 1}, "bit_line: "),
        ({"word_line": 1, "bit_line": 1, "sense_at": "left"}, "sense_at: "),
        ({"word_line": 1, "bit_line": 1, "tolerance": 0.5}, "tolerance: "),
    ],
)
def test_a_wrong_specification_is_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(data, WiresSpec)
