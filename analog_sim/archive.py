"""The one reader of .npz files: plain arrays by name, or one line that says what is wrong. Nothing is ever unpickled.

A member of a .npz carries a CRC-32 that is checked here, so that an array is either whole or refused.
"""

from pathlib import Path
from typing import Any

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
        # Opened here, because np.load leaves a file open that it cannot read.
        with path.open("rb") as opened:
            found = np.load(opened, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise ValueError(f"holds a single array, {found.dtype} {found.shape}")
            with found:
                return {name: _array(found, name) for name in found.files}
    except Exception as error:  # damaged bytes make zipfile, zlib and NumPy raise a dozen unrelated kinds
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        raise UserError(f"{path}: not {what} ({reason}){f'; {remedy}' if remedy else ''}") from error


def _array(found: Any, name: str) -> npt.NDArray[Any]:
    array = found[name]
    if not isinstance(array, np.ndarray):  # a member that is not an array comes as its bytes
        raise ValueError(f"member {name!r} is not an array")
    return array


def one_line(error: BaseException) -> str:
    """What an exception says, on one line of moderate length; its kind when it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
