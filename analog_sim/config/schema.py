"""Model -> JSON schema for editors. Never needed to check a file: the models do that."""

import importlib
from operator import attrgetter
from typing import Any

from pydantic import BaseModel

from analog_sim.config.files import NamedFile
from analog_sim.config.model import StrictModel
from analog_sim.config.parts import discover
from analog_sim.config.tree import Resolver

Schema = dict[str, Any]
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_COMPLETE = "complete"
_PARTIAL = "partial."
_RESERVED: Schema = {
    "base": {"type": "string", "description": "YAML file to inherit from, relative to this file"},
    "sweep": {
        "type": "object",
        "description": "dotted path -> list of values; their product is run",
        "additionalProperties": {"type": "array", "minItems": 1},
    },
}


def json_schema(model: type[StrictModel]) -> Schema:
    """Return the JSON schema (draft 2020-12) of a model's files, with every part found in the packages it names.

    `base` and `sweep` are allowed at the top; required keys are required only in a file without `base`.
    """
    definitions: Schema = {}
    waiting: dict[str, tuple[str, str]] = {}
    complete = _own(model, "", definitions, waiting)
    _add_parts(definitions, waiting)
    complete["properties"] = _RESERVED | complete.get("properties", {})
    for path, resolver in model.config_references.items():
        _allow_file(complete, path.split("."), definitions, _file(resolver))
    partial = {_PARTIAL + name: _without_required(value) for name, value in definitions.items()}
    return {
        "$schema": _DRAFT,
        **_without_required(complete),
        "if": {"not": {"required": ["base"]}},
        "then": {"$ref": f"#/$defs/{_COMPLETE}"},
        "$defs": dict(sorted((definitions | partial | {_COMPLETE: complete}).items())),
    }


def _own(model: type[BaseModel], prefix: str, definitions: Schema, waiting: dict[str, tuple[str, str]]) -> Schema:
    """Return one model's schema, moving its nested definitions to the shared table under a prefix."""
    schema = model.model_json_schema(ref_template="#/$defs/" + prefix + "{model}")
    for name, nested in schema.pop("$defs", {}).items():
        definitions[prefix + name] = _linked(nested, waiting)
    linked: Schema = _linked(schema, waiting)
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


def _add_parts(definitions: Schema, waiting: dict[str, tuple[str, str]]) -> None:
    """Add a definition of every part of every package named, and of the packages those name in turn."""
    while todo := [name for name in waiting if name not in definitions]:
        for name in todo:
            package, base = waiting[name]
            module, _, qualified = base.partition(":")
            parts = discover(package, attrgetter(qualified)(importlib.import_module(module)))
            links = [{"$ref": f"#/$defs/{package}.{kind}"} for kind in parts]
            definitions[name] = {"anyOf": [{"enum": list(parts)}, {"oneOf": links}]}
            for kind, part in parts.items():
                definition = _own(part, f"{package}.{kind}.", definitions, waiting)
                definition["required"] = sorted({part.config_kind_key, *definition.get("required", ())})
                definitions[f"{package}.{kind}"] = definition


def _file(resolver: Resolver) -> Schema:
    """Return the schema of what a resolver takes; names are listed, so that editors complete them."""
    path: Schema = {"type": "string", "description": "name or path of a YAML file"}
    names = resolver.names() if isinstance(resolver, NamedFile) else []
    return {"anyOf": [{"enum": names}, path]} if names else path


def _allow_file(schema: Schema, path: list[str], definitions: Schema, file: Schema) -> None:
    """Let the value at a reference path also be the name of a file, or a mapping with `base`."""
    head, rest = path[0], path[1:]
    for node in _alternatives(schema, definitions):
        keyed = node.get("properties", {}) if head != "*" else node
        names = [head] if head != "*" else ["items", "additionalProperties"]
        for name in names:
            if not isinstance(keyed.get(name), dict) or (head == "base" and not rest):
                continue
            if rest:
                _allow_file(keyed[name], rest, definitions, file)
            else:
                changed = [
                    _without_required(found) | {"properties": {"base": file} | _without_required(found)["properties"]}
                    for found in _alternatives(keyed[name], definitions)
                    if "properties" in found
                ]
                meaning = {key: keyed[name][key] for key in ("description", "default") if key in keyed[name]}
                keyed[name] = meaning | {
                    "anyOf": [file, keyed[name], *(schema | {"required": ["base"]} for schema in changed)]
                }


def _alternatives(schema: Schema, definitions: Schema) -> list[Schema]:
    """Return the schemas a value may follow: through references and unions."""
    if "$ref" in schema:
        return _alternatives(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    members = [member for word in ("anyOf", "oneOf") for member in schema.get(word, ())]
    return [schema, *(found for member in members for found in _alternatives(member, definitions))]


def _without_required(schema: Any) -> Any:
    """Return a schema in which nothing is required: for a file that inherits the rest."""
    if isinstance(schema, list):
        return [_without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for word, value in schema.items():
        if word == "required":
            continue
        if word == "properties":
            result[word] = {name: _without_required(item) for name, item in value.items()}
        elif word == "$ref":
            result[word] = f"#/$defs/{_PARTIAL}" + value.removeprefix("#/$defs/").removeprefix(_PARTIAL)
        elif word in ("default", "const", "enum"):
            result[word] = value
        else:
            # Without its `kind` a part may follow several members.
            result["anyOf" if word == "oneOf" else word] = _without_required(value)
    return result
