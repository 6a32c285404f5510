"""Errors meant for the user.

Where, which key, what is wrong, in one line each. Never imports anything but the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

_CONTROLS = {code: ascii(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}
"""Characters that end a line or command a terminal -> how Python writes them, such as ``\\n``."""


class UserError(Exception):
    """A mistake in what the user gave (file, option, data): scripts print it as one line and exit with status 2."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a value was written.

    A file and its line, or an option; `folder` is what its relative paths are relative to.
    """

    source: str
    line: int | None = None
    folder: Path | None = None

    @classmethod
    def of_file(cls, path: Path, line: int | None = None) -> Location:
        """Location in a file, shown relative to the current directory when the file is below it."""
        shown, here = os.path.abspath(path), os.getcwd()
        return cls(os.path.relpath(shown, here) if Path(shown).is_relative_to(here) else shown, line, path.parent)

    def at_line(self, line: int | None) -> Location:
        """Return another line of the same file."""
        return Location(self.source, line, self.folder)

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: `where` it was written, the dotted `path` of the key, and the `message`."""

    where: Location
    path: str
    message: str

    def __str__(self) -> str:
        message = after(self.where.source, after(self.path, after(self.path.rpartition(".")[2], self.message)))
        return on_one_line(": ".join(part for part in (str(self.where), self.path, message) if part))


class ConfigError(UserError):
    """All mistakes of one configuration, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def after(prefix: str, message: str) -> str:
    """Return a message to be told after ``prefix: ``, without that prefix where it begins with it already.

    A part that checks itself names itself (``wires: ...``), and a file may have it under that very key.
    """
    return message.removeprefix(f"{prefix}: ") if prefix else message


def on_one_line(text: str) -> str:
    """Return a text that may quote what a user wrote, with line ends and other control characters written out."""
    return text.translate(_CONTROLS)


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the closest allowed word, else an empty text."""
    by_lower = {name.lower(): name for name in allowed}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f", did you mean '{by_lower[close[0]]}'?" if close else ""


def shown(value: object) -> str:
    """Return a value as the user wrote it in YAML, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"text {value[:57] + '...' if len(value) > 60 else str(value)!r}"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value)
    return text[:57] + "..." if len(text) > 60 else text
