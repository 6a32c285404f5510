"""Model -> JSON schema for editors. Never needed to check a file: the models do that."""

import importlib
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

from analog_sim.config.model import StrictModel
from analog_sim.config.parts import discover

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(model: type[StrictModel]) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a model, with every part found in the packages it names.

    `base` and `sweep`, which are taken out before the model is checked, are allowed at the top.
    """
    definitions: dict[str, Any] = {}
    waiting: dict[str, tuple[str, str]] = {}
    schema = _own(model, "", definitions, waiting)
    done: set[str] = set()
    while todo := [name for name in waiting if name not in done]:
        for name in todo:
            done.add(name)
            package, base = waiting[name]
            module, _, qualified = base.partition(":")
            parts = discover(package, attrgetter(qualified)(importlib.import_module(module)))
            for kind, part in parts.items():
                definition = _own(part, f"{package}.{kind}.", definitions, waiting)
                definition["required"] = sorted({"kind", *definition.get("required", ())})
                definitions[f"{package}.{kind}"] = definition
            definitions[name] = {
                "anyOf": [{"enum": list(parts)}, {"oneOf": [{"$ref": f"#/$defs/{package}.{kind}"} for kind in parts]}]
            }
    properties = {
        "base": {"type": "string", "description": "YAML file to inherit from, relative to this file"},
        "sweep": {
            "type": "object",
            "description": "dotted path -> list of values; their product is run",
            "additionalProperties": {"type": "array", "minItems": 1},
        },
    }
    schema["properties"] = properties | schema.get("properties", {})
    return {"$schema": _DRAFT, **schema, "$defs": dict(sorted(definitions.items()))}


def _own(
    model: type[BaseModel], prefix: str, definitions: dict[str, Any], waiting: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    """Return one model's schema, moving its nested definitions to the shared table under a prefix."""
    schema = model.model_json_schema(ref_template="#/$defs/" + prefix + "{model}")
    for name, nested in schema.pop("$defs", {}).items():
        definitions[prefix + name] = _linked(nested, waiting)
    linked: dict[str, Any] = _linked(schema, waiting)
    return linked


def _linked(value: Any, waiting: dict[str, tuple[str, str]]) -> Any:
    """Replace the marks that part fields leave by references, and note which packages they name."""
    if isinstance(value, list):
        return [_linked(item, waiting) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _linked(item, waiting) for key, item in value.items() if key != "x-one-of"}
    if "x-one-of" in value:
        package, base = value["x-one-of"]
        name = f"{package}.*"
        waiting[name] = (package, base)
        result["$ref"] = f"#/$defs/{name}"
    return result
