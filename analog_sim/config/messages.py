"""Validation errors -> one line per problem with file and line. Never shows the words of the validation library."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from analog_sim.config.errors import ConfigError, Location, Problem, did_you_mean, shown
from analog_sim.config.yaml12 import Node, parse

_EXPECTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = MappingProxyType(
    {
        "float_type": lambda c: "must be a number",
        "float_parsing": lambda c: "must be a number",
        "finite_number": lambda c: "must be a finite number",
        "int_type": lambda c: "must be a whole number",
        "int_parsing": lambda c: "must be a whole number",
        "int_from_float": lambda c: "must be a whole number",
        "bool_type": lambda c: "must be true or false",
        "bool_parsing": lambda c: "must be true or false",
        "string_type": lambda c: "must be a text",
        "none_required": lambda c: "must be null",
        "tuple_type": lambda c: "must be a list",
        "dict_type": lambda c: "must be a mapping of keys to values",
        "mapping_type": lambda c: "must be a mapping of keys to values",
        "model_type": lambda c: "must be a mapping of keys to values",
        "model_attributes_type": lambda c: "must be a mapping of keys to values",
        "greater_than": lambda c: f"must be > {c['gt']}",
        "greater_than_equal": lambda c: f"must be >= {c['ge']}",
        "less_than": lambda c: f"must be < {c['lt']}",
        "less_than_equal": lambda c: f"must be <= {c['le']}",
        "multiple_of": lambda c: f"must be a multiple of {c['multiple_of']}",
        "string_too_short": lambda c: f"must have at least {c['min_length']} characters",
        "string_too_long": lambda c: f"must have at most {c['max_length']} characters",
        "string_pattern_mismatch": lambda c: f"must match the pattern {c['pattern']}",
        "too_short": lambda c: f"must have at least {c['min_length']} items",
        "too_long": lambda c: f"must have at most {c['max_length']} items",
        "literal_error": lambda c: f"must be {c['expected']}",
        "enum": lambda c: f"must be {c['expected']}",
        "is_instance_of": lambda c: f"must be a {c['class']}",
    }
)


def problems_of(error: ValidationError, root: Node) -> list[Problem]:
    """Return one problem per place; what each member of a union expected is joined by 'or'."""
    grouped: dict[tuple[tuple[str, ...], bool], list[tuple[Location, str, str]]] = {}
    lines = error.errors(include_url=False)
    for index, line in enumerate(lines):
        if line["type"] == "too_short" and _has_faulty_items(line["loc"], lines):
            continue
        context = line.get("ctx", {})
        loc: Sequence[int | str] = line["loc"]
        if "key" in context:
            loc = (*loc, str(context["key"]))
        path, node, in_union = _walk(
            root,
            loc,
            names_key=line["type"] == "missing" or "key" in context,
            of_mapping=isinstance(line["input"], Mapping),
        )
        at = node.key_at if line["type"] == "config_unknown" else node.at
        text, got = _message(line["type"], line["msg"], context, line["input"])
        key = (path, True) if in_union else ((*path, f"\0{index}"), False)
        grouped.setdefault(key, []).append((at, text, got))
    found = []
    for (path, in_union), entries in grouped.items():
        at, _, got = entries[0]
        texts = list(dict.fromkeys(text for _, text, _ in entries))
        if all(text.startswith("must be ") for text in texts):
            text = "must be " + " or ".join(t.removeprefix("must be ") for t in texts)
        else:
            text = ", or ".join(texts)
        found.append(Problem(at, ".".join(path if in_union else path[:-1]), text + got))
    return found


def _has_faulty_items(loc: tuple[int | str, ...], lines: Sequence[ErrorDetails]) -> bool:
    """Whether items of the list at `loc` are at fault: they are told of, and pydantic counts only the others."""
    return any(len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in lines)


def _walk(
    root: Node, loc: Sequence[int | str], *, names_key: bool, of_mapping: bool
) -> tuple[tuple[str, ...], Node, bool]:
    """Follow an error's location through the tree; a step that is no key there names the member of a union.

    Unless it is the last step and the key is known to be meant (`names_key`), or a mapping lacks it and the value at
    fault is no mapping (`of_mapping`): the default of a key that was not written.
    """
    path: list[str] = []
    node, in_union = root, False
    for position, step in enumerate(loc):
        value = node.value
        if isinstance(value, dict) and step in value:
            node = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            node = value[step]
        elif not isinstance(value, dict) and step == "kind":
            continue  # a bare kind: the text itself is at fault
        elif position < len(loc) - 1 or not (names_key or (isinstance(value, dict) and not of_mapping)):
            in_union = True
            continue
        path.append(str(step))
    return tuple(path), node, in_union


def _message(kind: str, message: str, context: Mapping[str, Any], value: object) -> tuple[str, str]:
    """Return what was expected and what was got."""
    if kind == "missing":
        return "missing required key", ""
    if "message" in context:
        text, separator, got = str(context["message"]).partition(" (got ")
        return text, separator + got
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", message)), ""
    got = f" (got {shown(value)})"
    if kind in ("literal_error", "enum"):
        names = re.findall(r"'([^']*)'", str(context["expected"]))
        if isinstance(value, str) and (hint := did_you_mean(value, names)):
            got = f" (got {shown(value)}{hint})"
    if kind in _EXPECTED:
        return _EXPECTED[kind](context), got
    text = message.replace("Input should", "must")
    return text[:1].lower() + text[1:], got


def advised(problem: Problem, root: Node, trial: Callable[[Node], list[Problem]], *, sweeps: bool) -> Problem:
    """Return a problem with what to write instead, where that was tried and is right.

    One value where a list is wanted: the list. Several values where one is wanted: a sweep, if the file may have one.
    `trial` says what would be wrong with a tree.
    """
    path = tuple(problem.path.split("."))
    node = _at(root, path)
    if node is None or node.value is None or isinstance(node.value, dict):
        return problem
    texts = _pieces(node)
    pieces = [_parsed(text, node) for text in texts]
    if not texts or None in pieces:
        return problem

    def right(value: Any) -> bool:
        wrong = trial(_with(root, path, replace(node, value=value)))
        return not any(other.path == problem.path or other.path.startswith(problem.path + ".") for other in wrong)

    values = f"[{', '.join(texts)}]"
    by_option = problem.where.source.startswith("--set ")
    if "must be a list" in problem.message:
        if isinstance(node.value, list) or not right(pieces):
            return problem
        advice = f"write --set '{problem.path}={values}'" if by_option else f"write {values}"
    else:
        if not sweeps or len(pieces) < 2 or not all(piece is not None and right(piece.value) for piece in pieces):
            return problem
        sweep = f"analog-hil sweep CONFIG --set 'sweep.{problem.path}={values}'"
        advice = f"for several values use a sweep: {sweep if by_option else f'sweep: {{{problem.path}: {values}}}'}"
    message, separator, got = problem.message.rpartition(" (got ")
    return replace(problem, message=f"{message}; {advice}{separator}{got}" if separator else f"{got}; {advice}")


_MOST_PIECES = 20


def _pieces(node: Node) -> list[str]:
    """The values that somebody may have meant: of a text those between commas, of a list its items."""
    if isinstance(node.value, list):
        texts = [str(item.value) for item in node.value if isinstance(item.value, str | int | float)]
        texts = texts if len(texts) == len(node.value) else []
    else:
        texts = [text.strip() for text in str(node.plain()).split(",")]
    return texts if len(texts) <= _MOST_PIECES and all(texts) else []


def _parsed(text: str, like: Node) -> Node | None:
    """Return a value as a file would hold it, at the place of another; None for what is no YAML."""
    try:
        parsed, problems = parse(text, lambda line: like.at)
    except ConfigError:
        return None
    return None if problems else parsed


def _at(root: Node, path: Sequence[str]) -> Node | None:
    """Return the node at a path, None where there is none."""
    node = root
    for step in path:
        value = node.value
        if isinstance(value, dict) and step in value:
            node = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            node = value[int(step)]
        else:
            return None
    return node


def _with(root: Node, path: Sequence[str], node: Node) -> Node:
    """Return the tree with another node at a path that exists."""
    if not path:
        return node
    step, rest = path[0], path[1:]
    if isinstance(root.value, list):
        items = list(root.value)
        items[int(step)] = _with(items[int(step)], rest, node)
        return replace(root, value=items)
    return replace(root, value=root.value | {step: _with(root.value[step], rest, node)})
