"""What decides the results of a run, as digests: a run is bound to contents, never to names. It never computes a result.

The parts of an identity are the program (the sources that decide results, and the libraries whose arithmetic does), the images,
the network with its weights, and every file that a configuration names: checkpoints, tables of measured cards, fault maps. They are
kept in a run's `identity.json`. A resume where one differs is refused by its name, and so is a result that was computed after a
file had changed under a run at work. The cache of trained networks uses the same digests as its key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

import analog_sim
from analog_sim.config import UserError
from learning.common.versions import version_of
from learning.data.dataset import Dataset

LIBRARIES = ("numpy", "scipy", "numba", "torch")
"""Their arithmetic is a part of every number."""
NOT_RESULTS = ("learning.experiments.report",)
"""What shows results and decides none."""
PROGRAM = "program"
_SHOWN = 12


@dataclass(frozen=True)
class Identity:
    """Parts that decide results.

    Attributes:
        parts: what -> its digest or version. files: those of the parts that are files, looked at again while a run is at work.
    """

    parts: Mapping[str, str]
    files: Mapping[str, Path] = field(default_factory=dict)
    _seen: dict[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for what, path in self.files.items():
            self._seen[what] = _stamp(path)

    def with_parts(self, parts: Mapping[str, str]) -> Identity:
        """The same with further parts."""
        return Identity({**self.parts, **parts}, self.files)

    def with_files(self, files: Mapping[str, Path]) -> Identity:
        """The same with further files. Raises UserError when one cannot be read."""
        found = {what: file_digest(path) for what, path in files.items()}
        return Identity({**self.parts, **found}, {**self.files, **files})

    def differences(self, before: Mapping[str, str]) -> list[str]:
        """One line for every part that is in both and differs."""
        return [
            f"{what}: was {before[what][:_SHOWN]}, now {now[:_SHOWN]}"
            for what, now in self.parts.items()
            if what in before and before[what] != now
        ]

    def check_files(self) -> None:
        """Raise UserError when a file is no longer what it was: what is computed from now on would be of something else."""
        for what, path in self.files.items():
            stamp = _stamp(path)
            if stamp == self._seen[what]:
                continue
            if not stamp or file_digest(path) != self.parts[what]:
                raise UserError(
                    f"{what}: changed while the run was at work; results computed since are left out. Put the file back and go "
                    "on with --resume, or start another run"
                )
            self._seen[what] = stamp


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = [file.stat() for file in (_files_below(path) if path.is_dir() else [path])]
    except OSError:
        return ()
    return tuple(number for file in found for number in (file.st_mtime_ns, file.st_size, file.st_ino))


def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a folder, of the names and contents of the files in and below it. Raises UserError."""
    if path.is_dir():
        return digest({str(file.relative_to(path)): file_digest(file) for file in _files_below(path)})
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def digest(value: Any) -> str:
    """SHA-256 of plain values, arrays, and mappings and sequences of them: the same digest means the same content.

    Raises:
        TypeError: something else is in it.
    """
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    """Every value begins with its kind and its length, so that no two contents give the same bytes."""
    if value is None or isinstance(value, bool | int | float | str):
        text = f"{type(value).__name__} {value!r}".encode("utf-8", errors="surrogatepass")
        found.update(f"{len(text)}:".encode() + text)
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        found.update(f"array {value.dtype.str} {value.shape};".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        found.update(f"mapping {len(value)};".encode())
        for key in sorted(value):
            _feed(found, key)
            _feed(found, value[key])
    elif isinstance(value, list | tuple):
        found.update(f"sequence {len(value)};".encode())
        for item in value:
            _feed(found, item)
    else:
        raise TypeError(f"digest: got a {type(value).__name__}, allowed: plain values, arrays, mappings and sequences")


@lru_cache(maxsize=1)
def program_digest() -> str:
    """SHA-256 of the sources of this program that decide results, as they are when it is first asked for."""
    root = Path(analog_sim.__file__).resolve().parent.parent
    found = hashlib.sha256()
    for package in ("analog_sim", "devices", "learning"):
        for path in sorted((root / package).rglob("*.py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            if not any(module == name or module.startswith(name + ".") for name in NOT_RESULTS):
                content = path.read_bytes()
                found.update(f"{module} {len(content)};".encode() + content)
    return found.hexdigest()


def program_identity() -> Identity:
    """The program and the libraries."""
    return Identity({PROGRAM: program_digest(), **{library: version_of(library) for library in LIBRARIES}})


def data_parts(data: Dataset) -> dict[str, str]:
    """The samples as they were read, before any limit: training and test part apart, the user's own data as any others."""
    return {
        f"training images of '{data.name}'": data.sha256_train,
        f"test images of '{data.name}'": data.sha256_test,
    }


def files_of(config: BaseModel, prefix: str = "") -> dict[str, Path]:
    """Dotted key and path -> the path, of every file that a configuration names."""
    return {
        f"{prefix}{key} {path}": path
        for key, path in _paths({name: getattr(config, name) for name in type(config).model_fields}, "")
    }


def _paths(value: Any, key: str) -> Iterator[tuple[str, Path]]:
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, os.PathLike):
        yield key, Path(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _paths(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _paths(item, f"{key}[{number}]")
