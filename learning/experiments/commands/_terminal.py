"""Text as a terminal can show it: sentences wrapped, tables stacked. What goes to a file stays whole. Imports nothing heavy."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from learning.experiments.report.tables import Table

LEAST = 40
"""Columns below which text is not wrapped any further."""


HELD = "\u00a0"
"""A blank at which no line is broken."""


def width() -> int | None:
    """Columns of the terminal; None where the output is no terminal and COLUMNS says nothing."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return max(LEAST, shutil.get_terminal_size((80, 24)).columns)
    return None


def wrapped(text: str, columns: int | None = None, hanging: int = 2) -> str:
    """A text whose lines fit: broken at blanks, what follows a break indented by `hanging` more; words are never broken."""
    columns = columns if columns is not None else width()
    if columns is None:
        return text
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        held = re.sub(
            r"(?<=\d) (?=(?:%|[µm]?s|min|h|days?|months?|years?)(?!\w))", HELD, line
        )  # a number keeps its unit
        broken = textwrap.wrap(
            held, columns, subsequent_indent=f"{indent}{' ' * hanging}", break_long_words=False, break_on_hyphens=False,
            drop_whitespace=True, replace_whitespace=False,
        )  # fmt: skip
        lines += [part.replace(HELD, " ") for part in broken] or [""]
    return "\n".join(lines)


def say(text: str, hanging: int = 2) -> None:
    """Print a sentence, at once; what does not fit a line goes on in the next, indented by `hanging`."""
    print(wrapped(text, hanging=hanging), flush=True)


def show(table: Table) -> None:
    """Print a table after an empty line."""
    print(f"\n{table.text(width())}\n")
