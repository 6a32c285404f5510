"""What the published image data sets share: where they are looked for, how a file is checked, and the form of their arrays.

It looks in the folder `ANALOG_SIM_DATA`, then in the user's cache, then downloads the public original and checks it.
It never imports torch, never augments or normalises, and never unpickles anything.
"""

from __future__ import annotations

import gzip
import io
import os
from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from analog_sim._cache import user_cache_folder
from analog_sim.archive import read_archive
from analog_sim.config import UserError, at_key
from learning.data.dataset import F32, Dataset, part_digest, whole_digest
from learning.data.download import Original, fetch, write_atomically
from learning.data.spec import DataSpec

U8 = npt.NDArray[np.uint8]

DATA_VARIABLE = "ANALOG_SIM_DATA"
TEN_DIGITS = tuple(str(digit) for digit in range(10))
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Raw:
    """Integer images (N, H, W) or (N, C, H, W), labels and what full scale is."""

    x_train: U8
    y_train: U8
    x_test: U8
    y_test: U8
    full_scale: int = 255
    note: str = ""


class Published(DataSpec, ABC):
    """A published image data set.

    Class attributes:
        image: channels, height and width. classes: name of every class. files: published files.

    Attributes:
        name: which data set.
    """

    config_kind_key: ClassVar[str] = "name"
    image: ClassVar[tuple[int, int, int]]
    classes: ClassVar[tuple[str, ...]]
    files: ClassVar[tuple[Original, ...]] = ()

    @model_validator(mode="after")
    def _one_per_channel(self) -> Self:
        channels = self.image[0]
        for key, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise at_key(key, f"must be one number or one per channel ({channels}) (got {len(values)})")
        return self

    def read(self, root: Path | None = None) -> Dataset:
        """All images, or as many as the limits leave.

        root: folder that holds `<kind>.npz`; by default the one that ANALOG_SIM_DATA names. Raises UserError.
        """
        raw = self.find(root)
        halves = (part_digest(raw.x_train, raw.y_train), part_digest(raw.x_test, raw.y_test))
        return Dataset(
            name=self.kind,
            # Limits first: as floats the images take four times the memory.
            x_train=_images(raw.x_train[: self.train_limit], raw.full_scale),
            y_train=raw.y_train[: self.train_limit].astype(np.int64),
            x_test=_images(raw.x_test[: self.test_limit], raw.full_scale),
            y_test=raw.y_test[: self.test_limit].astype(np.int64),
            classes=self.classes,
            sha256=whole_digest(*halves),
            note=raw.note,
            sha256_train=halves[0],
            sha256_test=halves[1],
        )

    @classmethod
    def title(cls) -> str:
        """Its kind."""
        return str(cls.model_fields["kind"].default)

    @classmethod
    def find(cls, root: Path | None) -> Raw:
        """From the folder, the cache, or the public original. Raises UserError."""
        folder = root
        if folder is None and os.environ.get(DATA_VARIABLE):
            folder = Path(os.environ[DATA_VARIABLE]).expanduser()
            if not folder.is_dir():
                raise UserError(f"{DATA_VARIABLE}: no such folder: {folder}")
        if folder is not None and (found := cls.in_folder(folder)) is not None:
            return found
        cached = user_cache_folder() / "data" / f"{cls.title()}.npz"
        if cached.is_file():
            try:
                return read_npz(cached, cls)
            except UserError:
                cached.unlink(missing_ok=True)  # cut short or overwritten: ours to mend
        raw = cls._download()
        keep(cached, raw)
        return raw

    @classmethod
    def in_folder(cls, folder: Path) -> Raw | None:
        """From a file in the folder; None when it has none. Raises UserError."""
        path = folder / f"{cls.title()}.npz"
        return read_npz(path, cls) if path.is_file() else None

    @classmethod
    def from_files(cls, content: list[bytes]) -> Raw:
        """Arrays of the published files, in the order of `files`."""
        x_train, y_train, x_test, y_test = (_from_idx(gzip.decompress(part)) for part in content)
        return Raw(x_train, y_train, x_test, y_test)

    @classmethod
    def _download(cls) -> Raw:
        name = cls.title()
        otherwise = (
            f"put {name}.npz with the arrays x_train, y_train, x_test, y_test (uint8) into a folder and set "
            f"{DATA_VARIABLE} to it, or use the embedded data set 'digits'"
        )
        return cls.from_files([fetch(original, f"data set '{name}'", otherwise) for original in cls.files])


def idx_files(base: tuple[str, ...], sums: tuple[tuple[str, str, int], ...]) -> tuple[Original, ...]:
    """Published files of the IDX format: where they lie, and (name, SHA-256, bytes) of each."""
    return tuple(Original(tuple(f"{b}/{name}.gz" for b in base), digest, size) for name, digest, size in sums)


def _images(x: U8, full_scale: int) -> F32:
    if x.ndim == 3:
        x = x[:, None]
    scaled: F32 = x.astype(np.float32)
    scaled *= np.float32(1.0 / full_scale)
    return scaled


def keep(path: Path, raw: Raw) -> None:
    """Write a cache file; a folder that cannot be written only costs the next run its time."""
    buffer = io.BytesIO()
    np.savez(buffer, x_train=raw.x_train, y_train=raw.y_train, x_test=raw.x_test, y_test=raw.y_test)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError:
        return


def need(found: dict[str, npt.NDArray[Any]], keys: tuple[str, ...], path: Path) -> None:
    """Raise UserError when an array is missing."""
    if missing := [key for key in keys if key not in found]:
        raise UserError(f"{path}: arrays missing: {', '.join(missing)}; got: {', '.join(found) or '(none)'}")


def read_npz(path: Path, of: type[Published]) -> Raw:
    """The arrays of a file, checked against what is known of the set. Raises UserError."""
    found = read_archive(path)
    need(found, _ARRAYS, path)
    channels, height, width = of.image
    allowed = [(channels, height, width)] + ([(height, width)] if channels == 1 else [])
    for part in ("train", "test"):
        x, y = found[f"x_{part}"], found[f"y_{part}"].reshape(-1)
        if x.dtype != np.uint8 or x.shape[1:] not in allowed:
            raise UserError(f"{path}: x_{part}: must be uint8 images of shape {allowed[0]} (got {x.dtype} {x.shape})")
        if not np.issubdtype(y.dtype, np.integer) or y.size != len(x) or y.size == 0:
            raise UserError(
                f"{path}: y_{part}: must be {len(x)} whole numbers, one per image (got {y.dtype} {y.shape})"
            )
        if y.min() < 0 or y.max() >= len(of.classes):
            raise UserError(f"{path}: y_{part}: labels must be 0 to 9 (got {y.min()} to {y.max()})")
        found[f"y_{part}"] = y.astype(np.uint8)
    return Raw(found["x_train"], found["y_train"], found["x_test"], found["y_test"])


def _from_idx(content: bytes) -> U8:
    """Array of an IDX file of bytes: magic 0, 0, 8, n, then n big-endian sizes, then the values."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape([int(n) for n in shape])
