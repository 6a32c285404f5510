"""Putting trees together: `base:` inheritance, references to other files, overrides.

Never checks a value's type or range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from analog_sim.config.errors import ConfigError, Location, Problem, UserError
from analog_sim.config.text_file import NotText, read_text
from analog_sim.config.yaml12 import Node, parse

Resolver = Callable[[str, Path | None], Path]
Pattern = tuple[str, ...]
BASE, SWEEP, KIND = "base", "sweep", "kind"


def relative_file(text: str, folder: Path | None) -> Path:
    """Resolver: the path of a file, relative to the folder of the file that names it."""
    return (folder or Path.cwd()) / Path(text).expanduser()


class Override(str):
    """`a.b=value` that remembers where it was written when that was not a command line."""

    __slots__ = ("at",)
    at: Location | None

    def __new__(cls, text: str, at: Location | None = None) -> Override:
        """Make an override written at `at` (None: on the command line)."""
        override = super().__new__(cls, text)
        override.at = at
        return override

    def __reduce__(self) -> tuple[type[Override], tuple[str, Location | None]]:
        return Override, (str(self), self.at)


def patterns(references: Mapping[str, Resolver]) -> dict[Pattern, Resolver]:
    """Split the dotted paths of references; a component `*` stands for any key or list position."""
    return {tuple(path.split(".")): resolver for path, resolver in references.items()}


class Assembler:
    """Reads and merges the files of one configuration, collecting problems and the paths that could not be resolved."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.broken: list[tuple[str, ...]] = []

    def file(
        self,
        path: Path,
        references: Mapping[Pattern, Resolver],
        asked: Location | None = None,
        parents: tuple[Path, ...] = (),
    ) -> Node:
        """Return the tree of a file with its bases and references put in. `asked` is where the file was named."""
        if "\0" in str(path):
            raise ConfigError([Problem(asked or Location(repr(str(path))), "", "is not the path of a file")])
        path = path.absolute()
        where = asked or Location.of_file(path)
        if path.resolve() in parents:
            chain = " -> ".join(p.name for p in (*parents, path))
            raise ConfigError([Problem(where, "", f"files refer to each other in a circle: {chain}")])
        here = Location.of_file(path)
        try:
            text = read_text(path)
        except NotText as error:
            at = here.at_line(error.line) if asked is None else where
            told = "" if asked is None else f"{here.at_line(error.line)}: "
            raise ConfigError([Problem(at, "", f"{told}{error}")]) from error
        except OSError as error:
            reason = (
                "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or "cannot be read").lower()
            )
            message = reason if asked is None else f"{here}: {reason}"
            raise ConfigError([Problem(where, "", message)]) from error
        root, problems = parse(text, here.at_line)
        self.problems += problems
        if root is None or not isinstance(root.value, dict):
            what = "is empty" if root is None else "must be a mapping of keys to values"
            raise ConfigError([Problem(here.at_line(1), "", what)])
        root = self.references(root, references, (*parents, path.resolve()))
        base = root.value.get(BASE)
        if base is None:
            return root
        if not isinstance(base.value, str):
            raise ConfigError([Problem(base.at, BASE, "must be the path of a YAML file")])
        own = replace(root, value={key: node for key, node in root.value.items() if key != BASE})
        try:
            target = references.get((BASE,), relative_file)(base.value, path.parent)
        except (UserError, ValueError) as error:
            raise ConfigError([Problem(base.at, BASE, str(error))]) from error
        below = self.file(target, references, base.at, (*parents, path.resolve()))
        return self.merge(below, own, ())

    def references(self, root: Node, references: Mapping[Pattern, Resolver], parents: tuple[Path, ...] = ()) -> Node:
        """Return the tree with each text (or mapping with `base`) at a reference path replaced by its file."""
        for pattern, resolver in references.items():
            if pattern == (BASE,):
                continue  # not a value: how `file` finds what a file inherits from
            below = {(BASE,): resolver} | {
                other[len(pattern) :]: r for other, r in references.items() if _begins(other, pattern)
            }
            root = self._reference(root, pattern, (), resolver, below, parents)
        return root

    def _reference(
        self,
        node: Node,
        pattern: Pattern,
        path: tuple[str, ...],
        resolver: Resolver,
        below: Mapping[Pattern, Resolver],
        parents: tuple[Path, ...],
    ) -> Node:
        if pattern:
            head, rest = pattern[0], pattern[1:]
            if isinstance(node.value, dict):
                keys = [key for key in node.value if head in ("*", key)]
                changed = {k: self._reference(node.value[k], rest, (*path, k), resolver, below, parents) for k in keys}
                return replace(node, value=node.value | changed) if changed else node
            if isinstance(node.value, list):
                items = [
                    self._reference(item, rest, (*path, str(i)), resolver, below, parents)
                    if head in ("*", str(i))
                    else item
                    for i, item in enumerate(node.value)
                ]
                return replace(node, value=items)
            return node
        named = node.value.get(BASE) if isinstance(node.value, dict) else node
        if named is None or not isinstance(named.value, str):
            return node
        try:
            target = resolver(named.value, named.at.folder)
            loaded = self.file(target, below, named.at, parents)
        except ConfigError as error:
            self.broken.append(path)
            self.problems += [replace(p, path=p.path or ".".join(path)) for p in error.problems]
            return node
        except (UserError, ValueError, OSError) as error:
            self.broken.append(path)
            self.problems.append(Problem(named.at, ".".join(path), str(error)))
            return node
        loaded = replace(loaded, key_at=node.key_at)
        if isinstance(node.value, dict):
            own = replace(node, value={key: item for key, item in node.value.items() if key != BASE})
            loaded = self.merge(loaded, own, path)
        return replace(loaded, replaces=True)

    def merge(self, under: Node, over: Node, path: tuple[str, ...]) -> Node:
        """Return `over` put on `under`: mappings key by key, all else replaced.

        A mapping of another `kind` replaces; a text under a mapping is its kind; a mapping of positions changes a
        list's items.
        """
        if over.replaces or not isinstance(over.value, dict):
            return over
        if isinstance(under.value, list) and over.value and all(key.isdecimal() for key in over.value):
            items = list(under.value)
            for key, node in over.value.items():
                if int(key) < len(items):
                    items[int(key)] = self.merge(items[int(key)], node, (*path, key))
                else:
                    where = ".".join((*path, key))
                    self.problems.append(
                        Problem(node.key_at, where, f"no such position; the list has {len(items)} items")
                    )
            return replace(under, value=items)
        kind = over.value.get(KIND)
        if isinstance(under.value, str) and kind is None:
            under = replace(under, value={KIND: replace(under, key_at=under.at)})
        if not isinstance(under.value, dict):
            return over
        old = under.value.get(KIND)
        if kind is not None and old is not None and kind.value != old.value:
            return over
        merged = dict(under.value)
        for key, node in over.value.items():
            merged[key] = self.merge(merged[key], node, (*path, key)) if key in merged else node
        return replace(under, value=merged)

    def override(self, root: Node, overrides: Sequence[str], references: Mapping[Pattern, Resolver]) -> Node:
        """Return the tree with `a.b=value` texts applied in order."""
        for text in overrides:
            at = text.at if isinstance(text, Override) else None
            where = at or Location(f"--set {text}", None, Path.cwd())
            layer = self._layer(str(text), where)
            if layer is not None:
                root = self.merge(root, self.references(layer, references), ())
        return root

    def _layer(self, text: str, at: Location) -> Node | None:
        """Return the tree that holds one override's value at its path, and nothing else."""
        name, equals, value = text.partition("=")
        name = name.strip()
        path = (SWEEP, name[len(SWEEP) + 1 :]) if name.startswith(SWEEP + ".") else tuple(name.split("."))
        if not equals or not all(path):
            self.problems.append(Problem(at, "", "must be PATH=VALUE, for example tile.adc.bits=6"))
            return None
        try:
            parsed, problems = parse(value, lambda line: at)
        except ConfigError as error:
            self.problems += [replace(problem, path=name) for problem in error.problems]
            return None
        self.problems += [replace(p, path=f"{name}.{p.path}" if p.path else name) for p in problems]
        node = parsed or Node(None, at, at)
        for key in reversed(path):
            node = Node({key: node}, at, at)
        return node


def _begins(path: Pattern, prefix: Pattern) -> bool:
    return len(path) > len(prefix) and path[: len(prefix)] == prefix
