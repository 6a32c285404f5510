"""Archives of arrays, one loader per format: NumPy's .npz and HDF5. Whatever a damaged file raises becomes one line; never a pickle."""

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.measurements.text.problems import MeasurementError, failure

NPZ_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for bytes that are damaged, cut, encrypted or of another format (NotImplementedError is a RuntimeError)."""
HDF5_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    AttributeError,
)
"""What h5py raises for such bytes; AttributeError where a group stands for a data set or the other way round."""


def reason_of(error: BaseException) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def npz_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of an archive, all of them or those named. Never unpickles.

    Raises ValueError, one line without the path: no archive, damaged, an array that is missing or holds objects.
    """
    try:
        opened = path.open("rb")
    except OSError as error:
        raise ValueError(f"cannot be opened: {reason_of(error)}") from error
    with opened:
        try:
            archive = np.load(opened, allow_pickle=False)
        except NPZ_DAMAGE as error:
            raise ValueError(f"not a NumPy archive of plain arrays: {reason_of(error)}") from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single NumPy array (.npy), not an archive of named arrays (.npz)")
        with archive:
            wanted = list(archive.files) if names is None else sorted(names)
            return {name: _array(archive, name) for name in wanted}


def _array(archive: Any, name: str) -> npt.NDArray[Any]:
    if name not in archive.files:
        raise ValueError(f"no array {name!r}; the archive has: {', '.join(archive.files) or 'nothing'}")
    try:
        array = archive[name]
    except NPZ_DAMAGE as error:
        raise ValueError(f"array {name!r} cannot be read, the archive is damaged: {reason_of(error)}") from error
    if not isinstance(array, np.ndarray):  # NumPy hands the bytes of a member that does not begin as an array does
        raise ValueError(f"array {name!r} cannot be read: it is no NumPy array")
    return array


def numbers_of(arrays: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float64]]:
    """The arrays as float64. Raises ValueError for one that holds texts, dates or complex numbers."""
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise ValueError(f"array {name!r} holds {array.dtype}, not numbers")
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading. Raises MeasurementError for whatever goes wrong in it, there or inside the `with` block."""
    try:
        import h5py
    except ImportError as error:
        raise MeasurementError("reading HDF5 files needs h5py: python -m pip install 'analog-hil[hdf5]'") from error
    try:
        file = h5py.File(path, "r")
    except HDF5_DAMAGE as error:
        raise failure(path, f"not an HDF5 file: {reason_of(error)}") from error
    with file:
        try:
            yield file
        except HDF5_DAMAGE as error:
            raise failure(path, f"cannot be read, the HDF5 file is damaged: {reason_of(error)}") from error
