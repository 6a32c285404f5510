"""Checkpoints: nested dicts and lists of arrays and plain values in one .npz, written whole or not at all. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError

_ARRAY, _TREE = "__array__", "tree"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (dicts with text keys, lists, tuples, arrays, numbers, text, bool, None); tuples come back as lists.

    Raises:
        TypeError: something else is in it.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    tree = json.dumps(_split(state, arrays))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        np.savez(file, **{_TREE: np.frombuffer(tree.encode(), np.uint8)}, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """Read what `save` wrote; None when there is no file. Raises UserError when it cannot be read."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        tree = json.loads(arrays.pop(_TREE).tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not a readable checkpoint ({error}); delete it to start this run anew") from error
    result: dict[str, Any] = _join(tree, arrays)
    return result


def _split(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("checkpoint: arrays of Python objects cannot be kept")
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, dict):
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
