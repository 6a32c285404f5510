"""What a run says while it works: printed lines at a prompt, one output that changes in a notebook. It never decides what is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, final

from learning.experiments.monte_carlo.progress import span
from learning.experiments.monte_carlo.screen import Ticker, in_notebook

NOTE, FOLDER = "note: ", "run folder"
Say = Callable[[str], None]


@contextmanager
def talk(shown: bool) -> Iterator[Say]:
    """What gets the lines of a run: nothing is shown unless `shown`; in a notebook they end folded away."""
    if not shown:
        yield silent
    elif in_notebook():
        with NotebookTalk() as say:
            yield say
    else:
        yield print


def silent(line: str) -> None:
    """Say nothing; a function of a module, because workers receive it."""


@final
class NotebookTalk:
    """One output of a cell: where the run is, the latest line with a clock, and notes and earlier lines folded. Use as a context."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: list[str] = []
        self._lines: list[str] = []
        self._notes: dict[str, None] = {}
        self._since = time.monotonic()
        self._handle: Any = None
        self._ticker = Ticker(self._show, 1.0)

    def __enter__(self) -> NotebookTalk:
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ticker.stop()
        self._since = 0.0
        self._show()

    def __call__(self, line: str) -> None:
        """Take a line."""
        with self._lock:
            text = line.strip()
            if text.startswith(NOTE):
                self._notes[text.removeprefix(NOTE)] = None
            else:
                (self._folders if text.startswith(FOLDER) else self._lines).append(text)
                self._since = time.monotonic()
        self._show()

    def __reduce__(self) -> tuple[Callable[[], Say], tuple[()]]:
        """In a worker it is print."""
        return _printing, ()

    def _show(self) -> None:
        from IPython.display import HTML, display

        with self._lock:
            page = HTML(self.page())
            if self._handle is None:
                self._handle = display(page, display_id=True)
            else:
                self._handle.update(page)

    def page(self) -> str:
        """What is shown now."""
        now = []
        if self._lines and self._since:
            passed = time.monotonic() - self._since
            now = [self._lines[-1] + (f" ({span(passed)})" if passed > 2.0 else "")]
        parts = [f"<pre>{escape(chr(10).join([*self._folders, *now]))}</pre>"] if self._folders or now else []
        parts += _folded("note", " on what this run assumes", list(self._notes))
        parts += _folded("line", " of progress", self._lines)
        return "".join(parts)


def _folded(thing: str, about: str, lines: list[str]) -> list[str]:
    """Lines behind a title that opens them, `3 notes on ...`; nothing without lines."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    title = f"{len(lines)} {thing}{'s' if len(lines) != 1 else ''}{about}"
    return [f"<details><summary>{title}</summary><ul>{items}</ul></details>"] if lines else []


def _printing() -> Say:
    return print
