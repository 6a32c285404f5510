"""Named image data sets as plain arrays: digits (embedded), mnist, fashion_mnist, cifar10.

It looks in the folder `ANALOG_SIM_DATA`, then in the user's cache, then downloads the public original and checks it.
It never imports torch, never augments or normalises, and never unpickles anything.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim._cache import user_cache_folder
from analog_sim.archive import read_archive
from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean
from learning.data.download import Original, fetch, write_atomically

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

DATA_VARIABLE = "ANALOG_SIM_DATA"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_TEN_DIGITS = tuple(str(digit) for digit in range(10))
_JPEG_NOTE = "CIFAR-10 decoded from JPEG (lossy, quality about 75): not pixel for pixel the published data"


@dataclass(frozen=True)
class Dataset:
    """Images and labels, in the order of the source.

    Attributes:
        name: name given to `load`.
        x_train, x_test: (N, C, H, W) float32 in [0, 1].
        y_train, y_test: (N,) int64 in [0, len(classes)).
        classes: name of every class.
        sha256: of the bytes that were read (before `limit`): the same digest means the same data.
        note: what a reader of the results has to know, or empty.
        sha256_train, sha256_test: of the training and of the test images with their labels alone.
    """

    name: str
    x_train: F32
    y_train: I64
    x_test: F32
    y_test: I64
    classes: tuple[str, ...]
    sha256: str
    note: str = ""
    sha256_train: str = ""
    sha256_test: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.x_test.shape
        return channels, height, width


@dataclass(frozen=True)
class _Raw:
    """Integer images (N, H, W) or (N, C, H, W), labels and what full scale is."""

    x_train: U8
    y_train: U8
    x_test: U8
    y_test: U8
    full_scale: int = 255
    note: str = ""


@dataclass(frozen=True)
class _Source:
    """What is known of a data set that is not embedded: shape of one image, class names, published files, licence."""

    image: tuple[int, int, int]
    classes: tuple[str, ...]
    files: tuple[Original, ...]


def _idx(base: tuple[str, ...], sums: tuple[tuple[str, str, int], ...]) -> tuple[Original, ...]:
    return tuple(Original(tuple(f"{b}/{name}.gz" for b in base), digest, size) for name, digest, size in sums)


_SOURCES = {
    "mnist": _Source(
        (1, 28, 28),
        _TEN_DIGITS,
        _idx(
            ("https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"),
            (
                (
                    "train-images-idx3-ubyte",
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    9_912_422,
                ),
                ("train-labels-idx1-ubyte", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
                (
                    "t10k-images-idx3-ubyte",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    1_648_877,
                ),
                ("t10k-labels-idx1-ubyte", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
            ),
        ),
    ),
    "fashion_mnist": _Source(
        (1, 28, 28),
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        _idx(
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            ),
            (
                (
                    "train-images-idx3-ubyte",
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    26_421_880,
                ),
                ("train-labels-idx1-ubyte", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
                (
                    "t10k-images-idx3-ubyte",
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    4_422_102,
                ),
                ("t10k-labels-idx1-ubyte", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
            ),
        ),
    ),
    "cifar10": _Source(
        (3, 32, 32),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        (
            Original(
                ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                170_052_171,
            ),
        ),
    ),
}
NAMES = ("digits", *_SOURCES)


def load(name: str, *, root: Path | None = None, limit: int | None = None) -> Dataset:
    """Return a data set by name.

    Args:
        name: one of `NAMES`.
        root: folder that holds `<name>.npz`; by default the one that the environment variable ANALOG_SIM_DATA names.
        limit: keep the first `limit` training and the first `limit` test images; None keeps all. The files order their
            images without regard to the class, so the first ones are a fair sample.

    Raises:
        UserError: unknown name; a file that is not what its name says; the data are nowhere and cannot be downloaded.
    """
    if name not in NAMES:
        raise UserError(f"unknown data set '{name}'{did_you_mean(name, NAMES) or ';'} allowed: {', '.join(NAMES)}")
    if limit is not None and limit < 1:
        raise UserError(f"data set '{name}': limit must be at least 1 (got {limit})")
    if name == "digits":
        raw, classes = _digits(), _TEN_DIGITS
    else:
        raw, classes = _find(name, root), _SOURCES[name].classes
    halves = [_digest(raw.x_train, raw.y_train), _digest(raw.x_test, raw.y_test)]
    return Dataset(
        name=name,
        x_train=_images(raw.x_train[:limit], raw.full_scale),
        y_train=raw.y_train[:limit].astype(np.int64),
        x_test=_images(raw.x_test[:limit], raw.full_scale),
        y_test=raw.y_test[:limit].astype(np.int64),
        classes=classes,
        sha256=hashlib.sha256("".join(halves).encode()).hexdigest(),
        note=raw.note,
        sha256_train=halves[0],
        sha256_test=halves[1],
    )


def _digest(x: U8, y: U8) -> str:
    found = hashlib.sha256(f"{x.shape} {y.shape};".encode())
    for array in (x, y):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _images(x: U8, full_scale: int) -> F32:
    if x.ndim == 3:
        x = x[:, None]
    scaled: F32 = x.astype(np.float32)
    scaled *= np.float32(1.0 / full_scale)
    return scaled


def _digits() -> _Raw:
    """Scikit-learn's 1,797 digits of 8x8 pixels, grey levels 0 to 16; each third image of a class is a test image."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    test = np.zeros(y.size, bool)
    for label in range(10):
        test[np.flatnonzero(y == label)[2::3]] = True
    return _Raw(x[~test], y[~test], x[test], y[test], full_scale=16)


def _find(name: str, root: Path | None) -> _Raw:
    folder = root
    if folder is None and os.environ.get(DATA_VARIABLE):
        folder = Path(os.environ[DATA_VARIABLE]).expanduser()
        if not folder.is_dir():
            raise UserError(f"{DATA_VARIABLE}: no such folder: {folder}")
    if folder is not None:
        if (folder / f"{name}.npz").is_file():
            return _read_npz(folder / f"{name}.npz", name)
        if name == "cifar10" and (folder / "cifar10_jpeg.npz").is_file():
            return _read_jpegs(folder / "cifar10_jpeg.npz")
    cached = user_cache_folder() / "data" / f"{name}.npz"
    if cached.is_file():
        try:
            return _read_npz(cached, name)
        except UserError:
            cached.unlink(missing_ok=True)  # cut short or overwritten: ours to mend
    raw = _download(name)
    _keep(cached, raw)
    return raw


def _keep(path: Path, raw: _Raw) -> None:
    """Write a cache file; a folder that cannot be written only costs the next run its time."""
    buffer = io.BytesIO()
    np.savez(buffer, x_train=raw.x_train, y_train=raw.y_train, x_test=raw.x_test, y_test=raw.y_test)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError:
        return


def _open(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read every array of an .npz without unpickling. Raises UserError."""
    return read_archive(path)


def _need(found: dict[str, npt.NDArray[Any]], keys: tuple[str, ...], path: Path) -> None:
    if missing := [key for key in keys if key not in found]:
        raise UserError(f"{path}: arrays missing: {', '.join(missing)}; got: {', '.join(found) or '(none)'}")


def _read_npz(path: Path, name: str) -> _Raw:
    found = _open(path)
    _need(found, _ARRAYS, path)
    channels, height, width = _SOURCES[name].image
    allowed = [(channels, height, width)] + ([(height, width)] if channels == 1 else [])
    for part in ("train", "test"):
        x, y = found[f"x_{part}"], found[f"y_{part}"].reshape(-1)
        if x.dtype != np.uint8 or x.shape[1:] not in allowed:
            raise UserError(f"{path}: x_{part}: must be uint8 images of shape {allowed[0]} (got {x.dtype} {x.shape})")
        if not np.issubdtype(y.dtype, np.integer) or y.size != len(x) or y.size == 0:
            raise UserError(
                f"{path}: y_{part}: must be {len(x)} whole numbers, one per image (got {y.dtype} {y.shape})"
            )
        if y.min() < 0 or y.max() >= len(_SOURCES[name].classes):
            raise UserError(f"{path}: y_{part}: labels must be 0 to 9 (got {y.min()} to {y.max()})")
        found[f"y_{part}"] = y.astype(np.uint8)
    return _Raw(found["x_train"], found["y_train"], found["x_test"], found["y_test"])


def _read_jpegs(path: Path) -> _Raw:
    """CIFAR-10 kept as 60,000 JPEG files in one array.

    Decoding takes seconds, so the result is cached by the file's digest.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    cached = user_cache_folder() / "data" / f"cifar10-jpeg-{digest[:16]}.npz"
    if cached.is_file():
        try:
            raw = _read_npz(cached, "cifar10")
            return _Raw(raw.x_train, raw.y_train, raw.x_test, raw.y_test, note=_JPEG_NOTE)
        except UserError:
            cached.unlink(missing_ok=True)
    found = _open(path)
    _need(found, ("jpeg", "size", "label", "n_train"), path)
    size, label, n_train = found["size"].astype(np.int64), found["label"].astype(np.uint8), int(found["n_train"])
    if size.sum() != found["jpeg"].size or size.size != label.size or not 0 < n_train < size.size or label.max() > 9:
        raise UserError(f"{path}: sizes, labels and JPEG bytes do not fit together")
    x = _decode(found["jpeg"].tobytes(), size, path)
    raw = _Raw(x[:n_train], label[:n_train], x[n_train:], label[n_train:], note=_JPEG_NOTE)
    _keep(cached, raw)
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


def _download(name: str) -> _Raw:
    otherwise = (
        f"put {name}.npz with the arrays x_train, y_train, x_test, y_test (uint8) into a folder and set "
        f"{DATA_VARIABLE} to it, or use the embedded data set 'digits'"
    )
    content = [fetch(original, f"data set '{name}'", otherwise) for original in _SOURCES[name].files]
    if name == "cifar10":
        return _from_cifar_archive(content[0])
    x_train, y_train, x_test, y_test = (_from_idx(gzip.decompress(part)) for part in content)
    return _Raw(x_train, y_train, x_test, y_test)


def _from_idx(content: bytes) -> U8:
    """Array of an IDX file of bytes: magic 0, 0, 8, n, then n big-endian sizes, then the values."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape([int(n) for n in shape])


def _from_cifar_archive(content: bytes) -> _Raw:
    """The binary version: records of 1 label byte and 3,072 bytes, red, green and blue plane."""
    records: dict[str, U8] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".bin") else None
            if file is not None:
                records[Path(member.name).name] = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)
    train = np.concatenate([records[f"data_batch_{n}.bin"] for n in range(1, 6)])
    test = records["test_batch.bin"]
    return _Raw(
        train[:, 1:].reshape(-1, 3, 32, 32),
        train[:, 0].copy(),
        test[:, 1:].reshape(-1, 3, 32, 32),
        test[:, 0].copy(),
    )
