"""The one reader of .npz files: plain arrays by name, or one line that says what is wrong. Nothing is ever unpickled.

A member of a .npz carries a CRC-32 that is checked here, so that an array is either whole or refused.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError

_SHOWN = 160
"""Characters of a library's reason that a message repeats."""


def read_archive(path: Path, what: str = "a readable .npz file of plain arrays", remedy: str = "") -> dict[str, Any]:
    """Return every array of a .npz file.

    Args:
        path: the file. what: what it should be, for the message. remedy: what the user can do, for the message.

    Raises:
        UserError: no such file, damaged anywhere, another kind of file, or arrays of Python objects.
    """
    try:
        return npz_arrays(path)
    except ValueError as error:
        raise UserError(f"{path}: not {what} ({error}){f'; {remedy}' if remedy else ''}") from error


def npz_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of a .npz file, all of them or those named.

    Raises:
        ValueError: one line without the path, for the reasons of `read_archive` or because a name is not there.
    """
    try:
        # Opened here, because np.load leaves a file open that it cannot read.
        with path.open("rb") as opened, _loaded(opened) as found:
            return {name: _array(found, name) for name in (found.files if names is None else sorted(names))}
    except OSError as error:
        raise ValueError(error.strerror or one_line(error)) from error


def _loaded(opened: BinaryIO) -> Any:
    try:
        found = np.load(opened, allow_pickle=False)
    except Exception as error:  # damaged bytes make zipfile, zlib and NumPy raise a dozen unrelated kinds
        # NumPy takes all that it does not know for a pickle, and tells how to load it, which is not to be done.
        reason = "" if "pickle" in str(error) else f": {one_line(error)}"
        raise ValueError(f"not a NumPy archive{reason}") from error
    if not isinstance(found, np.lib.npyio.NpzFile):
        raise ValueError(f"holds a single array, {found.dtype} {found.shape}")
    return found


def _array(found: Any, name: str) -> npt.NDArray[Any]:
    if name not in found.files:
        raise ValueError(f"no array {name!r}; the archive has: {', '.join(found.files) or 'nothing'}")
    try:
        array = found[name]
    except Exception as error:  # as above
        if "Object arrays" in str(error):
            raise ValueError(
                f"array {name!r} holds Python objects, as lists of unequal length become; make it an array of numbers or texts"
            ) from error
        raise ValueError(f"array {name!r} cannot be read, the archive is damaged: {one_line(error)}") from error
    if not isinstance(array, np.ndarray):  # a member that is not an array comes as its bytes
        raise ValueError(f"array {name!r} cannot be read: it is no NumPy array")
    return array


def one_line(error: BaseException) -> str:
    """What an exception says, on one line of moderate length; its kind when it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
