"""What was done to a cell, from the columns of a row: operation, voltage, width, number and direction of its pulses. Never a read.

A blank is never taken for another kind of operation: such a row is flagged, and not fitted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from devices.measurements.table.table import Flag, Op
from devices.measurements.text.numbers import is_number

F64 = npt.NDArray[np.float64]

UP_WORDS = frozenset({"up", "potentiation", "ltp", "set", "p", "+1", "1", "1.0", "+"})
DOWN_WORDS = frozenset({"down", "depression", "ltd", "reset", "d", "-1", "-1.0", "-"})
NO_WORDS = frozenset({"", "0", "none", "read", "nan"})
OPS = {"read": Op.READ, "pulse": Op.PULSE, "pulse_read": Op.PULSE_READ, "1": Op.READ, "2": Op.PULSE, "3": Op.PULSE_READ}

LARGEST_VOLTAGE, LONGEST_PULSE = 1e3, 1e7
"""Volts and seconds that no pulse has."""


class PulseSource(Protocol):
    """What a configuration says of all pulses of a file; the fields are those of `ColumnReader`."""

    @property
    def potentiation(self) -> Literal["positive", "negative"]:
        """Sign of the pulse voltage that potentiates."""

    @property
    def direction(self) -> Literal["auto", "up", "down"]:
        """Of all pulses."""

    @property
    def amplitude(self) -> float | None:
        """Volts."""

    @property
    def width(self) -> float | None:
        """Seconds."""

    @property
    def pulses_per_read(self) -> int:
        """Between two rows."""

    @property
    def reads_without_width(self) -> bool:
        """Whether a width of 0 marks a plain read, whatever the voltage beside it."""


@dataclass(eq=False)
class BadWord(Exception):
    """A text that is none of the allowed ones. Raised within this module's functions, turned into a line by the reader."""

    quantity: str
    row: int
    text: str
    allowed: Sequence[str]


def pulse_columns(
    source: PulseSource, value: Mapping[str, F64], labels: Mapping[str, list[str]], n: int
) -> dict[str, Any]:
    """Columns op, v_V, width_s, n_pulses, direction and flag of n rows.

    Args:
        source: what all rows share. value: (n,) numbers in SI by quantity, NaN for a blank. labels: texts by quantity.

    Raises BadWord.
    """
    v = value.get("v", np.full(n, np.nan if source.amplitude is None else source.amplitude))
    width = value.get("width", np.full(n, np.nan if source.width is None else source.width))
    pulses = value["n_pulses"] if "n_pulses" in value else np.full(n, float(source.pulses_per_read))
    words = _words(labels["direction"], DIRECTIONS, "direction") if "direction" in labels else None
    op = _operations(value, labels, words, pulses, source.reads_without_width)
    silent = op == Op.READ
    unknown = ~silent & (_unknown(value) | (value["width"] == 0 if "width" in value else False))
    if words is not None:
        direction = words
    elif source.direction != "auto":
        direction = np.full(n, 1 if source.direction == "up" else -1)
    else:
        sign = 1 if source.potentiation == "positive" else -1
        direction = sign * np.sign(np.nan_to_num(v, posinf=0.0, neginf=0.0)).astype(np.int64)
    return {
        "op": op,
        "v_V": np.where(silent | unknown, np.nan, v),
        "width_s": np.where(silent | unknown, np.nan, width),
        "n_pulses": np.where(silent, 0, np.where(unknown, 1, np.nan_to_num(pulses))),
        "direction": np.where(silent | unknown, 0, direction),
        "flag": np.where(unknown, Flag.PULSE_UNKNOWN.value, 0).astype(np.uint16),
    }


DIRECTIONS: Mapping[str, int] = {
    **dict.fromkeys(UP_WORDS, 1),
    **dict.fromkeys(DOWN_WORDS, -1),
    **dict.fromkeys(NO_WORDS, 0),
}


def _operations(
    value: Mapping[str, F64],
    labels: Mapping[str, list[str]],
    words: npt.NDArray[np.int64] | None,
    pulses: F64,
    reads_without_width: bool,
) -> npt.NDArray[np.int64]:
    """(n,) operations: as the column op says; else a plain read where the number or the voltage of the pulses is 0, where their width is
    0 and nothing else speaks of a pulse, or where a direction of none stands alone or beside blanks."""
    if "op" in labels:
        op = _words(labels["op"], OPS, "op")
        none = (op != Op.READ) & (pulses == 0) if "n_pulses" in value else np.zeros(len(op), bool)
        if none.any():
            row = int(np.argmax(none))
            raise BadWord("op", row, labels["op"][row], ("read, where n_pulses is 0",))
        return op
    silent = pulses == 0
    if "v" in value:
        silent = silent | (value["v"] == 0)
    if "width" in value:
        pulsed = np.any(
            [np.nan_to_num(value[quantity]) != 0 for quantity in ("v", "n_pulses") if quantity in value] or [False],
            axis=0,
        )
        pulsed = ~np.bool_(reads_without_width) & (pulsed | (False if words is None else words != 0))
        silent = silent | ((value["width"] == 0) & ~pulsed)
    if words is not None:
        stated = [value[quantity] for quantity in ("v", "n_pulses") if quantity in value]
        silent = silent | ((words == 0) & np.all([np.isnan(part) for part in stated], axis=0))
    return np.where(silent, Op.READ.value, Op.PULSE_READ.value)


def _unknown(value: Mapping[str, F64]) -> npt.NDArray[np.bool_]:
    """(n,) whether a column of voltages, widths or numbers of pulses is blank or impossible."""
    unknown: npt.NDArray[np.bool_] = np.zeros(1, bool)
    with np.errstate(invalid="ignore"):
        for quantity, column in value.items():
            if quantity == "v":
                unknown = unknown | ~(np.abs(column) <= LARGEST_VOLTAGE)
            elif quantity == "width":
                unknown = unknown | ~((column >= 0) & (column <= LONGEST_PULSE))
            elif quantity == "n_pulses":
                unknown = unknown | ~np.isfinite(column)
    return unknown


def _words(texts: Sequence[str], words: Mapping[str, int], quantity: str) -> npt.NDArray[np.int64]:
    """(n,) numbers of texts, whatever their case. Raises BadWord."""
    found = np.empty(len(texts), np.int64)
    for row, written in enumerate(texts):
        text = written.lower()
        if text in words:
            found[row] = words[text]
        elif quantity == "direction" and is_number(text) and float(text) in (-1.0, 0.0, 1.0):
            found[row] = int(float(text))  # as in 1.000e+00
        else:
            raise BadWord(quantity, row, written, [word for word in sorted(words) if word])
    return found
