"""Named random streams: a key made from (seed, names) and an explicit position.

It never uses NumPy's global generator nor Python's hash(). Streams with different names are independent, so switching
one source of noise on or off changes no other draw.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypedDict

from analog_sim.compiling.collector import resting
from analog_sim.threads import in_parts

with resting():
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from analog_sim.random.kernels import philox as kernels

FEW = 2**12
"""Uniform numbers up to which they are made of words by NumPy: the same bits, and no kernel to be compiled for a few."""

_MESSAGE = "random stream: {what}: got {got!r}, allowed: {allowed}"

Name = str | int
Shape = int | tuple[int, ...]


class StreamState(TypedDict):
    """What a checkpoint keeps of a stream; plain JSON."""

    name: str
    key: str
    position: int


def _key(seed: int, path: tuple[Name, ...]) -> tuple[int, int]:
    """Two 32-bit key words: BLAKE2b over seed and names, each with its type and length, so that no two paths are spelt alike."""
    digest = hashlib.blake2b(digest_size=8, person=b"analog-hil rng")
    for part in (seed, *path):
        text = str(part).encode()
        digest.update(f"{'i' if isinstance(part, int) else 's'}{len(text)}:".encode() + text)
    value = int.from_bytes(digest.digest(), "little")
    return value & 0xFFFFFFFF, value >> 32


def _size(shape: Shape) -> tuple[tuple[int, ...], int]:
    dims = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    size = 1
    for d in dims:
        if d < 0:
            raise ValueError(_MESSAGE.format(what="shape", got=shape, allowed="dimensions >= 0"))
        size *= int(d)
    return dims, size


def _fill(
    fill: Callable[..., None], place: tuple[np.uint64, np.uint64, np.uint64], *arrays: NDArray[np.float32] | np.float32
) -> None:
    """Run a fill over its flat arrays (and numbers), large ones on several threads: the same bits."""
    key0, key1, offset = place

    def part(first: int, last: int) -> None:
        fill(
            *(a[first:last] if isinstance(a, np.ndarray) else a for a in arrays), key0, key1, offset + np.uint64(first)
        )

    assert isinstance(arrays[0], np.ndarray)
    if arrays[0].size < 2 * kernels.TASK:
        fill(*arrays, key0, key1, offset)
        return
    in_parts(part, arrays[0].size, kernels.TASK, kernels.CHUNK)


class Stream:
    """One random stream: a fixed key, and a position that every draw advances by the words it uses.

    A word, a float32 uniform or normal uses one word; an integer, an element of a permutation or a float64 uses two.
    Two successive draws of n and m elements are the same bits as one draw of n + m, on any number of threads.
    """

    __slots__ = ("_key0", "_key1", "_name", "_position")

    def __init__(self, key0: int, key1: int, name: str = "", position: int = 0) -> None:
        self._key0 = np.uint64(key0)
        self._key1 = np.uint64(key1)
        self._name = name
        self._position = int(position)

    @property
    def name(self) -> str:
        """Seed and names, for messages: '7/chip/3/read'."""
        return self._name

    @property
    def position(self) -> int:
        """Words used so far, that is, the index of the next."""
        return self._position

    def __repr__(self) -> str:
        return f"Stream({self._name!r}, position={self._position})"

    def reserve(self, n: int) -> tuple[np.uint64, np.uint64, np.uint64]:
        """Set n words aside for a kernel that draws by counter; return (key0, key1, offset), each np.uint64.

        Raises ValueError when n < 0 or the stream would pass 2**64 words.
        """
        offset = self._position
        if n < 0 or offset + n > 2**64 - 1:
            raise ValueError(
                _MESSAGE.format(
                    what=f"words to reserve from {self._name!r}", got=n, allowed=f"0 ... {2**64 - 1 - offset}"
                )
            )
        self._position = offset + int(n)
        return self._key0, self._key1, np.uint64(offset)

    def words(self, shape: Shape) -> NDArray[np.uint32]:
        """Raw 32-bit words, uniform on 0 ... 2**32 - 1."""
        dims, size = _size(shape)
        out = np.empty(size, np.int32)
        kernels.fill_words(out, *self.reserve(size))
        return out.view(np.uint32).reshape(dims)

    def uniforms(self, shape: Shape) -> NDArray[np.float32]:
        """Uniform float32 in [0, 1), on a grid of 2**-24."""
        dims, size = _size(shape)
        if size <= FEW:
            return np.float32(2.0**-24) * (self.words(dims) >> np.uint32(8)).astype(np.float32)
        out = np.empty(size, np.float32)
        _fill(kernels.fill_uniforms, self.reserve(size), out)
        return out.reshape(dims)

    def normals(self, shape: Shape, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Standard normal numbers; float32 (|n| <= 6.66) or float64 (|n| <= 8.7; slower, from 53-bit uniforms).

        Raises ValueError for another dtype.
        """
        dims, size = _size(shape)
        if np.dtype(dtype) == np.float32:
            out = np.empty(size, np.float32)
            _fill(kernels.fill_normals, self.reserve(size), out)
            return out.reshape(dims)
        if np.dtype(dtype) == np.float64:
            # Every number by itself from two words (inverse of the distribution), so that a split draw is the same numbers.
            from scipy.special import ndtri

            return np.asarray(
                ndtri((self._words64(size) >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54)
            ).reshape(dims)
        raise ValueError(_MESSAGE.format(what="dtype of normals", got=dtype, allowed="float32, float64"))

    def integers(self, low: int, high: int, shape: Shape) -> NDArray[np.int64]:
        """Integers uniform on low ... high - 1, floor(w (high - low) / 2**64) with 64 random bits w: relative bias below 2**-32.

        Raises ValueError unless 1 <= high - low <= 2**32.
        """
        dims, size = _size(shape)
        span = int(high) - int(low)
        if not 1 <= span <= 2**32:
            raise ValueError(
                _MESSAGE.format(what="range of integers", got=(low, high), allowed="1 <= high - low <= 2**32")
            )
        w = self._words64(size)
        s = np.uint64(span)
        carry = ((w & np.uint64(0xFFFFFFFF)) * s) >> np.uint64(32)
        top = (w >> np.uint64(32)) * s
        # top + carry < 2**64: (2**32 - 1) 2**32 + 2**32 - 1
        return (((top + carry) >> np.uint64(32)).astype(np.int64) + int(low)).reshape(dims)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """A random order of 0 ... n - 1: the stable order of n random 64-bit keys."""
        return np.argsort(self._words64(_size(n)[1]), kind="stable").astype(np.int64)

    def add_normals(
        self, y: NDArray[np.float32], *, std: float | None = None, variance: NDArray[np.float32] | None = None
    ) -> None:
        """Add Gaussian noise in place: y += sqrt(variance + std**2) n, n ~ N(0, 1) independent for each element.

        y: float32, any shape, C-contiguous; std: scalar in y's unit; variance: as y, in y's unit squared. One of them may be left out;
        with a variance, the sum must be 0 or between 1e-30 and 1e36 (a negative one gives NaN). The n are those of normals(y.shape).
        Raises ValueError on anything else.
        """
        if y.dtype != np.float32 or not y.flags.c_contiguous:
            raise ValueError(
                _MESSAGE.format(what="y of add_normals", got=(y.dtype, y.shape), allowed="C-contiguous float32")
            )
        given = 0.0 if std is None and variance is not None else std
        if given is None or not given >= 0.0:
            raise ValueError(_MESSAGE.format(what="std of add_normals", got=std, allowed=">= 0 (or variance)"))
        own = np.float32(given)
        flat = y.reshape(-1)
        if variance is None:
            _fill(kernels.add_normals, self.reserve(flat.size), flat, own)
            return
        if variance.shape != y.shape or variance.dtype != np.float32 or not variance.flags.c_contiguous:
            raise ValueError(
                _MESSAGE.format(
                    what="variance of add_normals",
                    got=(variance.dtype, variance.shape),
                    allowed=f"C-contiguous float32 {y.shape}",
                )
            )
        _fill(kernels.add_scaled_normals, self.reserve(flat.size), flat, variance.reshape(-1), own * own)

    def state(self) -> StreamState:
        """What a checkpoint keeps: plain JSON values."""
        return {"name": self._name, "key": f"{int(self._key1):08x}{int(self._key0):08x}", "position": self._position}

    def restore(self, state: StreamState) -> Self:
        """Continue from a state() of the same stream; returns self. Raises ValueError when the state is another stream's or malformed."""
        mine = self.state()["key"]
        if state["key"] != mine:
            raise ValueError(
                _MESSAGE.format(
                    what=f"state of {self._name!r}", got=f"{state['name']} key {state['key']}", allowed=f"key {mine}"
                )
            )
        if not 0 <= state["position"] < 2**64:
            raise ValueError(
                _MESSAGE.format(what=f"position of {self._name!r}", got=state["position"], allowed="0 ... 2**64 - 1")
            )
        self._position = int(state["position"])
        return self

    def _words64(self, size: int) -> NDArray[np.uint64]:
        words = self.words(2 * size).astype(np.uint64)
        return words[0::2] | (words[1::2] << np.uint64(32))

    def __getstate__(self) -> tuple[int, int, str, int]:
        return int(self._key0), int(self._key1), self._name, self._position

    def __setstate__(self, state: tuple[int, int, str, int]) -> None:
        self.__init__(*state)  # type: ignore[misc]


@dataclass(frozen=True)
class Streams:
    """A place in the tree of streams: seed and path of names. Two equal places give equal streams, in any process.

    `Streams(7).child("chip", 3).stream("read")`: by convention the last name is the cause (fabrication, programming, read, pulse, drift,
    perturbation, order). Raises TypeError for a name that is neither text nor an integer, ValueError for a negative seed.
    """

    seed: int
    path: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer):
            raise TypeError(_MESSAGE.format(what="seed", got=self.seed, allowed="an integer >= 0"))
        if self.seed < 0:
            raise ValueError(_MESSAGE.format(what="seed", got=self.seed, allowed="an integer >= 0"))
        for name in self.path:
            if isinstance(name, bool) or not isinstance(name, str | int | np.integer):
                raise TypeError(_MESSAGE.format(what="name", got=name, allowed="text or an integer"))
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "path", tuple(n if isinstance(n, str) else int(n) for n in self.path))

    def child(self, *names: Name) -> "Streams":
        """The place reached by going down `names`."""
        return Streams(self.seed, (*self.path, *names))

    def stream(self, *names: Name) -> Stream:
        """A new stream at `names`, at its beginning; asking twice gives two objects that draw the same numbers."""
        place = self.child(*names)
        key0, key1 = _key(place.seed, place.path)
        return Stream(key0, key1, "/".join(str(part) for part in (place.seed, *place.path)))
