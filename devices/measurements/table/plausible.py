"""Numbers that no measurement holds: bounds of the table's columns, whatever the reader. A blank is no number and is not judged here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.measurements.text.problems import failure

F64 = npt.NDArray[np.float64]

LARGEST_S = 1.0
"""Conductance that no memory cell has: the largest that a card may state."""
MOST_PULSES = 1e9
LONGEST_TIME = 1e11
"""Seconds, three thousand years."""
LARGEST_READ_VOLTAGE = 1e3

BOUNDS: Mapping[str, tuple[Callable[[F64], npt.NDArray[np.bool_]], str]] = {
    "n_pulses": (
        lambda x: (x >= 0) & (x <= MOST_PULSES) & (x == np.rint(x)),
        f"number of pulses must be whole and 0 to {MOST_PULSES:g}",
    ),
    "target_S": (lambda x: (x >= 0) & (x <= LARGEST_S), f"target must be 0 to {LARGEST_S:g} S: check its unit"),
    "t_s": (lambda x: np.abs(x) <= LONGEST_TIME, f"time must be within {LONGEST_TIME:g} s: check its unit"),
    "v_read_V": (
        lambda x: np.abs(x) <= LARGEST_READ_VOLTAGE,
        f"read voltage must be within {LARGEST_READ_VOLTAGE:g} V: check its unit",
    ),
    "cell_row": (lambda x: (x >= 0) & (x < 2**31), "number of a cell must be >= 0 and fit 31 bits"),
    "cell_col": (lambda x: (x >= 0) & (x < 2**31), "number of a cell must be >= 0 and fit 31 bits"),
}


def check_bounds(path: Path, line: npt.NDArray[Any], columns: Mapping[str, Any]) -> None:
    """Refuse the first row with a number that no measurement gives. Raises MeasurementError.

    Args:
        path: of the file. line: (rows,). columns: as in `TableBuilder.append`.
    """
    for name, (allowed, words) in BOUNDS.items():
        if name not in columns:
            continue
        values = np.broadcast_to(np.asarray(columns[name], np.float64), line.shape)
        bad = ~np.isnan(values) & ~allowed(values)
        if bad.any():
            row = int(np.argmax(bad))
            raise failure(path, f"{words} (got {values[row]:g})", line=int(line[row]))


def check_pulse_numbers(path: Path, number: F64, line: npt.NDArray[Any], column: str) -> None:
    """Refuse numbers of pulses that are missing, negative or not whole. Raises MeasurementError naming the first."""
    missing = ~np.isfinite(number)
    if missing.any():
        raise failure(path, "missing pulse number", line=int(line[np.argmax(missing)]), column=column)
    bad = (number < 0) | (number != np.rint(number))
    if bad.any():
        row = int(np.argmax(bad))
        raise failure(
            path, f"pulse number must be whole and >= 0 (got {number[row]:g})", line=int(line[row]), column=column
        )
