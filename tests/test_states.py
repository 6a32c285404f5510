"""Checkpoints are typed records: whatever has a state says what is in it, and takes nothing back unseen."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("analog_sim", "devices", "learning")
UNTYPED = 110
"""`dict[str, Any]` in the packages: configurations as they stand in a file, JSON, keyword arguments of libraries. It may only shrink."""


def kept() -> list[tuple[str, ast.FunctionDef]]:
    """(file and class, method) of all that is put into a checkpoint and taken back."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.ClassDef):
                    continue
                pair = {part.name.lstrip("_"): part for part in node.body if isinstance(part, ast.FunctionDef)}
                if {"state", "restore"} <= set(pair):
                    found += [(f"{path}: {node.name}", pair[name]) for name in ("state", "restore")]
    return found


def test_no_state_is_a_dictionary_of_anything() -> None:
    wrong = []
    for where, node in kept():
        said = [argument.annotation for argument in node.args.args] + [node.returns]
        text = " ".join(ast.unparse(one) for one in said if one is not None)
        if any(untyped in text for untyped in ("str, Any]", "str, object]")):
            wrong.append(f"{where}.{node.name}")
    assert len(kept()) > 50
    assert not wrong


def test_untyped_dictionaries_only_grow_fewer() -> None:
    count = sum(
        path.read_text(encoding="utf-8").count("dict[str, Any]")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    )
    assert count <= UNTYPED, "name what is in it: a TypedDict or a dataclass"
