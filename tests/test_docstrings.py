"""What a docstring says of arguments and attributes is what the code has: no parameter forgotten, none that is gone.

Read from the source, nothing is imported. A section `Args:` or `Attributes:` must mention every parameter or public field of
its function or class, and what it lists at the start of a line must exist. Functions without such a section are left to
ruff, which asks for a docstring of every public one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("analog_sim", "devices", "learning") for path in (ROOT / package).rglob("*.py"))
SECTION = re.compile(r"^(?P<indent> *)(?P<name>Args|Attributes):[ ]*(?P<rest>.*)$", re.MULTILINE)
ENTRY = re.compile(r"^((?:\*{0,2}\w+)(?:, \*{0,2}\w+)*):(?:\s|$)")

Definition = ast.FunctionDef | ast.AsyncFunctionDef


def sections(docstring: str) -> dict[str, str]:
    """Args and Attributes -> the text of the section, without its indent."""
    found = {}
    for match in SECTION.finditer(docstring):
        lines = [match["rest"]]
        for line in docstring[match.end() + 1 :].splitlines():
            if line.strip() and len(line) - len(line.lstrip()) <= len(match["indent"]):
                break
            lines.append(line)
        found[match["name"]] = "\n".join(lines)
    return found


def entries(section: str) -> set[str]:
    """Names at the start of the section's least indented lines."""
    lines = [line for line in section.splitlines() if line.strip()]
    indents = [len(line) - len(line.lstrip()) for line in lines if line != lines[0] or line.startswith(" ")]
    least = min(indents, default=0)
    names: set[str] = set()
    for line in lines:
        if len(line) - len(line.lstrip()) <= least and (entry := ENTRY.match(line.strip())):
            names |= {name.strip().lstrip("*") for name in entry[1].split(",")}
    return names


def parameters(function: Definition) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [argument.arg for argument in every if argument.arg not in ("self", "cls")]


def fields(definition: ast.ClassDef) -> list[str]:
    """Public fields that the class itself declares."""
    names = [
        node.target.id
        for node in definition.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not is_class_variable(node.annotation)
    ]
    return [name for name in names if not name.startswith("_") and name not in ("model_config", "kind", "schema_")]


def is_class_variable(annotation: ast.expr) -> bool:
    return "ClassVar" in ast.unparse(annotation)


def known_names(definition: ast.ClassDef) -> set[str]:
    """Whatever an `Attributes:` section may list: fields, properties, methods, what a method assigns to self."""
    names = {node.name for node in definition.body if isinstance(node, Definition)} | set(fields(definition))
    names |= {t.id for n in definition.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    names |= {n.target.id for n in definition.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    for node in ast.walk(definition):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            names.add(node.attr)
    return names


def mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def problems(source: str) -> Iterator[str]:
    """One line per docstring that disagrees with its code."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Definition | ast.ClassDef):
            continue
        docstring = ast.get_docstring(node)
        if docstring is None:
            continue
        found = sections(docstring)
        if isinstance(node, ast.ClassDef):
            init = next((n for n in node.body if isinstance(n, Definition) and n.name == "__init__"), None)
            if "Args" in found and init is not None:
                yield from disagreement(node, found["Args"], docstring, parameters(init), set(parameters(init)))
            if "Attributes" in found:
                inherits = any(
                    not (isinstance(base, ast.Name) and base.id in ("object", "Protocol")) for base in node.bases
                )
                allowed = None if inherits else known_names(node)
                yield from disagreement(node, found["Attributes"], docstring, fields(node), allowed)
        elif "Args" in found:
            yield from disagreement(node, found["Args"], docstring, parameters(node), set(parameters(node)))


def disagreement(
    node: Definition | ast.ClassDef, section: str, docstring: str, wanted: list[str], allowed: set[str] | None
) -> Iterator[str]:
    for name in wanted:
        if not mentions(docstring, name):
            yield f"line {node.lineno}: {node.name} does not tell what {name!r} is"
    for name in sorted(entries(section)):
        if allowed is not None and name not in allowed:
            yield f"line {node.lineno}: {node.name} tells of {name!r}, which it does not have"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_tell_of_what_is_there(path: Path) -> None:
    assert list(problems(path.read_text(encoding="utf-8"))) == []


def function(signature: str, section: str) -> str:
    return f'def f({signature}):\n    """Do.\n\n    Args:\n        {section}\n    """'


def a_class(section: str, body: str, name: str = "Attributes") -> str:
    return f'class A:\n    """Do.\n\n    {name}:\n        {section}\n    """\n    {body}'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (function("a, b", "a: x. b: y."), []),
        (function("a, b", "a: x."), ["line 1: f does not tell what 'b' is"]),
        (function("a", "a: x.\n        old: y."), ["line 1: f tells of 'old', which it does not have"]),
        (function("a", "a: long text with\n            old: no entry.\n\n    Raises:\n        gone: x."), []),
        (function("self, *args, key", "args, key: x."), []),
        (a_class("x: y.", "x: int\n    z: int"), ["line 1: A does not tell what 'z' is"]),
        (a_class("x, w: y.", "x: int"), ["line 1: A tells of 'w', which it does not have"]),
        (a_class("x: y.", "x: int\n    z: ClassVar[int] = 1"), []),
        (a_class("x: y.", "def __init__(self):\n        self.x = 1"), []),
        (a_class("m: y.", "def __init__(self, m):\n        pass", "Args"), []),
        (
            a_class("n: y.", "def __init__(self, m):\n        pass", "Args"),
            ["line 1: A does not tell what 'm' is", "line 1: A tells of 'n', which it does not have"],
        ),
    ],
)
def test_the_check_itself(source: str, expected: list[str]) -> None:
    assert list(problems(source)) == expected
