"""Presets of technology nodes: the values of the model they are taken from, and how they meet what a user writes."""

import jsonschema
import pytest

from analog_sim.config import UserError, json_schema, validate
from analog_sim.tiles.tile import TileSpec
from analog_sim.wires import WiresSpec
from analog_sim.wires.presets import PRESETS, SOURCE, WIRES


def test_a_segment_is_resistivity_times_length_over_section() -> None:
    """22 nm: 5.41e-8 ohm m x 44 nm / (22 nm x 44 nm) = 2.459 ohm; twice as long with a transistor."""
    assert PRESETS["22 nm"]["word_line"] == pytest.approx(5.41e-8 * 44e-9 / (22e-9 * 44e-9))
    assert PRESETS["22 nm 1T1R"]["bit_line"] == pytest.approx(4.918, abs=1e-3)
    assert "10.1109/TCAD.2018.2789723" in SOURCE
    for node, wire in WIRES.items():
        assert float(node.removesuffix(" nm")) * 1e-9 == pytest.approx(wire.width)
    values = [PRESETS[node]["word_line"] for node in WIRES]
    assert values == sorted(values), "narrower wires have more"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_written(name: str) -> None:
    wires = validate({"wires": {"preset": name, "driver": "100 ohm"}}, TileSpec).wires
    assert wires is not None
    assert (wires.word_line, wires.bit_line) == tuple(PRESETS[name].values())
    assert WiresSpec.model_validate(wires.model_dump()) == wires


def test_what_is_written_counts() -> None:
    wires = validate({"wires": {"preset": "22 nm", "bit_line": "1 ohm"}}, TileSpec).wires
    assert wires is not None
    assert wires.bit_line == 1.0
    assert wires.word_line == PRESETS["22 nm"]["word_line"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "23 nm"}, "preset.*'23 nm'"),
        ({"preset": 22}, "preset"),
        ({"preset": None}, "word_line: missing"),
        ({}, "word_line"),
    ],
)
def test_refusals(given: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate({"wires": given}, TileSpec)


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({"preset": "22 nm"}, True),
        ({"preset": "22 nm", "bit_line": "1 ohm"}, True),
        ({"word_line": "1 ohm", "bit_line": "1 ohm"}, True),
        ({"bit_line": "1 ohm"}, False),
        ({"preset": "23 nm"}, False),
        ({}, False),
    ],
)
def test_an_editor_accepts_what_a_run_accepts(given: dict, accepted: bool) -> None:
    """The tile's schema requires both segments only where no preset gives them."""
    schema = json_schema(TileSpec)
    # At its top `json_schema` asks for complete parts unless the file has a `base`.
    assert jsonschema.Draft202012Validator(schema).is_valid({"wires": given}) is accepted
    if accepted:
        validate({"wires": given}, TileSpec)
    else:
        with pytest.raises(UserError):
            validate({"wires": given}, TileSpec)
