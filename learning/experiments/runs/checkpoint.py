"""Checkpoints: nested dicts and lists of arrays and plain values in one .npz, written whole or not at all. Nothing is ever unpickled.

A checkpoint says what it is of (an arm, its seed and all that decides its results): one of another arm is refused, whatever its shapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.archive import one_line, read_archive
from analog_sim.config import UserError
from analog_sim.saved_state import State
from learning.experiments.runs.files import write_arrays

_ARRAY, _TREE = "__array__", "tree"
ANEW = "delete its folder to train this arm anew"


def save(path: Path, state: State) -> None:
    """Write `state` (dicts with text keys, lists, tuples, arrays, numbers, text, bool, None); tuples come back as lists.

    Raises:
        TypeError: something else is in it.
        UserError: the file cannot be written.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    tree = json.dumps(_split(state, arrays))
    write_arrays(path, {_TREE: np.frombuffer(tree.encode(), np.uint8), **arrays}, compress=False)


def load(path: Path) -> State | None:
    """Read what `save` wrote, as it stands there (`taken` makes it a record); None when there is no file. Raises UserError."""
    if not path.exists():
        return None
    arrays = read_archive(path, "a readable checkpoint", ANEW)
    try:
        result = _join(json.loads(arrays.pop(_TREE).tobytes()), arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a readable checkpoint ({one_line(error)}); {ANEW}") from error
    if not isinstance(result, dict):
        raise UserError(f"{path}: not a readable checkpoint (holds a {type(result).__name__}); {ANEW}")
    return result


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Within the block a checkpoint is put back: one that does not fit becomes one line. Raises UserError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"{path}: not a checkpoint of this arm ({one_line(error)}); {ANEW}") from error


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
