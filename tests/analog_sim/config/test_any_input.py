"""Whatever a file holds, the answer is a model that survives a round trip or a ConfigError of plain lines, never another exception."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from analog_sim.config import ConfigError, Q, StrictModel, dump_yaml, load_config, override, validate


class Leaf(StrictModel):
    kind: Literal["a", "b"] = "a"
    sigma: Annotated[float, Q("conductance", "uS", ge=0)] = 1
    t: Annotated[float, Q("time", "h")] | None = None


class Root(StrictModel):
    name: str = "x"
    count: Annotated[int, Field(ge=0)] = 0
    share: Annotated[float, Q("fraction", "%", le=1000)] = 50
    leaf: Leaf = Leaf()
    leaves: tuple[Leaf, ...] = ()
    named: dict[str, float] = Field(default_factory=dict)
    either: bool | int | Literal["auto"] | tuple[str, ...] = "auto"


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.builds(
    dict,
    kind=st.sampled_from(["a", "b"]),
    sigma=NUMBERS.map(abs).filter(lambda x: x < 1e6),
    t=st.none() | NUMBERS.filter(lambda x: abs(x) < 1e8),
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8) | st.sampled_from(
    [
        "off",
        "1e-3",
        "1:30",
        "012",
        "null",
        "~",
        "true",
        "- x",
        "a: b",
        "#",
        "25 uS",
        "0x10",
        "1_0",
        "<<",
        "=",
        "'",
        '"',
        "{",
        "\n",
        " x ",
    ]
)
GOOD = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "count": st.integers(0, 10**20),
        "share": st.floats(-1000, 1000),
        "leaf": LEAVES,
        "leaves": st.lists(LEAVES, max_size=3),
        "named": st.dictionaries(TEXTS.filter(lambda key: key not in ("", "<<")), NUMBERS, max_size=3),
        "either": st.booleans() | st.integers() | st.just("auto") | st.lists(TEXTS, max_size=2),
    },
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
KEYS = (
    st.sampled_from(
        ["name", "count", "share", "leaf", "leaves", "named", "either", "kind", "sigma", "t", "base", "sweep", "0"]
    )
    | TEXTS
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GOOD)
def test_round_trip_through_a_file_is_exact(tmp_path: Path, data: dict[str, Any]) -> None:
    model = validate(data, Root)
    path = tmp_path / "a.yaml"
    path.write_text(dump_yaml(model), encoding="utf-8")
    assert load_config(path, Root) == model
    assert validate(model.model_dump(), Root) == model
    assert Root.model_validate_json(model.model_dump_json()) == model


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, ANYTHING, max_size=5))
def test_any_data(data: dict[str, Any]) -> None:
    check_only_config_errors(lambda: validate(data, Root), data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(KEYS, ANYTHING, max_size=5).map(lambda data: yaml.safe_dump(data, allow_unicode=True))
    | st.text(max_size=40)
)
@example("pydantic: null")
@example("base: .")
@example("base: ''")
@example('base: "\\0"')
@example("a: !!float ''")
@example("a: !!binary x")
@example("? ? a\n: b")
@example("&a a: *a")
@example("%YAML 3.0\n---\na: 1")
@example("a: " + "9" * 5000)
@example("a: " + "[" * 200 + "]" * 200)
def test_any_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    check_only_config_errors(lambda: load_config(path, Root), text)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds("{}={}".format, st.lists(KEYS, max_size=3).map(".".join), st.text(max_size=8) | SCALARS.map(str)),
        max_size=3,
    )
)
@example(["leaves.0.sigma=1"])
@example(["either.0=1"])
@example(["leaf.kind=1", "leaf.kind.x=2"])
@example(["leaves={0: {}}"])
def test_any_override(overrides: list[str]) -> None:
    check_only_config_errors(lambda: override(Root(leaves=(Leaf(),)), overrides), overrides)


def check_only_config_errors(call: Any, given: Any) -> None:
    """``given`` is what the user wrote: a message may quote it, so its own words prove nothing about whose message it is."""
    foreign = [words for words in ("pydantic", "Input should") if words not in str(given)]
    try:
        model = call()
    except ConfigError as error:
        problems = error.problems
    else:
        assert validate(model.model_dump(), Root) == model
        return
    assert problems
    assert not any(words in problem.message for problem in problems for words in foreign)


def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: " + "[" * 20000 + "]" * 20000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_config(path, Root)
