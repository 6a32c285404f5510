"""The page of the Python door: every name of `analog_hil` with its signature and docstring. It never describes a name itself."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from types import ModuleType
from typing import Any

import analog_hil

SECTION = re.compile(r"^(Args|Arguments|Attributes|Returns|Yields|Raises|Source|Example|Examples):$", re.MULTILINE)

ENTRY = re.compile(r"(?:^|(?<=[.;] ))(\*{0,2}[a-z_]\w*(?:, [a-z_]\w*)*|[A-Z]\w*Error): ")
"""Where an entry of a section begins: `name, other: `."""


def page() -> str:
    """Markdown of the page."""
    names = sorted(getattr(analog_hil, "__all__", ()))
    head = [
        "# From Python",
        "",
        "```python",
        "import analog_hil as ah",
        "```",
        "",
        _body(inspect.getdoc(analog_hil) or ""),
        "",
    ]
    return (
        "\n".join([*head, *(line for name in names for line in entry(f"ah.{name}", getattr(analog_hil, name)))]) + "\n"
    )


def entry(name: str, value: Any) -> list[str]:
    """Heading, signature and docstring of one name, with the public methods of a class."""
    lines = [f"## `{name}`", ""]
    if isinstance(value, ModuleType):
        return [*lines, _body(inspect.getdoc(value) or ""), ""]
    lines += ["```python", _signature(name, value), "```", "", _body(inspect.getdoc(value) or ""), ""]
    if inspect.isclass(value):
        for method, found in vars(value).items():
            if not method.startswith("_") and callable(found) and inspect.getdoc(found):
                lines += [f"### `{name}.{method}`", "", _body(inspect.getdoc(found) or ""), ""]
    return lines


def _signature(name: str, value: Any) -> str:
    """One argument a line where it is long; types as they are written."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    text = f"{name}{_bare(signature)}"
    if len(text) <= 90:
        return text
    parameters, star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not star:
            parameters.append("    *,")
            star = True
        star = star or parameter.kind is inspect.Parameter.VAR_POSITIONAL
        parameters.append(f"    {_bare(parameter)},")
    returned = (
        "" if signature.return_annotation is inspect.Signature.empty else f" -> {_bare(signature.return_annotation)}"
    )
    return "\n".join([f"{name}(", *parameters, f"){returned}"])


def _bare(annotated: Any) -> str:
    """As text, annotations without the quotes of postponed evaluation."""
    return re.sub(
        r"""(: |-> )(?:'([^']*)'|"([^"]*)")""", lambda found: found[1] + (found[2] or found[3]), str(annotated)
    ).strip("'")


def _body(text: str) -> str:
    """A docstring in Markdown: sections as headings in bold, what is set in as it stands, everything else as text."""
    blocks = []
    for block in re.split(r"\n\n+", text.strip()):
        if SECTION.match(block):
            title, _, rest = block.partition("\n")
            words = " ".join(rest.split())
            begins = [found.start() for found in ENTRY.finditer(words)]
            cuts = [*([0] if not begins or begins[0] else []), *begins, len(words)]
            entries = [ENTRY.sub(r"`\1`: ", words[a:b].strip(), count=1) for a, b in pairwise(cuts)]
            blocks.append("\n".join([f"**{title}**", "", *(f"- {line}" for line in entries)]))
        elif block.startswith("    ") or ("\n    " in block and block.lstrip().startswith(("ah.", ">>>"))):
            blocks.append("\n".join(["```text", inspect.cleandoc("\n" + block), "```"]))
        else:
            blocks.append(re.sub(r"``(.+?)``", r"`\1`", block))
    return "\n\n".join(blocks)
