import math
import pickle
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from analog_sim.config import SI, ConfigError, Q, StrictModel, validate
from analog_sim.config.units import LARGEST, SMALLEST, UNITS

FIELDS = [Q(dimension, unit) for dimension, units in UNITS.items() for unit in units]


class Cell(StrictModel):
    g: Annotated[float, Q("conductance", "uS", ge=0, lt=100)] = 5
    t: Annotated[float, Q("time", "h", gt=0)] | None = None
    many: tuple[Annotated[float, Q("voltage", "mV")], ...] = (1, 2)
    share: Annotated[float, Q("fraction", "", ge=0, le=1)] = 0.5
    temperature: Annotated[float, Q("temperature", "C", ge=-273.15)] = 25


def message(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(data, Cell)
    assert len(caught.value.problems) == 1
    return caught.value.problems[0].message


def test_bare_number_means_the_declared_unit_everywhere() -> None:
    assert Cell().g == 5e-6
    assert Cell(g=25).g == 25e-6
    assert validate({"g": 25}, Cell) == Cell(g=25.0) == Cell(g=np.float32(25))
    assert Cell().many == (1e-3, 2e-3)
    assert Cell().temperature == 298.15


def test_si_is_taken_as_it_is() -> None:
    cell = Cell(g=SI(25e-6), t=SI(3600))
    assert (cell.g, cell.t) == (25e-6, 3600.0)
    assert type(cell.g) is float


def test_text_names_its_unit() -> None:
    cell = validate({"g": "25 nS", "t": "1 year", "many": ["1 V", 5], "share": "5 %", "temperature": "300 K"}, Cell)
    assert (cell.g, cell.t, cell.many, cell.share, cell.temperature) == (2.5e-8, 31557600.0, (1.0, 5e-3), 0.05, 300.0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"g": -0.1}, "must be >= 0 uS (got -0.1 uS)"),
        ({"g": "-1 nS"}, "must be >= 0 uS (got '-1 nS')"),
        ({"g": SI(1.0)}, "must be < 100 uS (got 1 S)"),
        ({"g": 100}, "must be < 100 uS (got 100 uS)"),
        ({"g": "100000 nS"}, "must be < 100 uS (got '100000 nS')"),
        ({"t": 0}, "must be > 0 h (got 0 h)"),
        ({"share": "101 %"}, "must be <= 1 (got '101 %')"),
        ({"share": "half"}, "must be a number, or a text such as '5 %' (got text 'half')"),
        ({"share": "0.5"}, "must be a number (got text '0.5')"),
        ({"temperature": "-1 K"}, "must be >= -273.15 C (got '-1 K')"),
        ({"g": math.nan}, "must be a finite number (got nan)"),
        ({"g": math.inf}, "must be a finite number (got inf)"),
        ({"temperature": "1e400 K"}, "must be <= 9726.85 C (got '1e400 K')"),
        (
            {"g": "25 s"},
            "'s' is a unit of time, not of conductance; allowed: aS, fS, pS, nS, uS, mS, S, G0 (got '25 s')",
        ),
    ],
)
def test_bounds_are_in_the_declared_unit(data: dict[str, Any], expected: str) -> None:
    assert message(data) == expected


@pytest.mark.parametrize(
    ("value", "got"), [(True, "true"), (None, "null"), ([1], "a list of 1"), ({}, "a mapping"), ("25", "text '25'")]
)
def test_only_numbers_and_texts_with_units(value: object, got: str) -> None:
    text = message({"g": value})
    assert text.startswith("must be a conductance, a number in uS or a text with a unit such as '1 uS' (units: aS")
    assert text.endswith(f"(got {got})")


def test_bounds_compare_exactly_at_the_edge() -> None:
    class Edge(StrictModel):
        t: Annotated[float, Q("time", "us", ge=0.3, le=0.3)]

    assert Edge(t=0.3).t == validate({"t": "300 ns"}, Edge).t == 3e-7  # 0.3 * 1e-6 is 3e-7 only in decimal


def test_bad_declarations_fail_when_the_model_is_written() -> None:
    with pytest.raises(TypeError, match="unknown dimension 'mass'"):
        Q("mass", "kg")
    with pytest.raises(TypeError, match="'s' is a unit of time, not of voltage"):
        Q("voltage", "s")
    with pytest.raises(TypeError, match="Q belongs on float"):

        class Wrong(StrictModel):
            n: Annotated[int, Q("time", "s")]


def test_dump_is_text_with_unit_and_reads_back() -> None:
    cell = Cell(g=25, t=2, many=(), share=0.25)
    data = cell.model_dump()
    assert data == {"g": "25 uS", "t": "2 h", "many": (), "share": 0.25, "temperature": "25 C"}
    assert Cell(**data) == cell
    assert pickle.loads(pickle.dumps(cell)) == cell


def test_direct_construction_raises_the_same_words() -> None:
    with pytest.raises(ValidationError, match=r"must be >= 0 uS \(got -3 uS\)"):
        Cell(g=-3)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FIELDS), st.floats(-0.999, 0.999))
def test_every_float_survives_dump_and_load(field: Q, share: float) -> None:
    si = share * LARGEST[field.dimension]
    text = field.text(si)
    assert field.convert(text) == si
    assert field.convert(SI(si)) == si


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FIELDS), st.decimals(-(10**9), 10**9, places=6))
def test_bare_number_equals_text_in_the_declared_unit(field: Q, number: Any) -> None:
    if field.unit:
        texts = []
        for value in (float(number), f"{float(number)!r} {field.unit}"):
            try:
                texts.append(repr(field.convert(value)))
            except PydanticCustomError as error:
                texts.append(error.message().partition(" (got")[0])
        assert texts[0] == texts[1]


@pytest.mark.parametrize("dimension", UNITS)
def test_no_field_is_without_bounds(dimension: str) -> None:
    """A mistaken unit or exponent is refused, both ways, whatever unit the field declares."""
    for unit in UNITS[dimension]:
        field, largest = Q(dimension, unit), LARGEST[dimension]
        assert field.convert(SI(0.99 * largest)) == 0.99 * largest
        for value in (1.01 * largest, -1.01 * largest):
            with pytest.raises(PydanticCustomError, match="must be"):
                field.convert(SI(value))


@pytest.mark.parametrize("dimension", SMALLEST)
def test_what_must_be_more_than_zero_is_not_as_good_as_zero(dimension: str) -> None:
    """A read voltage of 1e-300 V was taken, and every product of its tile was not a number."""
    for unit in UNITS[dimension]:
        positive, any_sign = Q(dimension, unit, gt=0), Q(dimension, unit)
        assert positive.convert(SI(1.01 * SMALLEST[dimension])) == 1.01 * SMALLEST[dimension]
        with pytest.raises(PydanticCustomError, match="must be >= "):
            positive.convert(SI(1e-300))
        with pytest.raises(PydanticCustomError, match="must be > 0 "):
            positive.convert(SI(0.0))
        assert any_sign.convert(SI(1e-300)) == 1e-300


def test_dumped_text_is_short_where_it_can_be() -> None:
    assert Q("conductance", "uS").text(2.5e-5) == "25 uS"
    assert Q("time", "h").text(1.0) == "1 s"  # 1/3600 h has no finite decimal form
    assert Q("time", "year").text(31557600.0) == "1 year"
    assert Q("time", "s").text(1e-7) == "100 ns"
    assert Q("energy", "J").text(2e-15) == "2 fJ"
    assert Q("time", "s").text(3600.0) == "3600 s"
    assert Q("temperature", "C").text(298.15) == "25 C"
    assert Q("fraction", "%").text(0.05) == "5 %"
    assert Q("fraction", "").text(0.05) == 0.05
