"""The user's own pictures: `dataset: {images: folder}`, a folder of pictures for every class."""

import os
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from analog_sim.archive import one_line
from analog_sim.config import UserError
from learning.data.dataset import Dataset
from learning.data.own import Array, OwnData, Place, file_stamp

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
_GREY, _COLOUR = ("1", "L"), ("RGB", "RGBA", "P")


class Images(OwnData):
    """Pictures of one size, by class: `folder/cat/1.png`, or with a test part `folder/train/cat/1.png` and `folder/test/cat/2.png`.

    Attributes:
        images: the folder. Grey pictures give one channel, others three (a palette is looked up, transparency is left out).
    """

    config_kind_key: ClassVar[str] = "images"

    kind: Literal["images"] = "images"
    images: Place

    def read(self, root: Path | None = None) -> Dataset:
        """All pictures. Raises UserError."""
        folder = Path(self.images)
        parts = _folders(folder)
        if not parts:
            raise UserError(f"{folder}: must be a folder with a folder of pictures for every class")
        if {path.name for path in parts} == {"train", "test"}:
            return self.made(folder.name, str(folder), _part(folder / "train"), _part(folder / "test"))
        return self.made(folder.name, str(folder), _part(folder), None)

    def stamp(self) -> tuple[int, ...]:
        """Of every picture."""
        return file_stamp(*sorted(Path(self.images).rglob("*")))


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _part(folder: Path) -> tuple[Array, Array]:
    """Pictures (N, C, H, W) and the names of their folders (N,)."""
    found: list[Array] = []
    labels: list[str] = []
    first: Path | None = None
    for group in _folders(folder):
        for path in sorted(group.iterdir()):
            if path.name.startswith(".") or path.name == "Thumbs.db":
                continue  # what file managers leave
            picture = _picture(path)
            if first is None:
                first = path
            elif picture.shape != found[0].shape:
                shapes = f"{_size(picture)}, but {first} has {_size(found[0])}"
                raise UserError(
                    f"{path}: has {shapes}; all pictures must have one size and be all grey or all in colour"
                )
            found.append(picture)
            labels.append(group.name)
    if not found:
        raise UserError(f"{folder}: holds no pictures in folders of classes")
    return np.stack(found), np.array(labels)


def _picture(path: Path) -> Array:
    """Bytes (C, H, W)."""
    from PIL import Image, UnidentifiedImageError

    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: is not a picture; allowed: {', '.join(SUFFIXES)}")
    try:
        with Image.open(path) as image:
            if image.mode not in (*_GREY, *_COLOUR):
                raise UserError(f"{path}: pixels of kind {image.mode}; allowed: {', '.join((*_GREY, *_COLOUR))}")
            pixels = np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{os.fspath(path)}: cannot be read as a picture ({one_line(error)})") from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _size(picture: Array) -> str:
    channels, height, width = picture.shape
    return f"{height} x {width} pixels and {channels} channels"
