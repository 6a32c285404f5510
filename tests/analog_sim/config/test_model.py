import pickle
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from analog_sim.config import ConfigError, Q, StrictModel, at_key, override, validate


class Inner(StrictModel):
    gain: float = 1.0
    bits: Annotated[int, Field(ge=1, le=16)] = 8


class Model(StrictModel):
    schema_: Literal["m/1"] = Field("m/1", alias="schema")
    rate: float = 0.1
    count: int = 3
    flag: bool = False
    name: str = "x"
    mode: Literal["mean", "median"] = "mean"
    sizes: tuple[int, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    inner: Inner = Inner()
    table: dict[str, float] = Field(default_factory=dict)
    many: tuple[Inner, ...] = ()
    either: int | Literal["auto"] = "auto"
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise at_key("low", f"must be < high = {self.high} (got {self.low})")
        if self.name == "forbidden":
            raise ValueError("this combination is not possible")
        return self


def lines(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(data, Model, source="src")
    return str(caught.value).split("\n")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"rate": "0.1"}, "src: rate: must be a number (got text '0.1')"),
        ({"rate": True}, "src: rate: must be a number (got true)"),
        ({"rate": None}, "src: rate: must be a number (got null)"),
        ({"rate": float("nan")}, "src: rate: must be a finite number (got nan)"),
        ({"rate": float("inf")}, "src: rate: must be a finite number (got inf)"),
        ({"count": True}, "src: count: must be a whole number (got true)"),
        ({"count": 1.5}, "src: count: must be a whole number (got 1.5)"),
        ({"count": "3"}, "src: count: must be a whole number (got text '3')"),
        ({"flag": 1}, "src: flag: must be true or false (got 1)"),
        ({"flag": "yes"}, "src: flag: must be true or false (got text 'yes')"),
        ({"name": 3}, "src: name: must be a text (got 3)"),
        ({"mode": "medain"}, "src: mode: must be 'mean' or 'median' (got text 'medain', did you mean 'median'?)"),
        ({"mode": 3}, "src: mode: must be 'mean' or 'median' (got 3)"),
        ({"sizes": 3}, "src: sizes: must be a list; write [3] (got 3)"),
        ({"sizes": [1, "2"]}, "src: sizes.1: must be a whole number (got text '2')"),
        ({"pair": [1, 2, 3]}, "src: pair: must have at most 2 items (got a list of 3)"),
        ({"pair": [1]}, "src: pair.1: missing required key"),
        ({"inner": 3}, "src: inner: must be a mapping of keys to values (got 3)"),
        ({"inner": {"bits": 0}}, "src: inner.bits: must be >= 1 (got 0)"),
        ({"inner": {"bits": 17}}, "src: inner.bits: must be <= 16 (got 17)"),
        ({"inner": {"bist": 8}}, "src: inner.bist: unknown key 'bist', did you mean 'bits'? allowed: gain, bits"),
        ({"many": [{}, {"gain": "x"}]}, "src: many.1.gain: must be a number (got text 'x')"),
        ({"table": {"a": "b"}}, "src: table.a: must be a number (got text 'b')"),
        ({"either": "atuo"}, "src: either: must be a whole number or 'auto' (got text 'atuo')"),
        ({"low": 2}, "src: low: must be < high = 1.0 (got 2.0)"),
        ({"name": "forbidden"}, "src: this combination is not possible"),
        ({"schema": "m/2"}, "src: schema: must be 'm/1' (got text 'm/2', did you mean 'm/1'?)"),
    ],
)
def test_every_mistake_is_one_plain_line(data: dict[str, Any], expected: str) -> None:
    assert lines(data) == [expected]


def test_all_mistakes_at_once_known_and_unknown() -> None:
    found = lines({"rate": "x", "conut": 1, "inner": {"bits": 0, "gian": 2}, "sizes": [True, 2, 3.5]})
    assert sorted(line.split(": ")[1] for line in found) == [
        "conut",
        "inner.bits",
        "inner.gian",
        "rate",
        "sizes.0",
        "sizes.2",
    ]
    assert not any("pydantic" in line or "Input" in line or "Field" in line for line in found)


def test_whole_numbers_are_numbers() -> None:
    model = validate({"rate": 2}, Model)
    assert model.rate == 2.0
    assert type(model.rate) is float


def test_lists_become_tuples_and_models_are_hashable() -> None:
    model = validate({"sizes": [1, 2], "many": [{"gain": 2}]}, Model)
    assert model.sizes == (1, 2)
    assert hash(model.inner) == hash(Inner())


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Inner().gain = 2.0  # type: ignore[misc]


def test_lists_and_sets_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match=r"Bad\.values: use tuple"):

        class Bad(StrictModel):
            values: dict[str, list[int]]


def test_defaults_are_checked_too() -> None:
    class Wrong(StrictModel):
        t: Annotated[float, Q("time", "s", gt=0)] = -1.0

    with pytest.raises(ConfigError, match=r"t: must be > 0 s \(got -1 s\)"):
        validate({}, Wrong)


def test_python_construction_names_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="unknown key 'gian', did you mean 'gain'"):
        Inner(gian=2.0)  # type: ignore[call-arg]


def test_python_name_or_file_name_of_an_aliased_field() -> None:
    assert Model(schema_="m/1") == validate({"schema": "m/1"}, Model)


def test_override_returns_a_checked_copy() -> None:
    model = Model()
    assert override(model, ["inner.bits=4", "sizes=[1, 2]"]) == Model(inner=Inner(bits=4), sizes=(1, 2))
    assert model == Model()
    with pytest.raises(ConfigError) as caught:
        override(model, ["inner.bits=0", "nam=x"])
    assert str(caught.value).split("\n")[0] == "--set inner.bits=0: inner.bits: must be >= 1 (got 0)"
    assert "--set nam=x: nam: unknown key 'nam', did you mean 'name'?" in str(caught.value)


def test_config_error_survives_a_process_boundary() -> None:
    with pytest.raises(ConfigError) as caught:
        validate({"rate": "x"}, Model, source=str(Path("a.yaml")))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.problems == caught.value.problems


def test_an_unknown_key_hides_no_mistake_in_another_key() -> None:
    assert len(lines({"mode": "x", "inner": {"bits": 99, "extra": 2}, "extra": 1})) == 4


def test_checks_across_keys_wait_until_every_key_is_right() -> None:
    # A misspelt `high` would make the check speak of the default instead of what the user meant.
    assert [line.split(":")[1].strip() for line in lines({"low": 3, "hihg": 5})] == ["hihg"]


class Band(StrictModel):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise at_key("low", f"must be < high = {self.high} (got {self.low})")
        if self.low < 0:
            raise ValueError("bands below zero are not possible")
        return self


class Bands(StrictModel):
    first: Band
    second: Band
    third: Band


def test_checks_across_keys_of_parts_appear_beside_other_mistakes() -> None:
    data = {
        "first": {"low": 2, "high": 1},
        "second": {"low": -1, "high": 0},
        "third": {"low": "x", "high": 1},
        "frist": 1,
    }
    with pytest.raises(ConfigError) as caught:
        validate(data, Bands, source="src")
    assert str(caught.value).splitlines() == [
        "src: first.low: must be < high = 1.0 (got 2.0)",
        "src: second: bands below zero are not possible",
        "src: third.low: must be a number (got text 'x')",
        "src: frist: unknown key 'frist', did you mean 'first'? allowed: first, second, third",
    ]


def test_types_without_words_of_their_own_still_read_plainly() -> None:
    class Dated(StrictModel):
        day: date

    with pytest.raises(ConfigError) as caught:
        validate({"day": 3}, Dated)
    assert str(caught.value) == "<python>: day: must be a valid date (got 3)"


def test_a_key_of_a_part_is_found_where_it_belongs() -> None:
    class Part(StrictModel):
        loss: str = "mse"

    class Whole(StrictModel):
        chips: int = 1
        training: Part | None = None
        rows: tuple[Part, ...] = ()

    with pytest.raises(ConfigError, match=r"unknown key 'loss', did you mean 'training\.loss'"):
        validate({"loss": "mse"}, Whole)
