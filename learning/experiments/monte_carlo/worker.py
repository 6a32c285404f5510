"""What a process of ours does beside its tasks: it ends when the process that started it does, warns in lines, and prints on any terminal.

It never runs a task.

A process that is killed outright (by SIGKILL, or for want of memory) tells its workers nothing. They would go on with their
tasks and write into a run's folder while a resumed run does the same.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import threading
import time
import warnings
from typing import TextIO

POLL_S = 0.2
_NAME = "end-with-parent"
_PLAIN = {
    "µ": "u", "μ": "u", "Ω": "Ohm", "°": "deg ", "±": "+-", "×": "x", "·": "*", "²": "^2", "≤": "<=", "≥": ">=",
    "–": "-", "—": "-", "−": "-", "→": "->", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"',
}  # fmt: skip
"""What a terminal shows that lacks a character; all others are shown by their number."""
_ERRORS = "analog_hil_plain"


def end_with_parent(parent: int) -> None:
    """Watch from now on, in a thread, that process `parent` is still the parent of this one, and end this one when it is not.

    Does nothing on Windows, and nothing when a watch is on already.
    """
    if sys.platform == "win32" or any(thread.name == _NAME for thread in threading.enumerate()):
        return
    threading.Thread(target=_watch, args=(parent,), name=_NAME, daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)  # at once, whatever the other threads are at: files are written whole or by one call


def warn_in_lines() -> None:
    """From now on show a warning as a line of its message: whoever runs a script has no use for the line of code that warned."""
    warnings.showwarning = _show


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=sys.stderr if file is None else file)


def print_anything() -> None:
    """From now on printing never raises: what a terminal's encoding lacks (`µ` in ASCII, a Chinese path) is shown in plain letters."""
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(letter) or letter.encode("ascii", "backslashreplace").decode() for letter in part)
    return text, error.end
