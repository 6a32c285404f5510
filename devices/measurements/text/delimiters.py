"""Fields of a line: which delimiter splits it, and what lies between. Never what a field means."""

import csv
from typing import Literal

DELIMITERS = (",", "\t", ";", "|")
Delimiter = Literal["auto", ",", ";", "|", "tab", "space"]
"""As a configuration names it."""


def character_of(delimiter: Delimiter) -> str | None:
    """Return the character between fields; None for auto."""
    return None if delimiter == "auto" else {"tab": "\t", "space": " "}.get(delimiter, delimiter)


def fields_of(text: str, delimiter: str) -> list[str]:
    """Split one line; a space as delimiter means any white space. Quoted fields may hold the delimiter."""
    if delimiter == " ":
        return text.split()
    if '"' in text:
        try:
            return [field.strip() for field in next(csv.reader([text], delimiter=delimiter), [])]
        except csv.Error:  # a quote that never closes, a field of 128 KiB: split as if it were no quote
            pass
    return [field.strip() for field in text.split(delimiter)]


def sniff_delimiter(text: str, following: str | None = None, decimal: str = ".") -> str:
    """Return the delimiter of a line: the candidate that splits it most; white space when none does. It is not the `decimal` mark.

    A header such as `G (uS)` holds white space of its own: with the line `following` it, white space is only taken when that line
    is split by it into as many fields; otherwise there is a single column.
    """
    candidates = [delimiter for delimiter in DELIMITERS if delimiter != decimal]
    best = max(candidates, key=lambda delimiter: len(fields_of(text, delimiter)))
    if len(fields_of(text, best)) > 1:
        return best
    return candidates[0] if following is not None and len(following.split()) != len(text.split()) else " "


def delimiter_name(delimiter: str) -> str:
    """Return a printable name."""
    return {"\t": "tab", " ": "white space"}.get(delimiter, f"'{delimiter}'")
