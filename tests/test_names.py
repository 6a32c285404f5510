"""Names in pages, docstrings and comments are names that the code has: files, modules, what modules hold, classes. No class name twice.

A move or a renaming leaves old names behind where no import fails. Read from the sources, nothing is imported.
"""

from __future__ import annotations

import ast
import builtins
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("analog_sim", "devices", "learning")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted(path for house in (*HOUSES, "scripts", "tests") for path in (ROOT / house).rglob("*.py"))
QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[\w./-]*\w\.py")
PATH = re.compile(r"(?:analog_sim|devices|learning|scripts|tests|configs|docs)/[\w./*-]*")
DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
SCPI = re.compile(r"[A-Z]{3,}[a-z]+")
"""A keyword of SCPI with its short form in capitals; it must stand in the sources of the virtual instrument."""
CLASS = re.compile(r"[A-Z]+[a-z][A-Za-z0-9]*")
USERS = ("my_model.py", "my_data.py", "file.py", "devices/pulse/quadratic_step.py", "__init__.py")
"""Files that the reader has or makes, and one that every room has."""
TORCH = (
    "AveragedModel",
    "BatchNorm1d",
    "BatchNorm2d",
    "DataParallel",
    "Dropout",
    "Embedding",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
)
FOREIGN = (
    *TORCH,
    "PReLU",
    "Sequential",
    "TransformerEncoderLayer",
    "IndexDataCacheFile",
    "Figure",
    "DataName",
    "DataValue",
)
"""Classes of other packages, and words of instruments' files, that are spoken of."""
FILES = ("yaml", "json", "html", "csv", "npz", "npy", "txt", "md", "record", "file")
"""Ends of names of other files, and of what looks like one."""
WIRES = "wires came with names of their own; its author still works there"
SHARED = MappingProxyType(
    {
        "Plan": "what a training run consists of, and a module ready for tiles: both rooms are being rewritten",
        "Outcome": "how an estimate, or a training run, ended: both rooms are being rewritten",
        "Law": f"response to a pulse, and current of a non-linear cell: {WIRES}",
        "Line": f"line of a text file, and the lines of an array: {WIRES}",
        "Network": f"of layers, and of wires: {WIRES}",
        "Probes": f"known inputs of a tile, and inputs solved to check a series: {WIRES}",
        "Solution": f"of the slow reference, and of one solve: {WIRES}",
        "Table": f"of text in a report, and of a current over voltage: {WIRES}",
    }
)
"""Public class names that mean two things, and why they still do. May only shrink."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def prose(path: Path) -> str:
    """What a file says in words: a page without its code blocks, the docstrings and comments of a source."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return FENCE.sub("", text)
    words = [
        node.value.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join([*words, *(token.string for token in tokens if token.type == tokenize.COMMENT)])


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """Names that statements define."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((name.asname or name.name) for name in node.names)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from defined([*node.body, *getattr(node, "orelse", [])])


@cache
def top_level() -> frozenset[str]:
    """All names at the top of any source."""
    return frozenset(name for path in SOURCES for name in defined(tree(path).body))


@cache
def attributes() -> frozenset[str]:
    """All names of fields, properties and methods of any class: what a key of a configuration or a dotted phrase may end in."""
    return frozenset(
        name
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        for name in holds(node)
    )


def holds(node: ast.ClassDef) -> set[str]:
    """Fields, methods and what methods assign to self."""
    own = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"}
    return own | set(defined(node.body))


@cache
def held() -> dict[str, set[str]]:
    """Bare name of a module, room or class -> what it holds: names, modules, methods and fields; of all that share the name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCES:
        names = set(defined(tree(path).body))
        room, name = path.parent.name, path.stem
        found[room if name == "__init__" else name] |= names
        if name != "__init__":
            found[room].add(name)
        else:
            found[path.parent.parent.name].add(room)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name] |= holds(node)
    return found


def class_names() -> dict[str, list[str]]:
    """Public class -> modules that define it at their top."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        if relative(path).startswith(HOUSES):
            for node in tree(path).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(relative(path))
    return found


@cache
def keywords() -> frozenset[str]:
    """Keywords that the virtual instrument's sources spell."""
    folder = ROOT / "analog_sim" / "chip" / "server"
    return frozenset(word for path in folder.glob("*.py") for word in SCPI.findall(path.read_text(encoding="utf-8")))


def stale(text: str) -> Iterator[str]:
    """Back-quoted files, modules and classes that are not there."""
    for quoted in (match.removesuffix("()") for match in QUOTED.findall(text)):
        if FILE.fullmatch(quoted):
            known = (ROOT / quoted).is_file() or quoted in USERS
        elif PATH.fullmatch(quoted):
            known = any(ROOT.glob(quoted.rstrip("/")))
        elif DOTTED.fullmatch(quoted):
            known = is_known(quoted.split("."))
        elif CLASS.fullmatch(quoted):
            scpi = SCPI.fullmatch(quoted) is not None and quoted in keywords()
            known = scpi or quoted in top_level() or quoted in FOREIGN or hasattr(builtins, quoted)
        else:
            known = True
        if not known:
            yield quoted


def is_known(parts: list[str]) -> bool:
    """Whether a dotted name leads somewhere, where its first part is a package, room, module or class of ours."""
    if parts[0] not in held() or parts[-1] in FILES:
        return True
    if parts[0] in HOUSES:
        return is_module_or_in_one(parts)
    return parts[1] in held()[parts[0]] or all(part in attributes() for part in parts[1:])


def is_module_or_in_one(parts: list[str]) -> bool:
    """Whether a full name is that of a package, a module, or of what a module holds."""
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        module = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        if module.is_file():
            rest = parts[end:]
            return not rest or (rest[0] in set(defined(tree(module).body)) and all(p in attributes() for p in rest[1:]))
    return False


@pytest.mark.parametrize("path", [*PAGES, *SOURCES], ids=relative)
def test_names_in_words_are_names_in_code(path: Path) -> None:
    assert list(stale(prose(path))) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`tests/test_names.py` and `tests/` and `devices/*/law.py`", []),
        ("`names.py` and `tests/gone.py`", ["names.py", "tests/gone.py"]),
        ("`devices/gone/`", ["devices/gone/"]),
        ("`devices.card.load_card`, `devices.card.DeviceCard.compile()`, `card.DeviceCard`", []),
        ("`devices.card.gone`, `devices.gone`, `card.Gone`", ["devices.card.gone", "devices.gone", "card.Gone"]),
        ("`tile.adc.bits`, `numpy.random.gone`, `config.yaml`", []),
        ("`DeviceCard`, `ValueError`, `Gone`, `OK`", ["Gone"]),
    ],
)
def test_the_check_itself(text: str, expected: list[str]) -> None:
    assert list(stale(text)) == expected


def test_no_class_name_means_two_things() -> None:
    twice = {name: where for name, where in class_names().items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in SHARED} == {}
    assert [name for name in SHARED if name not in twice] == [], "is one thing now: take it off the list"
