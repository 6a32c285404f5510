"""How the files of a run are read and written: whole or not at all, and every failure is one line. It never knows what is in them.

JSON carries a digest of its content (`check`): a file that is not as it was written is refused instead of shown. Arrays have
the CRC of their archive, rows of results one each (learning.experiments.runs.result_log).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from analog_sim.archive import one_line, read_archive
from analog_sim.config import UserError
from analog_sim.json_text import parse_json
from analog_sim.whole_file import replacing

CHECK = "check"
KEPT = "what is finished is kept: make room or mend it, then go on with --resume"
M = TypeVar("M", bound="JsonRecord")


class JsonRecord(BaseModel):
    """The content of a JSON file, exactly: a key or a type that this version does not write is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@contextmanager
def writing(path: Path, remedy: str = KEPT) -> Iterator[None]:
    """Within the block `path` is written: a full disk and the like become one line. Raises UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or one_line(error)}); {remedy}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Any]:
    """A binary file that takes the place of `path` when the block ends, and never does when it fails. Raises UserError."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            yield file


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all. Raises UserError."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))  # a path that is no text must not end a run


def read_text(path: Path, remedy: str = "") -> str:
    """Text of a file. Raises UserError, ending with `remedy`."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8 text"
    except OSError as error:
        reason = error.strerror or one_line(error)
    raise UserError(f"{path}: cannot be read ({reason}){f'; {remedy}' if remedy else ''}")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write one object with its digest, whole or not at all. Raises UserError."""
    write_text(path, json.dumps({**value, CHECK: _check(value)}, indent=2) + "\n")


def read_json(path: Path, remedy: str = "") -> dict[str, Any]:
    """Read what `write_json` wrote, without the digest; a file of an older version has none, and is taken as it is.

    Raises:
        UserError: not such a file, or not as it was written; the line ends with `remedy`.
    """
    then = f"; {remedy}" if remedy else ""
    text = read_text(path, remedy)
    try:
        found = parse_json(text)
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}){then}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: must hold one object (got {type(found).__name__}){then}")
    check = found.pop(CHECK, None)
    if check is not None and check != _check(found):
        raise UserError(f"{path}: is not as it was written (its check is that of another content){then}")
    return found


def _check(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def checked_record(path: Path, found: Mapping[str, Any], kind: type[M], remedy: str) -> M:
    """The content of a JSON file as a typed record. Raises UserError naming the first key that is missing, unknown or of another type."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise UserError(f"{path} has no '{key}', as this version writes it; {remedy}") from error
        got = "" if isinstance(first["input"], dict) else f" (got {one_line(ValueError(repr(first['input'])))})"
        raise UserError(f"{path}: {key}: {first['msg'].lower()}{got}; {remedy}") from error


def write_arrays(path: Path, arrays: Mapping[str, npt.ArrayLike], *, compress: bool = True) -> None:
    """Write a .npz, whole or not at all. Raises UserError."""
    save = np.savez_compressed if compress else np.savez
    with whole_file(path) as file:
        save(file, **{key: np.asarray(value) for key, value in arrays.items()})  # type: ignore[arg-type]


def read_arrays(path: Path, remedy: str = "") -> dict[str, npt.NDArray[Any]]:
    """Read what `write_arrays` wrote. Raises UserError, ending with `remedy`."""
    return read_archive(path, "a readable file of arrays", remedy)


def take(arrays: Mapping[str, npt.NDArray[Any]], name: str, axes: int, path: Path, remedy: str) -> npt.NDArray[Any]:
    """One array of a file: of numbers, with so many axes. Raises UserError."""
    found = arrays.get(name)
    if found is None:
        raise UserError(f"{path}: has no array '{name}', as this version writes it; {remedy}")
    if found.dtype.kind not in "fiu" or found.ndim != axes:
        raise UserError(
            f"{path}: array '{name}' must hold numbers on {axes} axes (got {found.dtype} {found.shape}); {remedy}"
        )
    return found
