"""Checkpoints are typed records: whatever has a state says what is in it, and takes nothing back unseen."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("analog_sim", "devices", "learning")
STATES = ("state", "_state", "restore", "_restore")
UNTYPED = 98
"""`dict[str, Any]` in the packages: configurations as they stand in a file, JSON, keyword arguments of libraries. It may only shrink."""


def functions() -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [(path.as_posix(), node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return found


def test_no_state_is_a_dictionary_of_anything() -> None:
    wrong, seen = [], 0
    for path, node in functions():
        if node.name not in STATES:
            continue
        seen += 1
        said = [argument.annotation for argument in node.args.args] + [node.returns]
        text = " ".join(ast.unparse(one) for one in said if one is not None)
        if any(untyped in text for untyped in ("str, Any]", "str, object]")):
            wrong.append(f"{path}: {node.name}")
    assert seen > 50
    assert not wrong


def test_untyped_dictionaries_only_grow_fewer() -> None:
    count = sum(
        path.read_text(encoding="utf-8").count("dict[str, Any]")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    )
    assert count <= UNTYPED, "name what is in it: a TypedDict or a dataclass"
