"""Data sets from every place they may come from, and one clear line when they are nowhere or not what they say."""

import gzip
import hashlib
import io
import os
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analog_sim.config import UserError, discover
from learning.data import cifar10, datasets, download
from learning.data.download import Original, fetch, write_atomically
from learning.data.published import Published

REAL = os.environ.get("ANALOG_SIM_DATA", "")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no data folder, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ANALOG_SIM_DATA", raising=False)

    def offline(url: str, timeout: float) -> None:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(download.urllib.request, "urlopen", offline)
    return tmp_path / "cache" / "analog-hil" / "data"


def small(image: tuple[int, ...] = (28, 28), n: int = 20) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (n, *image), np.uint8),
        "y_train": (np.arange(n) % 10).astype(np.uint8),
        "x_test": rng.integers(0, 256, (n // 2, *image), np.uint8),
        "y_test": (np.arange(n // 2) % 10).astype(np.uint8),
    }


def test_digits_are_embedded_and_split_by_class() -> None:
    data = datasets.load("digits")
    assert data.x_train.shape == (1201, 1, 8, 8)
    assert data.x_test.shape == (596, 1, 8, 8)
    assert data.shape == (1, 8, 8)
    assert (data.x_train.dtype, data.y_train.dtype) == (np.float32, np.int64)
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)
    shares = np.bincount(data.y_test) / (np.bincount(data.y_test) + np.bincount(data.y_train))
    assert np.abs(shares - 1 / 3).max() < 0.01
    assert data.sha256 == datasets.load("digits").sha256
    assert len({image.tobytes() for image in data.x_train} & {image.tobytes() for image in data.x_test}) == 0


def test_limit_keeps_the_first_and_the_digest() -> None:
    whole, part = datasets.load("digits"), datasets.load("digits", limit=30)
    assert np.array_equal(part.x_test, whole.x_test[:30])
    assert np.array_equal(part.y_train, whole.y_train[:30])
    assert part.sha256 == whole.sha256
    assert set(part.y_test) == set(range(10))


@pytest.mark.parametrize(
    ("name", "image"), [("mnist", (28, 28)), ("fashion_mnist", (28, 28)), ("cifar10", (3, 32, 32))]
)
def test_folder_by_argument_or_variable(name: str, image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = small(image)
    np.savez(tmp_path / f"{name}.npz", **arrays)
    data = datasets.load(name, root=tmp_path)
    channels = image[0] if len(image) == 3 else 1
    assert data.x_train.shape == (20, channels, *image[-2:])
    np.testing.assert_allclose(data.x_test.reshape(arrays["x_test"].shape) * 255, arrays["x_test"], atol=1e-3)
    assert len(data.classes) == 10
    monkeypatch.setenv("ANALOG_SIM_DATA", str(tmp_path))
    assert datasets.load(name).sha256 == data.sha256


def test_nowhere_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(
            UserError, match=r"'mnist': could not be downloaded .*no network.*ANALOG_SIM_DATA"
        ) as caught:
            datasets.load("mnist", root=folder)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("ANALOG_SIM_DATA", str(tmp_path / "missing"))
    with pytest.raises(UserError, match="ANALOG_SIM_DATA: no such folder"):
        datasets.load("mnist")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.zeros((20, 27, 28), np.uint8)}, r"x_train: must be uint8 images of shape \(1, 28, 28\)"),
        ({"x_test": np.zeros((10, 28, 28), np.float32)}, "x_test: must be uint8"),
        ({"y_test": np.zeros(9, np.uint8)}, "y_test: must be 10 whole numbers"),
        ({"y_train": np.full(20, 10, np.uint8)}, r"labels must be 0 to 9 \(got 10 to 10\)"),
        ({"y_train": np.full(20, -1)}, r"labels must be 0 to 9 \(got -1 to -1\)"),
        ({"y_train": np.zeros(20)}, "whole numbers"),
        ({"x_test": np.array([object()], dtype=object)}, "not a readable .npz file of plain arrays"),
    ],
)
def test_files_that_are_not_what_they_say(change, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", **(small() | change))
    with pytest.raises(UserError, match=message):
        datasets.load("mnist", root=tmp_path)


def test_missing_arrays_and_broken_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=small()["x_train"])
    with pytest.raises(UserError, match="arrays missing: y_train, x_test, y_test; got: x_train"):
        datasets.load("mnist", root=tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match="not a readable"):
        datasets.load("mnist", root=tmp_path)


def test_unknown_names_and_limits() -> None:
    with pytest.raises(UserError, match="unknown data set 'minst', did you mean 'mnist'"):
        datasets.load("minst")
    with pytest.raises(UserError, match="at least 1"):
        datasets.load("digits", limit=0)


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.tobytes())


def cifar_archive(arrays: dict[str, np.ndarray]) -> bytes:
    def records(x: np.ndarray, y: np.ndarray) -> bytes:
        return np.concatenate([y[:, None], x.reshape(len(x), -1)], axis=1).astype(np.uint8).tobytes()

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        parts = [
            (
                f"data_batch_{k + 1}.bin",
                records(arrays["x_train"][4 * k : 4 * k + 4], arrays["y_train"][4 * k : 4 * k + 4]),
            )
            for k in range(5)
        ]
        for name, content in [*parts, ("test_batch.bin", records(arrays["x_test"], arrays["y_test"]))]:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def serve(name: str, contents: list[bytes], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pretend that these are the published files of a data set, and serve them."""
    originals = tuple(
        Original(
            tuple(f"https://{host}/{name}/{k}" for host in ("first", "second")), hashlib.sha256(c).hexdigest(), len(c)
        )
        for k, c in enumerate(contents)
    )
    monkeypatch.setattr(discover("learning.data", Published)[name], "files", originals)
    asked: list[str] = []

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(contents[int(url.rsplit("/", 1)[1])])

    monkeypatch.setattr(download.urllib.request, "urlopen", urlopen)
    return asked


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_download_then_cache(name: str, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = small((3, 32, 32) if name == "cifar10" else (28, 28))
    contents = [cifar_archive(arrays)] if name == "cifar10" else [idx(arrays[key]) for key in arrays]
    asked = serve(name, contents, monkeypatch)
    data = datasets.load(name)
    assert np.array_equal(np.rint(data.x_test.reshape(arrays["x_test"].shape) * 255), arrays["x_test"])
    assert np.array_equal(data.y_train, arrays["y_train"])
    count = len(asked)
    assert count == len(contents)
    assert datasets.load(name).sha256 == data.sha256
    assert len(asked) == count  # from the cache
    (places / f"{name}.npz").write_bytes(b"cut short")
    assert datasets.load(name).sha256 == data.sha256
    assert len(asked) == 2 * count  # a broken cache file is fetched again
    assert [path.name for path in places.iterdir()] == [f"{name}.npz"]


def test_a_wrong_checksum_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(url: str, timeout: float) -> io.BytesIO:
        return io.BytesIO(b"right" if "second" in url else b"something else, much longer than announced")

    monkeypatch.setattr(download.urllib.request, "urlopen", urlopen)
    digest = hashlib.sha256(b"right").hexdigest()
    assert fetch(Original(("https://first", "https://second"), digest, 5), "it", "do that") == b"right"
    with pytest.raises(
        UserError, match=r"it: could not be downloaded \(https://first: sha256 is .*expected .*\); do that"
    ):
        fetch(Original(("https://first",), digest, 5), "it", "do that")


def test_published_checksums_are_complete() -> None:
    for source in discover("learning.data", Published).values():
        for original in source.files:
            assert len(bytes.fromhex(original.sha256)) == 32
            assert original.size > 0
            assert all(url.startswith("http") for url in original.urls)


def jpegs(path: Path, size: int = 32, quality: int = 95) -> np.ndarray:
    rng = np.random.default_rng(1)
    x = np.kron(rng.integers(0, 256, (6, 4, 4, 3)), np.ones((1, size // 4, size // 4, 1))).astype(np.uint8)
    files = []
    for image in x:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=0)
        files.append(buffer.getvalue())
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        size=np.array([len(f) for f in files], np.uint16),
        label=np.arange(6, dtype=np.uint8),
        n_train=np.int64(4),
    )
    return x.transpose(0, 3, 1, 2)


def test_cifar_from_jpeg_is_decoded_once_and_says_so(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = jpegs(tmp_path / "cifar10_jpeg.npz")
    data = datasets.load("cifar10", root=tmp_path)
    assert data.x_train.shape == (4, 3, 32, 32)
    assert np.abs(data.x_test * 255 - x[4:]).mean() < 4.0
    assert list(data.y_test) == [4, 5]
    assert "lossy" in data.note
    monkeypatch.setattr(cifar10, "_decode", None)  # never called again
    again = datasets.load("cifar10", root=tmp_path)
    assert (again.sha256, again.note) == (data.sha256, data.note)


def test_broken_jpegs(tmp_path: Path) -> None:
    path = tmp_path / "cifar10_jpeg.npz"
    jpegs(path, size=16)
    with pytest.raises(UserError, match=r"image 0: must be 32x32 \(got 16x16\)"):
        datasets.load("cifar10", root=tmp_path)
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"size": arrays["size"][:-1]}))
    with pytest.raises(UserError, match="do not fit together"):
        datasets.load("cifar10", root=tmp_path)
    np.savez(path, **(arrays | {"jpeg": np.zeros_like(arrays["jpeg"])}))
    with pytest.raises(UserError, match="image 0 is not a JPEG"):
        datasets.load("cifar10", root=tmp_path)


def test_files_are_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    write_atomically(target, b"one")
    write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.mark.data
@pytest.mark.parametrize(("name", "counts"), [("mnist", MNIST_COUNTS), ("fashion_mnist", [6000] * 10)])
def test_the_real_files(name: str, counts: list[int]) -> None:
    data = datasets.load(name, root=Path(REAL))
    assert (len(data.x_train), len(data.x_test)) == (60000, 10000)
    assert data.shape == (1, 28, 28)
    assert list(np.bincount(data.y_train)) == counts
    assert data.x_train.max() == 1.0
