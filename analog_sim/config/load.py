"""YAML file -> checked model, with every mistake reported at once. Never keeps anything between two calls."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from analog_sim.config.errors import ConfigError, Location, Problem
from analog_sim.config.messages import advised, problems_of
from analog_sim.config.model import StrictModel
from analog_sim.config.tree import KIND, SWEEP, Assembler, Override, Resolver, patterns
from analog_sim.config.yaml12 import Node, Text, from_python, parse

M = TypeVar("M", bound=StrictModel)


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One point of a sweep: the swept paths with their values, for tables, and the overrides that make the point."""

    label: dict[str, Any]
    overrides: tuple[Override, ...]


def load_config(
    path: str | Path,
    model: type[M],
    *,
    overrides: Sequence[str] = (),
    references: Mapping[str, Resolver] | None = None,
) -> M:
    """Return the model of a YAML file with its `base`, references and overrides applied; a `sweep` is left out.

    `references` maps a dotted path (`*` for any key) to a function (text, folder of the file or None) -> Path of
    the file to put in.
    Raises ConfigError with every mistake.
    """
    return load_with_source(path, model, overrides=overrides, references=references)[0]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the values of a configuration were written, for checks that come after those of the model."""

    root: Node

    def at(self, *path: str | int) -> Location:
        """Where the value at a path was written; of what does not exist, the place of what would hold it."""
        return self._walk(path)[0].at

    def holds(self, *path: str | int) -> bool:
        """Whether there is a value at a path."""
        return self._walk(path)[1] == len(path)

    def place(self, message: str) -> Problem:
        """A message as a problem of the file; at the line of the dotted key that it begins with, where the file has that key."""
        key, colon, rest = message.partition(": ")
        path = tuple(key.replace("[", ".").replace("]", "").split("."))
        if colon and self.holds(*path):
            return Problem(self.at(*path), key, rest)
        return Problem(self.root.at.at_line(None), "", message)

    def _walk(self, path: Sequence[str | int]) -> tuple[Node, int]:
        node = self.root
        for done, step in enumerate(path):
            inner = node.value
            if isinstance(inner, dict) and str(step) in inner:
                node = inner[str(step)]
            elif isinstance(inner, list) and str(step).isdecimal() and int(step) < len(inner):
                node = inner[int(step)]
            else:
                return node, done
        return node, len(path)


def load_with_source(
    path: str | Path,
    model: type[M],
    *,
    overrides: Sequence[str] = (),
    references: Mapping[str, Resolver] | None = None,
) -> tuple[M, Source]:
    """As `load_config`, with the places of all values, those of `sweep` included."""
    assembler, whole = _assemble(path, overrides, model.config_references if references is None else references)
    root = replace(whole, value={key: node for key, node in whole.value.items() if key != SWEEP})
    return _check(root, model, assembler), Source(whole)


def find_key(path: str | Path, key: str, *, overrides: Sequence[str] = ()) -> tuple[Any, Location]:
    """Return the unchecked value of a top-level key (None when absent) and where it is written. Raises ConfigError."""
    _, root = _assemble(path, overrides, {})
    node = root.value.get(key)
    return (None, root.at) if node is None else (_unmarked(node.plain()), node.at)


def validate(data: Mapping[str, Any], model: type[M], *, source: str = "<python>") -> M:
    """Return the model of a dict. Raises ConfigError with every mistake, each beginning with `source`."""
    assembler = Assembler()
    root = assembler.references(from_python(dict(data), Location(source)), patterns(model.config_references))
    return _check(root, model, assembler)


def override(model: M, overrides: Sequence[str]) -> M:
    """Return a changed copy of a model: `override(card, ["read_noise.sigma=0.1"])`. Raises ConfigError."""
    assembler = Assembler()
    root = from_python(model.model_dump(by_alias=True), Location("<python>"))
    root = assembler.override(root, overrides, patterns(model.config_references))
    return _check(root, type(model), assembler)


def refilled(model: M, path: str | Path) -> M:
    """A model whose keys that were left out are as in the resolved YAML at `path`, not as the program's defaults.

    Raises ConfigError when the two make no model.
    """
    assembler = Assembler()
    under = assembler.file(Path(path), {})
    over = from_python(_given(model), Location("<python>"))
    return _check(assembler.merge(under, over, ()), type(model), assembler)


def _given(model: StrictModel) -> dict[str, Any]:
    """What a model was given, at any depth: defaults left out, kinds kept."""
    whole = model.model_dump(by_alias=True)
    found: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        if name not in model.model_fields_set and name != KIND:
            continue
        key, value = field.alias or name, getattr(model, name)
        found[key] = _given(value) if isinstance(value, StrictModel) else whole[key]
    return found


def expand_sweep(path: str | Path, *, overrides: Sequence[str] = ()) -> list[SweepPoint]:
    """Return the points of a file's `sweep` (dotted path -> list of values).

    Their product, the last path varying fastest.

    Without a `sweep` there is one point without overrides. Raises ConfigError.
    """
    assembler, root = _assemble(path, overrides, {})
    problems = list(assembler.problems)
    sweep = root.value.get(SWEEP)
    if sweep is not None and not isinstance(sweep.value, dict):
        problems.append(Problem(sweep.at, SWEEP, "must be a mapping of dotted paths to lists of values"))
    axes = sweep.value if sweep is not None and isinstance(sweep.value, dict) else {}
    for name, values in axes.items():
        if not isinstance(values.value, list) or not values.value:
            problems.append(Problem(values.at, f"{SWEEP}.{name}", "must be a list of at least one value"))
    if problems:
        raise ConfigError(_sorted(problems))
    choices = [[(name, node) for node in values.value] for name, values in axes.items()]
    return [
        SweepPoint(
            {name: _unmarked(node.plain()) for name, node in point},
            tuple(Override(f"{name}={_expression(node)}", node.at) for name, node in point),
        )
        for point in itertools.product(*choices)
    ]


def _assemble(path: str | Path, overrides: Sequence[str], references: Mapping[str, Resolver]) -> tuple[Assembler, Node]:
    assembler = Assembler()
    split = patterns(references)
    root = assembler.file(Path(path).expanduser(), split)
    return assembler, assembler.override(root, overrides, split)


def _check(root: Node, model: type[M], assembler: Assembler) -> M:
    found: list[Problem] = []
    checked: M | None = None
    try:
        checked = model.model_validate(root.plain())
    except ValidationError as error:
        found = problems_of(error, root)
    # A reference that could not be read is one mistake, not also a text where a mapping should be.
    broken = [".".join(path) for path in assembler.broken]
    found = [p for p in found if not any(p.path == b or p.path.startswith(b + ".") for b in broken)]
    problems = _sorted(assembler.problems + found)
    if problems or checked is None:
        trial = partial(_trial, model)
        raise ConfigError([advised(problem, root, trial, sweeps=model.config_sweeps) for problem in problems])
    return checked


def _trial(model: type[StrictModel], root: Node) -> list[Problem]:
    """What would be wrong with a tree."""
    assembler = Assembler()
    root = assembler.references(root, patterns(model.config_references))
    try:
        model.model_validate(root.plain())
    except ValidationError as error:
        return assembler.problems + problems_of(error, root)
    return assembler.problems


def _sorted(problems: Sequence[Problem]) -> list[Problem]:
    """Order by file in order of appearance, then by line."""
    order: dict[str, int] = {}
    for problem in problems:
        order.setdefault(problem.where.source, len(order))
    return sorted(problems, key=lambda p: (order[p.where.source], p.where.line or 0))


def _expression(node: Node) -> str:
    """Return a value as YAML on one line."""
    plain = _unmarked(node.plain())
    if isinstance(plain, str):
        try:
            parsed, problems = parse(plain, lambda line: node.at)
        except ConfigError:
            parsed, problems = None, []
        if parsed is not None and not problems and parsed.value == plain:
            return plain
    return json.dumps(plain, ensure_ascii=False)


def _unmarked(value: Any) -> Any:
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, dict):
        return {key: _unmarked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    return value
