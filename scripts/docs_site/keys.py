"""The key reference: one page for each kind of file and one for each package of parts, from the schemas for editors.

It never writes a sentence of its own on a key: what a key means stands in its model's docstring.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from analog_sim.config import UserError, json_schema, load_config
from devices.card import CARDS, DeviceCard
from learning.experiments.commands.check import MODELS

ROOT = Path(__file__).resolve().parents[2]
Schema = dict[str, Any]
FILES = {
    "estimate/1": ("estimate", "Accuracy on emulated chips (`analog-hil estimate`, `analog-hil sweep`)."),
    "train/1": ("train", "Training in place (`analog-hil train`, `analog-hil search`)."),
    "calibrate/1": ("calibrate", "Measuring a chip: device card, fault map and twin (`analog-hil calibrate`)."),
    "card/1": ("card", "A device card: the physics of one cell (`analog-hil characterise`)."),
    "measurements/1": ("measurements", "A measurement to fit a card to (`analog-hil fit`)."),
    "serve/1": ("serve", "The emulated chip as an instrument (`analog-hil serve`)."),
}
"""Schema -> page, what its files are for."""
OWN_PAGE = {"DeviceCard": "card"}
"""Models that are files of their own -> their page."""


def pages() -> dict[str, str]:
    """Name of a page below `reference/` -> its Markdown."""
    found = examples()
    roots = {}
    for name, place in MODELS.items():
        module, _, attribute = place.partition(":")
        roots[name] = json_schema(getattr(importlib.import_module(module), attribute))
    definitions = {
        key: value
        for schema in roots.values()
        for key, value in schema["$defs"].items()
        if not key.startswith("partial.")
    }
    where = _where(roots, definitions)
    made = {}
    for name, (page, purpose) in FILES.items():
        complete = roots[name]["$defs"]["complete"]
        text = [f"# Keys of `{name}`", "", purpose, "", *_table("", complete, where, found, page, roots[name])]
        for key, value in roots[name]["$defs"].items():
            if where.get(key) == page and key != "complete":
                text += _section(key, value, where, found, page)
        made[f"{page}.md"] = "\n".join(text) + "\n"
    for package in sorted({_package(key) for key in definitions if "." in key and key.endswith(".*")}):
        page = package.replace(".", "_")
        text = [f"# Parts: `{package}`", "", _door(package), ""]
        for key, value in sorted(definitions.items()):
            if where.get(key) == page and not key.endswith(".*"):
                text += _section(key, value, where, found, page)
        made[f"{page}.md"] = "\n".join(text) + "\n"
    made["index.md"] = _index(definitions)
    return made


def _index(definitions: Schema) -> str:
    lines = [
        "# Key reference",
        "",
        "Every key of every file: what it means, its unit, default, an example and what is allowed. Made from the same models that check",
        "your file; editors show the same text (`analog-hil check FILE --schema FILE.json`).",
        "",
        "| file | for |",
        "|---|---|",
        *(f"| [`{name}`]({page}.md) | {purpose} |" for name, (page, purpose) in FILES.items()),
        "",
        "A *part* is chosen by its `kind` (or its bare name): a law, a rule, a write scheme, a reader.",
        "",
        "| parts | kinds |",
        "|---|---|",
    ]
    for package in sorted({_package(key) for key in definitions if key.endswith(".*")}):
        kinds = [key.rpartition(".")[2] for key in sorted(definitions) if _is_part(key, package)]
        lines.append(f"| [`{package}`]({package.replace('.', '_')}.md) | {', '.join(f'`{kind}`' for kind in kinds)} |")
    return "\n".join(lines) + "\n"


def _door(package: str) -> str:
    """First line of a package's docstring."""
    text = (importlib.import_module(package).__doc__ or "").strip()
    return " ".join(text.partition("\n\n")[0].split())


def _package(key: str) -> str:
    return key.removesuffix(".*")


def _is_part(key: str, package: str) -> bool:
    return key.startswith(f"{package}.") and key.count(".") == package.count(".") + 1 and not key.endswith(".*")


def _where(roots: dict[str, Schema], definitions: Schema) -> dict[str, str]:
    """Definition -> the page on which it stands: parts and what belongs to them on their package's, others on the first file's."""
    packages = sorted((_package(key) for key in definitions if key.endswith(".*")), key=len, reverse=True)
    found = {}
    for key in definitions:
        home = next((package for package in packages if key.startswith(f"{package}.")), None)
        if home is not None:
            found[key] = home.replace(".", "_")
    for name, (page, _) in FILES.items():
        for key in roots[name]["$defs"]:
            if key in definitions and key != "complete":
                found.setdefault(key, OWN_PAGE.get(key, page))
    own = set(roots["card/1"]["$defs"])
    return {key: "card" if key in own and "." not in key else page for key, page in found.items()}


def _section(
    key: str, schema: Schema, where: dict[str, str], examples: dict[tuple[str, str], Any], page: str
) -> list[str]:
    if "properties" not in schema:
        return []
    title = key.rpartition(".")[2]
    return [
        "",
        f"## `{title}` {{ #{_anchor(key)} }}",
        "",
        _plain(schema.get("description", "")),
        "",
        *_table(key, schema, where, examples, page, schema),
    ]


def _table(
    key: str, schema: Schema, where: dict[str, str], examples: dict[tuple[str, str], Any], page: str, root: Schema
) -> list[str]:
    lines = ["| key | meaning | unit | default | example | allowed |", "|---|---|---|---|---|---|"]
    owner = key.rpartition(".")[2] or str(schema.get("title", ""))
    required = set(schema.get("required", ()))
    for name, value in schema["properties"].items():
        if name in ("base", "sweep", "schema"):
            continue
        meaning, unit = _meaning(value)
        default = (
            "its own defaults"
            if isinstance(value.get("default"), dict) and "kind" not in value["default"]
            else "*required*"
            if name in required or "default" not in value
            else f"`{_yaml(value['default'])}`"
        )
        shown = examples.get((owner, name), examples.get((str(schema.get("title", "")), name), _made_up(name, value)))
        example = f"`{name}: {_yaml(shown)}`"
        cells = (f"`{name}`", _plain(meaning), unit, default, example, ", ".join(_allowed(value, where, page)) or "any")
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return lines


UNIT = re.compile(
    r"\(?(?P<dimension>[a-z ]+); a bare number is in (?P<unit>[^;]+); units: [^)]*\)?|\(?fraction; '5 %' is 0\.05; units: [^)]*\)?"
)


def _meaning(value: Schema) -> tuple[str, str]:
    """What a key means, and its unit."""
    text = str(value.get("description", ""))
    units = [
        found for alternative in _alternatives(value) if (found := UNIT.search(str(alternative.get("description", ""))))
    ]
    own = UNIT.search(text)
    if own is not None:
        units.append(own)
        text = text.replace(own[0], "").strip()
    unit = ""
    if units:
        unit = "share, or %" if units[0]["unit"] is None else f"{units[0]['dimension'].strip()}, {units[0]['unit']}"
    return text, unit


def _alternatives(value: Schema) -> Iterator[Schema]:
    yield value
    for word in ("anyOf", "oneOf"):
        for member in value.get(word, ()):
            yield from _alternatives(member)
    if isinstance(value.get("items"), dict):
        yield from _alternatives(value["items"])


def _allowed(value: Schema, where: dict[str, str], page: str) -> list[str]:
    """What may stand at a key, in words."""
    said = []
    if "$ref" in value:
        said.append(_link(value["$ref"].removeprefix("#/$defs/"), where, page))
    elif "const" in value:
        said.append(f"`{_yaml(value['const'])}`")
    elif "enum" in value:
        said += [f"`{_yaml(one)}`" for one in value["enum"]]
    elif "anyOf" in value or "oneOf" in value:
        for member in (*value.get("anyOf", ()), *value.get("oneOf", ())):
            said += _allowed(member, where, page)
    elif value.get("type") == "array":
        inner = _allowed(value["items"], where, page) if isinstance(value.get("items"), dict) else []
        said.append("list of " + (" or ".join(inner) or "values"))
    elif value.get("type") in ("number", "integer"):
        said.append(_range(value))
    elif value.get("type") == "string":
        pattern = value.get("pattern", "")
        said.append(
            "text with a unit" if pattern.startswith(r"^\s*[+-]") else f"text like `{pattern}`" if pattern else "text"
        )
    elif value.get("type") == "boolean":
        said += ["`true`", "`false`"]
    elif value.get("type") == "null":
        said.append("`null`")
    elif value.get("type") == "object" or "properties" in value:
        said.append("mapping")
    return list(dict.fromkeys(said))


def _range(value: Schema) -> str:
    words = "whole number" if value["type"] == "integer" else "number"
    bounds = [
        f"{sign} {value[key]:.6g}"
        for key, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤"))
        if key in value and abs(value[key]) < 1e12
    ]
    return " ".join([words, *bounds])


def _link(key: str, where: dict[str, str], page: str) -> str:
    key = key.removeprefix("partial.")
    if key.endswith(".*"):
        package = _package(key)
        return f"[{package.rpartition('.')[2]}]({package.replace('.', '_')}.md)"
    target = where.get(key)
    if target is None:
        return f"`{key}`"
    title = key.rpartition(".")[2]
    if key in OWN_PAGE:
        return f"[device card]({OWN_PAGE[key]}.md)"
    return f"[{title}](#{_anchor(key)})" if target == page else f"[{title}]({target}.md#{_anchor(key)})"


def _anchor(key: str) -> str:
    return re.sub(r"\W+", "-", key).lower()


def _yaml(value: Any) -> str:
    """A value as it stands in a file, on one line; of a part its kind, of another mapping its first key."""
    if isinstance(value, dict):
        if "kind" in value:
            return str(value["kind"])
        first = next(((key, one) for key, one in value.items() if not isinstance(one, dict | list)), None)
        return "{}" if first is None else f"{{{first[0]}: {_yaml(first[1])}" + (", ...}" if len(value) > 1 else "}")
    if isinstance(value, list):
        text = ", ".join(map(_yaml, value[:4]))
        return f"[{text}{', ...' if len(value) > 4 else ''}]"
    text = (
        value
        if isinstance(value, str) and not re.search(r"[:{}\[\],&*#?|<>=!%@`\"']|^\s|\s$|^$", value)
        else json.dumps(value, ensure_ascii=False)
    )
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(text: str) -> str:
    """A docstring's text in Markdown: double back-quotes become single ones, other signs are no markup."""
    text = re.sub(r"(?<![`\w])None(?![`\w])", "`null`", text)
    parts = re.split(r"(``.*?``|`.*?`)", text)
    return "".join(
        f"`{part.strip('`')}`" if part.startswith("`") else re.sub(r"([\\*_\[\]<>])", r"\\\1", part) for part in parts
    )


def _made_up(name: str, value: Schema) -> Any:
    """An example where no file of ours has one: the first that is allowed and is not the default."""
    for one in _alternatives(value):
        if "const" in one:
            return one["const"]
        if "enum" in one:
            return next((found for found in one["enum"] if found != value.get("default")), one["enum"][0])
        if one.get("type") == "boolean":
            return not value.get("default", False)
        if one.get("type") in ("number", "integer"):
            found = UNIT.search(" ".join(str(each.get("description", "")) for each in _alternatives(value)))
            least = one.get("minimum", one.get("exclusiveMinimum", 0))
            number = (
                least
                if least > 0 and "minimum" in one
                else 0.1
                if one.get("maximum", 2) <= 1
                else least + 1
                if least > 0
                else 1
            )
            return f"{number:g} {found['unit']}" if found and found["unit"] else number
        if one.get("type") == "string":
            return f"my_{name}"
    default = value.get("default")
    return default if default is not None else {}


def examples() -> dict[tuple[str, str], Any]:
    """(model or kind, key) -> a value that a file of this repository gives it."""
    found: dict[tuple[str, str], Any] = {}
    files = [*sorted((ROOT / "configs").rglob("*.yaml")), *sorted(CARDS.glob("*.yaml"))]
    for file in files:
        text = file.read_text(encoding="utf-8")
        name = re.search(r"^schema: *([\w/]+)", text, re.MULTILINE)
        place = MODELS.get(name[1]) if name else None
        if place is None and file.parent != CARDS:
            continue
        module, _, attribute = (place or "devices.card:DeviceCard").partition(":")
        try:
            _gather(load_config(file, getattr(importlib.import_module(module), attribute)), found)
        except UserError:
            continue  # its data are elsewhere
    return found


def _gather(model: BaseModel, found: dict[tuple[str, str], Any]) -> None:
    dumped = model.model_dump(mode="json", by_alias=True)
    names = [type(model).__name__, *([model.kind] if isinstance(getattr(model, "kind", None), str) else [])]
    for field, info in type(model).model_fields.items():
        value, key = getattr(model, field), info.alias or field
        if field in model.model_fields_set and not isinstance(value, DeviceCard):
            for name in names:
                found.setdefault((name, key), dumped[key])
        elif isinstance(value, DeviceCard):
            found.setdefault((names[0], key), value.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, BaseModel):
                _gather(inner, found)
