"""The commands of a lab's own instrument, as YAML. It never sends one."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from analog_sim.config import Q, StrictModel, at_key

Quantity = Literal["siemens", "ohms", "amperes"]
FIELDS: Mapping[str, frozenset[str]] = {
    "read": frozenset({"array", "row", "col"}),
    "write": frozenset({"array", "row", "col", "value"}),
    "up": frozenset({"array", "row", "col", "count"}),
    "down": frozenset({"array", "row", "col", "count"}),
    "currents": frozenset({"array", "volts"}),
    "currents_transposed": frozenset({"array", "volts"}),
    "wait": frozenset({"array", "seconds"}),
    "errors": frozenset({"array"}),
    "off": frozenset({"array"}),
}
"""Command -> what may stand in braces in it."""


class CommandMap(StrictModel):
    """What an instrument is told, with names in braces for what differs from cell to cell: "MEAS:RES? {row},{col}".

    Attributes:
        read: a query of one cell, with one number as answer. reads: what that number is. v_read: volts, where it is amperes.
        currents, currents_transposed: a query with volts for all rows (columns), with amperes of all columns (rows) as answer; without it
            vectors are multiplied here with cells that are read one by one, and nothing is read transposed.
        write: one cell to a value; without it cells cannot be programmed. writes: what the value is.
        up, down: `count` equal pulses on one cell; without them cells cannot be pulsed. most: of one command.
        wait: without it this computer sleeps. errors: a query; no_error: how the answer begins when nothing is wrong.
        off: puts the outputs to zero; sent after an error, Ctrl-C, and at the end.
        first: number of the first row and column. joined: commands of one message. separator: stands between them.
    """

    read: str
    reads: Quantity = "siemens"
    v_read: Annotated[float, Q("voltage", "V", gt=0)] = 0.1
    currents: str | None = None
    currents_transposed: str | None = None
    write: str | None = None
    writes: Literal["siemens", "ohms"] = "siemens"
    up: str | None = None
    down: str | None = None
    most: Annotated[int, Field(ge=1, le=32767)] = 1000
    wait: str | None = None
    errors: str | None = None
    no_error: str = "0"
    off: str | None = None
    first: Annotated[int, Field(ge=0, le=1)] = 0
    joined: Annotated[int, Field(ge=1, le=10_000)] = 1
    separator: str = ";"

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        for name, allowed in FIELDS.items():
            text = getattr(self, name)
            if text is None:
                continue
            try:
                found = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
            except ValueError as error:
                raise at_key(name, f"braces do not match ({error})") from error
            if found - allowed:
                wrong = ", ".join(sorted(found - allowed))
                raise at_key(name, f"{{{wrong}}} means nothing here (allowed: {', '.join(sorted(allowed))})")
            if "\n" in text:
                raise at_key(name, "a command is one line")
        if (self.up is None) != (self.down is None):
            raise at_key("up", "give up and down, or none of them")
        return self

    def to_siemens(self, value: float) -> float:
        """What was read, as a conductance; an open cell (infinite ohms) is 0 S."""
        if self.reads == "siemens":
            return value
        if self.reads == "amperes":
            return value / self.v_read
        return 1.0 / value if value else float("inf")

    def from_siemens(self, g: float) -> str:
        """A target as it is written; a cell of 0 S gets the largest resistance of single precision."""
        if self.writes == "siemens":
            return f"{g:.9g}"
        return f"{1.0 / g if g > 1e-30 else 1e30:.9g}"


def numbers(text: str) -> list[float]:
    """Numbers of an answer, separated by commas, blanks or semicolons. Raises ValueError."""
    return [float(part) for part in re.split(r"[,;\s]+", text.strip()) if part]
