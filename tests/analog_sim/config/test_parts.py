import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import jsonschema
import pytest

from analog_sim.config import ConfigError, StrictModel, discover, dump_yaml, json_schema, one_of, validate

BASE = """
from analog_sim.config import Part
class Law(Part):
    def value(self) -> float: raise AssertionError("abstract")
class Family(Law):
    scale: float = 1.0
"""
NONE = """
from typing import Literal
from {package}.law import Law
class NoLaw(Law):
    kind: Literal["none"] = "none"
"""
LINEAR = """
from typing import Annotated, Literal
from analog_sim.config import Q
from {package}.law import Family
class Linear(Family):
    kind: Literal["linear"] = "linear"
    step: Annotated[float, Q("conductance", "nS", gt=0)]
    points: tuple[int, ...] = ()
"""
NESTED = """
from typing import Annotated, Literal
from analog_sim.config import one_of
from {package}.law import Law
class Nested(Law):
    kind: Literal["nested"] = "nested"
    inner: Annotated[Law, one_of("{package}", Law)]
"""

MakePackage = Callable[..., tuple[str, type[Any]]]


@pytest.fixture
def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePackage:
    """Write a package of parts with a name of its own and return the name and its base class."""

    def make(**files: str) -> tuple[str, type[Any]]:
        package = f"parts_{abs(hash(tmp_path))}"
        folder = tmp_path / package
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for name, text in ({"law": BASE} | files).items():
            (folder / f"{name}.py").write_text(text.replace("{package}", package))
        monkeypatch.syspath_prepend(str(tmp_path))
        module: ModuleType = __import__(f"{package}.law", fromlist=["law"])
        return package, module.Law

    return make


@pytest.fixture
def holder(make_package: MakePackage) -> type[StrictModel]:
    package, base = make_package(none=NONE, linear=LINEAR, nested=NESTED)

    class Holder(StrictModel):
        law: Annotated[base, one_of(package, base)]  # type: ignore[valid-type]
        more: tuple[Annotated[base, one_of(package, base)], ...] = ()  # type: ignore[valid-type]
        maybe: Annotated[base, one_of(package, base)] | None = None  # type: ignore[valid-type]

    return Holder


def test_a_part_is_one_new_file(make_package: MakePackage) -> None:
    package, law = make_package(none=NONE, linear=LINEAR)
    found = discover(package, law)
    assert list(found) == ["linear", "none"]  # sorted; abstract classes and imported names left out
    assert found["linear"].__module__ == f"{package}.linear"


def test_a_kind_defined_twice_is_an_error(make_package: MakePackage) -> None:
    package, law = make_package(none=NONE, other=NONE.replace("NoLaw", "Other"))
    with pytest.raises(
        TypeError, match=r"kind 'none' is defined twice, by parts_\d+\.none\.NoLaw and parts_\d+\.other\.Other"
    ):
        discover(package, law)


@pytest.mark.parametrize("kind", ['Literal["a", "b"] = "a"', 'Literal["a"]'])
def test_a_kind_is_one_literal_and_its_default(make_package: MakePackage, kind: str) -> None:
    package, law = make_package(none=NONE.replace('Literal["none"] = "none"', kind))
    with pytest.raises(TypeError, match="NoLaw: write kind"):
        discover(package, law)


def test_parts_are_not_imported_before_use(make_package: MakePackage) -> None:
    package, base = make_package(broken="raise RuntimeError('imported')")

    class Holder(StrictModel):
        law: Annotated[base, one_of(package, base)]  # type: ignore[valid-type]

    assert f"{package}.broken" not in sys.modules
    with pytest.raises(RuntimeError, match="imported"):
        validate({"law": "none"}, Holder)


def test_mapping_bare_kind_and_instance(holder: type[Any]) -> None:
    held = validate(
        {"law": {"kind": "linear", "step": 5, "points": [1, 2]}, "more": ["none", {"kind": "none"}]}, holder
    )
    assert held.law.step == 5e-9
    assert held.law.points == (1, 2)
    assert [part.kind for part in held.more] == ["none", "none"]
    assert holder(law=held.law) == validate({"law": {"kind": "linear", "step": "5 nS", "points": [1, 2]}}, holder)


def test_round_trip_keeps_the_concrete_fields(holder: type[Any]) -> None:
    held = validate({"law": {"kind": "nested", "inner": {"kind": "linear", "step": 5}}, "maybe": "none"}, holder)
    data = held.model_dump()
    assert data["law"] == {
        "kind": "nested",
        "inner": {"kind": "linear", "scale": 1.0, "step": "5 nS", "points": ()},
    }
    assert validate(data, holder) == held
    assert "step: 5 nS" in dump_yaml(held)
    assert holder.model_validate_json(held.model_dump_json()) == held


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("liner", "law: unknown kind 'liner', did you mean 'linear'? allowed: linear, nested, none"),
        ({"kind": "liner"}, "law.kind: unknown kind 'liner', did you mean 'linear'? allowed: linear, nested, none"),
        ({"kind": 3}, "law.kind: unknown kind '3'; allowed: linear, nested, none"),
        ({"step": 3}, "law: missing key 'kind'; allowed: linear, nested, none"),
        (3, "law: must be a kind or a mapping with a key 'kind'; kinds: linear, nested, none (got 3)"),
        ("linear", "law.step: missing required key"),
        ({"kind": "linear", "step": 0}, "law.step: must be > 0 nS (got 0 nS)"),
        ({"kind": "linear", "step": 1, "stepp": 2}, "law.stepp: unknown key 'stepp', did you mean 'step'?"),
        (
            {"kind": "nested", "inner": {"kind": "nested", "inner": "nne"}},
            "law.inner.inner: unknown kind 'nne', did you mean",
        ),
    ],
)
def test_mistakes_in_parts(holder: type[StrictModel], law: object, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate({"law": law}, holder, source="s")
    assert str(caught.value).startswith(f"s: {expected}")
    assert len(caught.value.problems) == 1


def test_mistakes_in_several_parts_at_once(holder: type[StrictModel]) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(
            {"law": "x", "more": ["none", {"kind": "linear", "step": "x"}], "maybe": {"kind": "none", "a": 1}}, holder
        )
    assert [problem.path for problem in caught.value.problems] == ["law", "more.1.step", "maybe.a"]


def test_schema_has_every_part_and_ends_on_parts_in_parts(holder: type[StrictModel]) -> None:
    schema = json_schema(holder)
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    good: list[dict[str, Any]] = [
        {"law": "none"},
        {"law": {"kind": "linear", "step": "5 nS"}, "maybe": None},
        {"law": {"kind": "nested", "inner": {"kind": "nested", "inner": "none"}}, "more": ["none"]},
        {"base": "x.yaml", "law": {"step": 3}},
    ]
    bad: list[dict[str, Any]] = [
        {},
        {"law": "unknown"},
        {"law": {"step": 3}},
        {"law": {"kind": "linear"}},
        {"law": {"kind": "linear", "step": 0}},
        {"law": {"kind": "none", "step": 1}},
        {"law": {"kind": "nested", "inner": {"kind": "nested", "inner": "unknown"}}},
        {"base": "x.yaml", "law": {"setp": 3}},
    ]
    assert [data for data in good if not check.is_valid(data)] == []
    assert [data for data in bad if check.is_valid(data)] == []


def test_a_mapping_without_a_kind_is_of_the_default_kind():
    from learning.experiments.parallel.base import Parallel

    class Run(StrictModel):
        parallel: Annotated[Parallel, one_of("learning.experiments.parallel", Parallel, default="loky")] = "loky"  # type: ignore[assignment]

    assert (
        validate({"parallel": {"jobs": 2}}, Run).parallel
        == validate({"parallel": {"kind": "loky", "jobs": 2}}, Run).parallel
    )
