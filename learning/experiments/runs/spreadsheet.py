"""Texts in CSV files that people open in spreadsheets: none is taken for a formula. It never reads or writes a file."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet evaluates when a cell begins so; quotes before it are counted in, so that a mark can be taken off again."""
_MARKED = re.compile(r"''*[=+\-@\t\r]")


def is_number(text: str) -> bool:
    """Whether a cell is a number, which may begin with a sign."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def spreadsheet_text(text: str) -> str:
    """The text of a cell; one that would be a formula gets an apostrophe in front, which spreadsheets take for "text follows"."""
    return f"'{text}" if _FORMULA.match(text) and not is_number(text) else text


def plain_text(text: str) -> str:
    """Inverse of `spreadsheet_text`."""
    return text[1:] if _MARKED.match(text) else text
