"""The user's own function: `dataset: {factory: my_data.py:load}`. The file is executed because the user named it."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np

from analog_sim.archive import one_line
from analog_sim.config import UserError
from learning.data.dataset import Dataset
from learning.data.own import NAMES, Array, OwnData, Place, file_stamp, names_of


class Factory(OwnData):
    """A function without arguments that returns arrays.

    Attributes:
        factory: file.py:function. It returns (x, y) or (x_train, y_train, x_test, y_test), or a mapping of these names and, if wanted,
            `classes`, the names of the labels 0, 1, ..., or `targets`, those of numbers to be predicted. Every call must return the same:
            each worker calls it.
    """

    config_kind_key: ClassVar[str] = "factory"

    kind: Literal["factory"] = "factory"
    factory: Place

    def read(self, root: Path | None = None) -> Dataset:
        """What the function returns. Raises UserError."""
        path, _, function = self.factory.rpartition(":")
        if not path.endswith(".py") or not function.isidentifier():
            raise UserError(f"dataset.factory: must be FILE.py:FUNCTION (got '{self.factory}')")
        where = f"dataset.factory {self.factory}"
        returned = _call(Path(path), function, where)
        found = _arrays(returned, where)
        test = (found["x_test"], found["y_test"]) if "x_test" in found else None
        return self.made(
            f"{Path(path).name}:{function}", where, (found["x_train"], found["y_train"]), test, names_of(found, where)
        )

    def stamp(self) -> tuple[int, ...]:
        """Of the file; what it reads and imports is looked at by the digest of what it returns."""
        return file_stamp(Path(self.factory.rpartition(":")[0]))


def _call(path: Path, function: str, where: str) -> Any:
    if not path.is_file():
        raise UserError(f"{where}: no such file")
    spec = importlib.util.spec_from_file_location(f"analog_hil_data_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = ModuleType(spec.name)
    module.__file__, module.__spec__ = str(path), spec
    sys.modules[spec.name] = module
    sys.path.append(str(path.parent))  # it may import its neighbours
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        # Compiled here: a kept compiled copy is taken for current by the second and the length of its source.
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
        if not callable(vars(module).get(function)):
            raise UserError(f"{where}: the file defines no function '{function}'")
        return vars(module)[function]()
    except UserError:
        raise
    except Exception as error:  # the user's own code, which may raise anything
        raise UserError(f"{where}: failed: {type(error).__name__}: {one_line(error)}") from error
    finally:
        sys.dont_write_bytecode = written
        if str(path.parent) in sys.path:
            sys.path.remove(str(path.parent))


def _arrays(returned: Any, where: str) -> dict[str, Array]:
    names: tuple[str, ...] = ("x_train", "y_train", "x_test", "y_test")
    allowed = "allowed: (x, y), (x_train, y_train, x_test, y_test), or a mapping of these names and classes or targets"
    if isinstance(returned, Mapping):
        extra = [str(key) for key in returned if key not in (*names, *NAMES)]
        halves = names if {"x_test", "y_test"} & set(returned) else names[:2]
        missing = [key for key in halves if key not in returned]
        if extra or missing:
            raise UserError(f"{where}: returned {', '.join(map(str, returned))}; {allowed}")
        found = dict(returned)
    elif isinstance(returned, tuple) and len(returned) in (2, 4):
        found = dict(zip(names, returned, strict=False))
    else:
        raise UserError(f"{where}: returned a {type(returned).__name__}; {allowed}")
    try:
        return {key: np.asarray(value) for key, value in found.items()}
    except ValueError as error:
        raise UserError(f"{where}: samples differ in shape ({one_line(error)})") from error
