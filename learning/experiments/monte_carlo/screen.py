"""Where something live can be shown: lines at the foot of a terminal, or one cell of a notebook. It never decides what is shown.

On a terminal the cursor waits on an empty line above what is shown, so that whatever else is printed, by this process or by a
worker, stands whole above it.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol, TextIO, final

WIDTH = 80
"""Columns of a terminal that does not tell how wide it is, and of a notebook."""


class Screen(Protocol):
    """A place whose lines can be changed."""

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in the place of the last ones."""
        ...

    def close(self, line: str) -> None:
        """Leave one last line, none when it is empty."""
        ...


def columns() -> int:
    """Columns of the terminal."""
    return max(20, shutil.get_terminal_size((WIDTH, 24)).columns)


def cut(line: str, width: int) -> str:
    """A line that fits, its end left out."""
    return line if len(line) <= width else line[: width - 3] + "..."


@final
class TerminalScreen:
    """The lines below the cursor of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def draw(self, lines: Sequence[str]) -> None:
        """Clear what is below the cursor, write below an empty line, and put the cursor back on that."""
        width = columns() - 1
        text = "".join(f"\n{cut(line, width)}" for line in lines)
        self._write(f"\r\x1b[J{text}\r\x1b[{len(lines)}A" if lines else "\r\x1b[J")

    def close(self, line: str) -> None:
        """Clear, and leave a line."""
        self._write("\r\x1b[J" + (f"{cut(line, columns() - 1)}\n" if line else ""))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@final
class NotebookScreen:
    """One output of a notebook's cell, shown anew."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, lines: Sequence[str]) -> None:
        """Show the lines."""
        from IPython.display import HTML, display

        page = HTML(f"<pre>{escape(chr(10).join(cut(line, WIDTH) for line in lines))}</pre>")
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

    def close(self, line: str) -> None:
        """Leave a line."""
        if self._handle is not None or line:
            self.draw([line] if line else [])


def in_notebook() -> bool:
    """Whether this process serves a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def live_screen() -> Screen | None:
    """A screen where someone watches; None where the output goes to a file, or to a terminal that cannot move its cursor."""
    if in_notebook():
        return NotebookScreen()
    return TerminalScreen(sys.stderr) if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else None


@final
class Ticker:
    """Calls a function every so many seconds from a thread, until it is stopped; a call that fails ends it in silence.

    Args:
        call: what is called. seconds: between two calls.
    """

    def __init__(self, call: Callable[[], None], seconds: float) -> None:
        self._call, self._seconds = call, seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="progress")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the call that may be under way."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._seconds):
            try:
                self._call()
            except (OSError, ValueError):  # the terminal has gone
                return
