"""Data given as objects, arrays, tensors, a DataFrame, as what a configuration can name. It never reads a data set.

Arrays are written to `data.npz` in the folder of the run, so that the run's configuration says all of it and can be run again from there.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from learning.data.dataset import Dataset
from learning.data.own import NAMES
from learning.experiments.interactive.settings import plain
from learning.experiments.runs.files import writing

FILE = "data.npz"
PARTS = ("x_train", "y_train", "x_test", "y_test")
ALLOWED = (
    "the name of a data set, a file (.npz, .csv), a mapping as in a file's `dataset`, (x, y), (x_train, y_train, x_test, y_test), "
    "a mapping of these names, a data set of ah.datasets, or a DataFrame with label=COLUMN"
)


def dataset_section(data: Any, folder: Path, *, label: str | None = None) -> Any:
    """Section `dataset` of an experiment for data given from Python.

    Args:
        data: see `ALLOWED`. folder: where arrays are written. label: column of the labels, of a DataFrame or a CSV file.

    Raises:
        UserError: anything else, or arrays that cannot be read as numbers.
    """
    if isinstance(data, str | PathLike):
        return _named(str(data), label)
    if isinstance(data, Mapping) and not set(data) & set(PARTS):
        return plain(data)
    arrays, options = _arrays(data, label)
    path = folder / FILE
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, allow_pickle=False, **arrays)
    return {"file": str(path.absolute()), **options}


def _named(text: str, label: str | None) -> Any:
    suffix = Path(text).suffix.lower()
    if suffix == ".npz":
        return {"file": str(Path(text).expanduser().absolute())}
    if suffix in (".csv", ".tsv"):
        if label is None:
            raise UserError(f"data: {text} needs the column of the labels: label=...")
        return {"csv": str(Path(text).expanduser().absolute()), "label": label}
    return text


def _arrays(data: Any, label: str | None) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Arrays by name, and further keys of the section."""
    if isinstance(data, Dataset):
        what = "classes" if data.targets is None else "targets"
        found = {name: getattr(data, name) for name in PARTS} | {what: np.array(data.outputs)}
        return found, {"order": "kept"}
    if label is not None:
        if type(data).__name__ != "DataFrame":
            raise UserError(f"label: is for a DataFrame or a CSV file (got a {type(data).__name__})")
        return _of_frame(data, label), {}
    if isinstance(data, Mapping):
        if extra := [str(key) for key in data if key not in (*PARTS, *NAMES)]:
            raise UserError(f"data: unknown key {extra[0]}; allowed: {', '.join((*PARTS, *NAMES))}")
        given = dict(data)
    elif isinstance(data, tuple | list) and len(data) in (2, 4):
        given = dict(zip(PARTS, data, strict=False))
    else:
        hint = "; name the column of the labels: label=..." if type(data).__name__ == "DataFrame" else ""
        raise UserError(f"data: got a {type(data).__name__}{hint}; allowed: {ALLOWED}")
    return {name: as_array(value, f"data: {name}") for name, value in given.items()}, {}


def _of_frame(frame: Any, label: str) -> dict[str, npt.NDArray[Any]]:
    if label not in frame.columns:
        raise UserError(
            f"label: the DataFrame has no column '{label}'; it has {', '.join(map(str, frame.columns[:12]))}"
        )
    return {
        "x_train": as_array(frame.drop(columns=[label]), "data"),
        "y_train": as_array(frame[label], f"data: column {label}"),
    }


def as_array(value: Any, what: str) -> npt.NDArray[Any]:
    """Numbers, or texts, of an array, a tensor, a list, a Series or a DataFrame. Raises UserError."""
    try:
        found = np.asarray(detached(value))
        if found.dtype.hasobject:  # texts of pandas; anything else of the kind is refused by name when it is read
            found = found.astype(str) if all(isinstance(item, str) for item in found.flat) else found.astype(np.float64)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{what}: cannot be read as an array ({error})") from error
    return found


def detached(value: Any) -> Any:
    """A tensor without its gradient and in main memory; anything else as it is. It does not import torch."""
    torch = sys.modules.get("torch")
    return value.detach().cpu() if torch is not None and isinstance(value, torch.Tensor) else value
