"""The text of a file that a user wrote: a plain file of moderate size in UTF-8. Never reads a device, a pipe or without end."""

from __future__ import annotations

import stat
from pathlib import Path

LARGEST = 16 * 2**20
"""Bytes of a configuration: the largest that means anything has a few thousand lines."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_MARKS = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


class NotText(Exception):
    """The file is there and is no text to be read; `line` where that shows, None when it is the whole file."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def read_text(path: Path) -> str:
    """Return the text of a file. Raises NotText, or OSError when it cannot be read."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "no file")
        raise NotText(f"is {kind}, not a YAML file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)  # what a file says of its size is not always so (/proc)
    if len(data) > LARGEST:
        raise NotText(f"is too large for a configuration (more than {LARGEST // 2**20} MiB)")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            raise NotText(f"is {encoding} text; save it as UTF-8", 1)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise NotText(
            f"is not UTF-8 text (byte 0x{data[error.start]:02x}, number {column} of the line); save it as UTF-8", line
        ) from error
