"""Every key that a file may hold is explained: in Python, in the schema for editors, and so in the key reference."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from analog_sim.config import StrictModel, json_schema
from analog_sim.config.described import descriptions
from learning.experiments.commands.check import MODELS


def model_of(name: str) -> type[StrictModel]:
    module, _, attribute = MODELS[name].partition(":")
    found: type[StrictModel] = getattr(importlib.import_module(module), attribute)
    return found


def keys(schema: dict[str, Any], where: str = "") -> dict[str, str]:
    """Dotted place in a schema -> description of every key, those of nested parts included."""
    found: dict[str, str] = {}
    for name, value in schema.get("properties", {}).items():
        found[f"{where}.{name}"] = value.get("description", "")
    for name, value in schema.get("$defs", {}).items():
        if not name.startswith("partial."):
            found |= keys(value, f"{where}{name}")
    return found


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_explained(name: str) -> None:
    found = keys(json_schema(model_of(name)))
    assert len(found) > 40
    missing = [key for key, text in found.items() if len(text) < 3 and not key.endswith((".schema", ".base"))]
    assert missing == []


def test_a_docstring_explains_its_keys() -> None:
    class Inner(StrictModel):
        """What it is.

        Attributes:
            low, high: ends of the range; low comes first.
            name: in tables: a text. file, factory: the Python file and the function in it; or
            model: a checkpoint.
        """

        low: float = 0.0
        high: float = 1.0
        name: str = ""
        file: str = ""
        factory: str = ""
        model: str = ""
        unsaid: int = 0

    assert descriptions(Inner) == {
        "low": "ends of the range; low comes first.",
        "high": "ends of the range; low comes first.",
        "name": "in tables: a text.",
        "file": "the Python file and the function in it",
        "factory": "the Python file and the function in it",
        "model": "a checkpoint.",
    }
    properties = Inner.model_json_schema()["properties"]
    assert properties["name"]["description"] == "in tables: a text."
    assert "description" not in properties["unsaid"]
    assert Inner.model_json_schema()["description"] == "What it is."
