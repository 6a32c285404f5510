"""The tables of a measured card over the state of its cell: in the .npz beside it, or in memory. Never pickled objects, never a formula.

Arrays are named `part.quantity`; `window` is (2,) siemens, the conductances of u = 0 and u = 1. Every table is on a uniform grid of u.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from analog_sim.archive import read_archive
from analog_sim.config import DataFile, UserError, at_key
from devices.window import F64, Values, Window

FORMAT = "analog-hil tables/1"


@dataclass(frozen=True, eq=False)
class DeviceTables:
    """What a tables file holds, for a card that is composed in memory.

    Attributes:
        name: of the card, for messages. arrays: as in a file: `format`, `window` and tables, float32 (scalars float64), read-only.
    """

    name: str
    arrays: Mapping[str, npt.NDArray[Any]]

    def __str__(self) -> str:
        return f"tables of {self.name} in memory"

    @classmethod
    def of(cls, name: str, window: Window, arrays: Mapping[str, npt.ArrayLike]) -> "DeviceTables":
        """Tables over a window, with the precision that a file keeps. Raises ValueError for tables that no card can have."""
        return cls(name, _checked(_stored(window, arrays), f"tables of {name}"))


def save_tables(path: Path, window: Window, arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write tables as float32 (scalars as float64)."""
    data: dict[str, Any] = _stored(window, arrays)
    np.savez_compressed(path, **data)


def _stored(window: Window, arrays: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
    """What a file holds of some tables."""
    data = {"format": np.array(FORMAT), "window": np.array([window.g_min, window.g_max])}
    for name, values in arrays.items():
        array = np.asarray(values)
        data[name] = array.astype(np.float64) if array.ndim == 0 else array.astype(np.float32)
    return data


class _FileOrTables:
    """Field metadata: the path of a file, as of `DataFile`; in Python also tables in memory."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda value, path: value if isinstance(value, DeviceTables) else path(value),
            handler.generate_schema(DataFile),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


TablesSource = Annotated[Path | DeviceTables, _FileOrTables()]
"""Where a measured law finds its tables."""


def load_tables(source: Path | DeviceTables) -> Mapping[str, npt.NDArray[Any]]:
    """Return the arrays of a tables file, read once for each version of the file, or of tables in memory.

    Raises ValueError when it is no tables file.
    """
    if isinstance(source, DeviceTables):
        return source.arrays
    stat = source.stat()
    return _load(source, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _load(path: Path, _modified: int, _size: int) -> Mapping[str, npt.NDArray[Any]]:
    try:
        arrays = read_archive(path, "a NumPy archive of plain arrays")
    except UserError as error:
        raise ValueError(str(error)) from error
    return _checked(arrays, str(path))


def _checked(arrays: Mapping[str, npt.NDArray[Any]], source: str) -> Mapping[str, npt.NDArray[Any]]:
    """Return the arrays, read-only. Raises ValueError when a tables file may not hold them."""
    found = str(arrays.get("format", ""))
    if found != FORMAT:
        raise ValueError(f"{source}: not a tables file (format {found!r}, expected {FORMAT!r})")
    window = arrays.get("window")
    if window is None or window.dtype.kind != "f" or window.shape != (2,) or not 0 <= window[0] < window[1] < np.inf:
        raise ValueError(f"{source}: needs window = (g_min, g_max) with 0 <= g_min < g_max (got {window})")
    for name, array in arrays.items():
        if name != "format" and array.dtype.kind not in "fiu":
            raise ValueError(f"{source}: array {name!r} must hold numbers (got {array.dtype})")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{source}: array {name!r} is not finite")
        array.flags.writeable = False
    return MappingProxyType(dict(arrays))


def check(source: Path | DeviceTables, shapes: Mapping[str, str], *, optional: frozenset[str] = frozenset()) -> None:
    """Check that a tables file has the arrays a part needs; a shape is letters such as 'KZ' (same letter, same length >= 2; T >= 1).

    Raises the error of a configuration key `file`.
    """
    try:
        arrays = load_tables(source)
    except ValueError as error:
        raise at_key("file", str(error)) from error
    lengths: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in arrays:
            if name in optional:
                continue
            has = ", ".join(sorted(n for n in arrays if "." in n)) or "no tables"
            raise at_key("file", f"{source}: no array {name!r}; it has {has}")
        array = arrays[name]
        if array.ndim != len(shape):
            raise at_key(
                "file", f"{source}: array {name!r} must have {len(shape)} axes ({shape}), got shape {array.shape}"
            )
        for letter, length in zip(shape, array.shape, strict=True):
            least = 1 if letter == "T" else 2
            if length < least or lengths.setdefault(letter, length) != length:
                raise at_key(
                    "file",
                    f"{source}: array {name!r} has shape {array.shape}: axis {letter} must be {lengths.get(letter, least)}",
                )


def scale(source: Path | DeviceTables, window: Window) -> float:
    """Siemens of the card per siemens of the tables: the ratio of the widths of the windows, so that a scaled card is the same device."""
    low, high = load_tables(source)["window"]
    ratio = window.width / float(high - low)
    return 1.0 if abs(ratio - 1.0) < 1e-6 else ratio


def interpolate(table: npt.NDArray[Any], u: Values) -> F64:
    """Linear interpolation of a (K,) table at states u, constant outside [0, 1]."""
    return np.interp(np.asarray(u, float), np.linspace(0.0, 1.0, len(table)), table)
