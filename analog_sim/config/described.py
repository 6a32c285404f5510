"""What every key of a model means, in words: read from the `Attributes:` part of the model's docstring, where it is written once.

The same sentence shows in Python's help, in editors (the JSON schema) and in the key reference. It never checks a value.
"""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel

KIND = "which one it is; the other keys beside it are its own."
"""What the key `kind` means in every model that has it."""


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Field -> what it means, of every field that the docstring of the model, or of one it inherits from, names.

    An entry reads `name: text` or `name, other: text`; it ends where the next entry begins. A description in the field itself
    comes first.
    """
    fields = list(model.model_fields)
    names = {field.alias: name for name, field in model.model_fields.items() if field.alias}
    names |= {name.rstrip("_"): name for name in fields} | {name: name for name in fields}
    found: dict[str, str] = {}
    for base in model.__mro__:
        if not (isinstance(base, type) and issubclass(base, BaseModel)):
            continue
        for name, text in _entries(inspect.getdoc(base) if base.__dict__.get("__doc__") else None, names).items():
            found.setdefault(name, text)
    if "kind" in fields:
        found.setdefault("kind", KIND)
    found |= {name: field.description for name, field in model.model_fields.items() if field.description}
    return found


def summary(model: type[BaseModel]) -> str:
    """The first paragraph of a model's docstring in one line."""
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())


def _entries(text: str | None, names: dict[str, str]) -> dict[str, str]:
    """Entries of the part `Attributes:` of a docstring, or without one of all after its first paragraph.

    Args:
        text: the docstring. names: how fields are written in it -> field.
    """
    part = re.search(r"^Attributes:\n((?:[ \t]+.*\n?|\n)*)", text or "", re.MULTILINE)
    words = " ".join((text or "").partition("\n\n")[2].split() if part is None else part[1].split())
    name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    start = re.compile(rf"(?:^|(?<=[.;)] )|(?<=; or ))((?:{name})(?:(?:, | and )(?:{name}))*):\s")
    found: dict[str, str] = {}
    begins = list(start.finditer(words))
    for k, begin in enumerate(begins):
        end = begins[k + 1].start() if k + 1 < len(begins) else len(words)
        meaning = re.sub(r"(; or|;)$", "", words[begin.end() : end].strip()).rstrip()
        for each in re.split(r", | and ", begin[1]):
            found.setdefault(names[each], meaning)
    return found
