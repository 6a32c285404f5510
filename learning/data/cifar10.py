"""CIFAR-10: colour photographs of 32x32 pixels, from the published archive or from a file of JPEGs."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from analog_sim._cache import user_cache_folder
from analog_sim.archive import read_archive
from analog_sim.config import UserError
from learning.data.download import Original
from learning.data.published import Published, Raw, keep, need, read_npz

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
_JPEG_NOTE = "CIFAR-10 decoded from JPEG (lossy, quality about 75): not pixel for pixel the published data"


class Cifar10(Published):
    """50,000 training and 10,000 test images (Krizhevsky, 2009, "Learning multiple layers of features from tiny images")."""

    kind: Literal["cifar10"] = "cifar10"
    name: Literal["cifar10"] = "cifar10"
    image: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    files: ClassVar[tuple[Original, ...]] = (
        Original(
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170_052_171,
        ),
    )

    @classmethod
    def in_folder(cls, folder: Path) -> Raw | None:
        """From `cifar10.npz`, else from `cifar10_jpeg.npz`."""
        found = super().in_folder(folder)
        if found is None and (folder / "cifar10_jpeg.npz").is_file():
            return _read_jpegs(folder / "cifar10_jpeg.npz")
        return found

    @classmethod
    def from_files(cls, content: list[bytes]) -> Raw:
        """Arrays of the binary version."""
        return _from_cifar_archive(content[0])


def _read_jpegs(path: Path) -> Raw:
    """CIFAR-10 kept as 60,000 JPEG files in one array.

    Decoding takes seconds, so the result is cached by the file's digest.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    cached = user_cache_folder() / "data" / f"cifar10-jpeg-{digest[:16]}.npz"
    if cached.is_file():
        try:
            raw = read_npz(cached, Cifar10)
            return Raw(raw.x_train, raw.y_train, raw.x_test, raw.y_test, note=_JPEG_NOTE)
        except UserError:
            cached.unlink(missing_ok=True)
    found = read_archive(path)
    need(found, ("jpeg", "size", "label", "n_train"), path)
    size, label, n_train = found["size"].astype(np.int64), found["label"].astype(np.uint8), int(found["n_train"])
    if size.sum() != found["jpeg"].size or size.size != label.size or not 0 < n_train < size.size or label.max() > 9:
        raise UserError(f"{path}: sizes, labels and JPEG bytes do not fit together")
    x = _decode(found["jpeg"].tobytes(), size, path)
    raw = Raw(x[:n_train], label[:n_train], x[n_train:], label[n_train:], note=_JPEG_NOTE)
    keep(cached, raw)
    return raw


def _decode(blob: bytes, size: I64, path: Path) -> U8:
    from PIL import Image, UnidentifiedImageError

    x = np.empty((size.size, 3, 32, 32), np.uint8)
    end = np.cumsum(size)
    for index, (start, stop) in enumerate(zip(end - size, end, strict=True)):
        try:
            with Image.open(io.BytesIO(blob[start:stop]), formats=["JPEG"]) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise UserError(f"{path}: image {index} is not a JPEG ({error})") from error
        if pixels.shape != (32, 32, 3):
            raise UserError(f"{path}: image {index}: must be 32x32 (got {pixels.shape[1]}x{pixels.shape[0]})")
        x[index] = pixels.transpose(2, 0, 1)
    return x


def _from_cifar_archive(content: bytes) -> Raw:
    """The binary version: records of 1 label byte and 3,072 bytes, red, green and blue plane."""
    records: dict[str, U8] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".bin") else None
            if file is not None:
                records[Path(member.name).name] = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)
    train = np.concatenate([records[f"data_batch_{n}.bin"] for n in range(1, 6)])
    test = records["test_batch.bin"]
    return Raw(
        train[:, 1:].reshape(-1, 3, 32, 32),
        train[:, 0].copy(),
        test[:, 1:].reshape(-1, 3, 32, 32),
        test[:, 0].copy(),
    )
