"""Every number that a file may hold has a lower and an upper bound: a mistaken unit or exponent is refused where it is written."""

import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from analog_sim.config import ConfigError, StrictModel, validate
from analog_sim.config.parts import _discover, _OneOf
from devices.card import DeviceCard
from devices.measurements.configuration.measurement_config import MeasurementConfig
from learning.experiments.configs.estimate import Experiment
from learning.experiments.configs.train import TrainExperiment


def without_bounds(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield from _in_type(field.annotation, list(field.metadata), f"{model.__name__}.{name}", seen)


def _in_type(kind: Any, marks: Sequence[Any], where: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    one_of = [mark for mark in marks if isinstance(mark, _OneOf)]
    if origin is typing.Annotated:
        yield from _in_type(inner[0], [*marks, *inner[1:]], where, seen)
    elif origin in (typing.Union, types.UnionType):
        for each in inner:
            yield from _in_type(each, marks, where, seen)
    elif one_of:
        for part in _discover(one_of[0].package, one_of[0].base).values():
            yield from without_bounds(part, seen)
    elif origin is tuple:
        for each in inner:
            yield from _in_type(each, [], f"{where}[]", seen)
    elif isinstance(kind, type) and issubclass(kind, StrictModel):
        yield from without_bounds(kind, seen)
    elif kind in (int, float):
        found = [inside for mark in marks for inside in getattr(mark, "metadata", [mark])]
        for pair in (("ge", "gt"), ("le", "lt")):
            if all(getattr(mark, bound, None) is None for mark in found for bound in pair):
                yield f"{where}: no {' or '.join(pair)}"


@pytest.mark.parametrize("model", [DeviceCard, MeasurementConfig, Experiment, TrainExperiment])
def test_every_number_has_bounds(model: type[BaseModel]) -> None:
    assert list(without_bounds(model, set())) == []


def test_the_search_finds_numbers_without() -> None:
    class Open(StrictModel):
        a: float = 0.0
        b: tuple[int, ...] = ()

    found = list(without_bounds(Open, set()))
    assert found == ["Open.a: no ge or gt", "Open.a: no le or lt", "Open.b[]: no ge or gt", "Open.b[]: no le or lt"]


EXPLODES = {"kind": "exp_step", "states": 9, "A_up": -1, "A_down": -1, "gamma_up": 100, "gamma_down": 1, "slope": -100}


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (
            {"drift": {"kind": "power_law", "t_ref": 1, "mean": {"level": 0}, "std": {"level": 1e18}}},
            "drift.std.level",
            "must be <= 10",
        ),
        ({"name": "x" * 101}, "name", "must have at most 100 characters"),
        ({"g_min": 19.9999}, "g_min", "must leave a window"),
        ({"iv_alpha": 100, "cost": {"v_read": 1}}, "iv_alpha", "times cost.v_read"),
        ({"cost": {"t_read": "1e20 s"}}, "cost.t_read", "must be <= 10000 s"),
        (
            {"pulse": EXPLODES},
            "pulse",
            "a table is not finite at 0 (got inf)",
        ),
        ({"pulse": EXPLODES | {"slope": -1, "A_up": -1e6}}, "pulse", "a table is not finite at 0 (got 5.9"),
    ],
)
def test_cards_beyond_physics(change: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate({"name": "x", "g_max": 20} | change, DeviceCard)
    assert [problem.path for problem in caught.value.problems] == [key]
    assert message in str(caught.value)
