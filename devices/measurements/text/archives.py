"""Archives of arrays that labs keep, .npz and HDF5. Whatever a damaged file raises becomes one line; never a pickle."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.archive import npz_arrays, one_line
from devices.measurements.text.problems import MeasurementError, failure

__all__ = ["HDF5_DAMAGE", "npz_arrays", "numbers_of", "opened_hdf5"]

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
"""What h5py raises for bytes that are damaged, cut or of another format; AttributeError where group and data set are confused."""


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
        raise failure(path, f"not an HDF5 file: {one_line(error)}") from error
    with file:
        try:
            yield file
        except HDF5_DAMAGE as error:
            raise failure(path, f"cannot be read, the HDF5 file is damaged: {one_line(error)}") from error
