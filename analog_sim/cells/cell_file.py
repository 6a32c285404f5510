"""A compiled cell as plain arrays and back, for files that must make cells without the card they came from. It never opens a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import numpy as np

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import UserError
from analog_sim.json_text import parse_json

NUMBERS = "numbers"
"""Name of the array that holds everything that is no array, as JSON in bytes."""


def cell_arrays(cell: CellModel) -> dict[str, np.ndarray]:
    """Every table of a cell by its dotted name, and `NUMBERS`."""
    arrays: dict[str, np.ndarray] = {}
    numbers: dict[str, Any] = {}

    def add(value: Any, name: str) -> None:
        if is_dataclass(value):
            numbers[name] = "part"
            for field in fields(value):
                add(getattr(value, field.name), f"{name}.{field.name}")
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            numbers[name] = value

    add(cell, "cell")
    return {**arrays, NUMBERS: np.frombuffer(json.dumps(numbers).encode(), np.uint8)}


def cell_of(arrays: Mapping[str, np.ndarray], where: str) -> CellModel:
    """The cell that `cell_arrays` took apart. Raises UserError, naming `where`, when something is missing or of another kind."""
    try:
        numbers = parse_json(arrays[NUMBERS].tobytes())
        made = _made(CellModel, "cell", arrays, numbers)
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{where}: holds no cell of this version ({type(error).__name__}: {error})") from error
    assert isinstance(made, CellModel)
    return made


def _made(kind: type, name: str, arrays: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):
        own = f"{name}.{field.name}"
        if own in arrays:
            values[field.name] = arrays[own]
        elif numbers[own] == "part":
            part = next(hint for hint in (hints[field.name], *get_args(hints[field.name])) if is_dataclass(hint))
            assert isinstance(part, type)
            values[field.name] = _made(part, own, arrays, numbers)
        else:
            values[field.name] = numbers[own]
    return kind(**values)
