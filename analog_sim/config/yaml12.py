"""YAML text -> tree of values that know their file and line, by the core schema of YAML 1.2.

Never constructs Python objects. Closed traps of YAML 1.1: `1e-3` is a number, `off` and `no` are texts, `1:30` is
text, `012` is 12, a duplicate key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from analog_sim.config.errors import ConfigError, Location, Problem

Scalar = str | int | float | bool | None
_TAG = "tag:yaml.org,2002:"
_MAX_NODES = 200_000  # aliases can make a small file expand without end
_RESOLVERS: tuple[tuple[str, str, str], ...] = (
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
)


class Text(str):
    """A text of a file that remembers the folder of that file, so that a path in it can be resolved."""

    __slots__ = ("folder",)
    folder: Path | None

    def __new__(cls, value: str, folder: Path | None) -> Text:
        """Make a text written in a file of `folder` (None: in Python)."""
        text = super().__new__(cls, value)
        text.folder = folder
        return text

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


@dataclass(frozen=True, slots=True)
class Node:
    """A value with the place of the value and of its key; `replaces`: over a base it takes the place of all of it."""

    value: Any  # dict[str, Node], list[Node] or a scalar
    at: Location
    key_at: Location
    replaces: bool = field(default=False, compare=False)

    def plain(self) -> Any:
        """Return the value as dicts, lists and scalars; texts keep their folder."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        if type(self.value) is str:
            return Text(self.value, self.at.folder)
        return self.value


def from_python(value: Any, at: Location) -> Node:
    """Wrap plain Python data as a tree whose every value is at one place."""
    if isinstance(value, dict):
        return Node({str(key): from_python(item, at) for key, item in value.items()}, at, at)
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return Node([from_python(item, at) for item in value], at, at)
    return Node(value, at, at)


class Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of the YAML 1.2 core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's interface


class Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what YAML 1.1 or the 1.2 core schema would read as something else."""

    yaml_implicit_resolvers = {key: list(rows) for key, rows in yaml.SafeDumper.yaml_implicit_resolvers.items()}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out in full."""
        return True


def _add_resolvers() -> None:
    for name, pattern, first in _RESOLVERS:
        starts = ["" if letter == "\0" else letter for letter in first]
        for target in (Loader, Dumper):
            target.add_implicit_resolver(_TAG + name, re.compile(pattern), starts)


_add_resolvers()


def parse(text: str, locate: Callable[[int | None], Location]) -> tuple[Node | None, list[Problem]]:
    """Return the tree of one YAML document (None when empty) and its duplicate keys and the like.

    `locate` makes the location of a line (from 1). Raises ConfigError when the text is not YAML.
    """
    builder = _Builder(locate)
    try:
        root = yaml.compose(text, Loader=Loader)
        tree = None if root is None else builder.build(root, None, (), ())
    except RecursionError as error:
        raise ConfigError([Problem(locate(None), "", "nested too deeply")]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        detail = " ".join(part for part in (error.context, error.problem) if part) or "cannot be read"
        raise ConfigError(
            [Problem(locate(mark.line + 1 if mark else None), "", f"not valid YAML: {detail}")]
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character U+{ord(text[error.position]):04X} is not allowed"
        raise ConfigError([Problem(locate(line), "", f"not valid YAML: {what}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(locate(None), "", f"not valid YAML: {' '.join(str(error).split())}")]) from error
    return tree, builder.problems


class _Builder:
    """Turns PyYAML nodes into a tree, collecting problems."""

    def __init__(self, locate: Callable[[int | None], Location]) -> None:
        self.locate = locate
        self.problems: list[Problem] = []
        self.count = 0

    def build(self, node: yaml.Node, key: yaml.Node | None, path: tuple[str, ...], parents: tuple[int, ...]) -> Node:
        key_at = self.locate((key or node).start_mark.line + 1)
        at = self.locate(node.start_mark.line + 1) if isinstance(node, yaml.ScalarNode) else key_at
        self.count += 1
        if self.count > _MAX_NODES or id(node) in parents:
            reason = "contains itself by an alias" if id(node) in parents else f"has more than {_MAX_NODES} values"
            raise ConfigError([Problem(at, ".".join(path), reason)])
        inside = (*parents, id(node))
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, at, path), at, key_at)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            self._report(at, path, f"tag {node.tag.replace(_TAG, '!!')} is not allowed")
        if isinstance(node, yaml.SequenceNode):
            items = [self.build(item, None, (*path, str(i)), inside) for i, item in enumerate(node.value)]
            return Node(items, at, key_at)
        mapping: dict[str, Node] = {}
        for key_node, value in node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            line = self.locate(key_node.start_mark.line + 1)
            if name is None or name == "":
                self._report(line, path, "a key must be a text")
            elif name == "<<":
                self._report(line, path, "merge keys '<<' are not supported; use 'base:' in a file of its own")
            elif name in mapping:
                first = mapping[name].key_at
                self._report(line, (*path, name), f"duplicate key '{name}' (first in line {first.line})")
            else:
                mapping[name] = self.build(value, key_node, (*path, name), inside)
        return Node(mapping, at, key_at)

    def _scalar(self, node: yaml.ScalarNode, at: Location, path: tuple[str, ...]) -> Scalar:
        text = node.value
        try:
            return _READ[node.tag.removeprefix(_TAG)](text)
        except KeyError:
            self._report(at, path, f"tag {node.tag.replace(_TAG, '!!')} is not allowed")
        except ValueError:
            self._report(at, path, f"'{text}' is not a value of the tag {node.tag.replace(_TAG, '!!')}")
        return None

    def _report(self, at: Location, path: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem(at, ".".join(path), message))


def _int(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float | int:
    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    # `1e3` is a natural way to write a count; a field for a float takes the whole number just as well.
    if "." not in text and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


_READ: dict[str, Callable[[str], Scalar]] = {
    "str": str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "null": lambda text: None,
}
