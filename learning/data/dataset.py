"""A data set as plain arrays, whatever it came from: samples with labels, or with numbers to be predicted. It never reads or normalises."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Answers = npt.NDArray[Any]
"""What a network is to answer: labels (N,) int64, or numeric targets (N, n) float32."""


@dataclass(frozen=True)
class NumericTargets:
    """Numbers to be predicted (regression).

    A network is trained on ``(target - offset) / scale``, so that all targets count alike, whatever their units.

    Attributes:
        names: of the n targets. offset, scale: (n,) float32; 0 and 1 as read, mean and standard deviation of the training part once the
            data are in the form of a network.
    """

    names: tuple[str, ...]
    offset: F32
    scale: F32

    @classmethod
    def plain(cls, names: tuple[str, ...]) -> NumericTargets:
        """Targets as they were read."""
        return cls(names, np.zeros(len(names), np.float32), np.ones(len(names), np.float32))


@dataclass(frozen=True)
class Dataset:
    """Samples, with labels or with numeric targets.

    Attributes:
        name: of the published set, or of the user's file, folder or function.
        x_train, x_test: float32, (N, C, H, W) for images, in [0, 1] those of the published sets, (N, features) for vectors.
        y_train, y_test: (N,) int64 in [0, len(classes)), or (N, n) float32 where `targets` says which numbers.
        classes: name of every class; empty where numbers are to be predicted.
        sha256: of what was read (before any limit): the same digest means the same data.
        note: what a reader of the results has to know, or empty.
        sha256_train, sha256_test: of the training and of the test samples with their labels alone.
        targets: the numbers to be predicted, None for classes.
    """

    name: str
    x_train: F32
    y_train: Answers
    x_test: F32
    y_test: Answers
    classes: tuple[str, ...]
    sha256: str
    note: str = ""
    sha256_train: str = ""
    sha256_test: str = ""
    targets: NumericTargets | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network gives out: classes or targets."""
        return self.classes if self.targets is None else self.targets.names

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        return (
            f"<data set {self.name}: {len(self.x_train)} training and {len(self.x_test)} test samples of {shape}, "
            f"{len(self.classes)} classes>"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: channels, height and width of an image."""
        return tuple(int(n) for n in self.x_test.shape[1:])


def part_digest(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> str:
    """SHA-256 of one part: shapes and values of its samples and labels."""
    found = hashlib.sha256(f"{x.shape} {y.shape};".encode())
    for array in (x, y):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def whole_digest(train: str, test: str) -> str:
    """SHA-256 of a data set from those of its parts."""
    return hashlib.sha256((train + test).encode()).hexdigest()
