"""A state as a file: nested records, lists, arrays and plain values in one .npz, written whole or not at all. Nothing is ever unpickled."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.archive import one_line, read_archive
from analog_sim.config import UserError
from analog_sim.json_text import parse_json
from analog_sim.saved_state import State
from analog_sim.whole_file import replacing

_ARRAY, _TREE = "__array__", "tree"


def write_state(path: Path, state: State) -> None:
    """Write `state` (records with text keys, lists, tuples, arrays, numbers, text, bool, None); tuples come back as lists.

    Raises:
        TypeError: something else is in it. OSError: the file cannot be written.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    tree = json.dumps(_split(state, arrays))
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{_TREE: np.frombuffer(tree.encode(), np.uint8), **arrays})
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def read_state(path: Path, what: str, remedy: str) -> State:
    """What `write_state` wrote; what, remedy: for the message. Raises UserError."""
    arrays = read_archive(path, what, remedy)
    try:
        result = _join(parse_json(arrays.pop(_TREE).tobytes()), arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not {what} ({one_line(error)}); {remedy}") from error
    if not isinstance(result, dict):
        raise UserError(f"{path}: not {what} (holds a {type(result).__name__}); {remedy}")
    return result


def _split(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("checkpoint: arrays of Python objects cannot be kept")
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"checkpoint: keys must be text (got {[k for k in value if not isinstance(k, str)]})")
        return {key: _split(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_split(item, arrays) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"checkpoint: cannot keep a {type(value).__name__}")


def _join(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        return arrays[value[_ARRAY]] if set(value) == {_ARRAY} else {k: _join(v, arrays) for k, v in value.items()}
    return [_join(item, arrays) for item in value] if isinstance(value, list) else value
