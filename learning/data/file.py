"""The user's own arrays: `dataset: {file: mine.npz}`, with x_train, y_train and perhaps x_test, y_test. Never unpickled."""

from pathlib import Path
from typing import ClassVar, Literal

from analog_sim.archive import read_archive
from analog_sim.config import DataFile, UserError
from learning.data.dataset import Dataset
from learning.data.own import OwnData, file_stamp, names_of


class File(OwnData):
    """A .npz file.

    Attributes:
        file: its path. Arrays: x_train (N, ...) and y_train, x_test and y_test alike or both missing. y holds labels (N,), whole numbers
            or texts, or floating-point numbers to be predicted, (N,) or (N, n). If wanted, `classes` names the labels 0, 1, ..., or
            `targets` the numbers.
    """

    config_kind_key: ClassVar[str] = "file"

    kind: Literal["file"] = "file"
    file: DataFile

    def read(self, root: Path | None = None) -> Dataset:
        """All samples. Raises UserError."""
        found = read_archive(self.file)
        pairs = ("x_train", "y_train") + (("x_test", "y_test") if {"x_test", "y_test"} & set(found) else ())
        if missing := [key for key in pairs if key not in found]:
            raise UserError(f"{self.file}: arrays missing: {', '.join(missing)}; got: {', '.join(found) or '(none)'}")
        names = names_of(found, str(self.file))
        return self.made(
            self.file.name,
            str(self.file),
            (found["x_train"], found["y_train"]),
            (found["x_test"], found["y_test"]) if "x_test" in found else None,
            names,
        )

    def stamp(self) -> tuple[int, ...]:
        """Of the file."""
        return file_stamp(self.file)
