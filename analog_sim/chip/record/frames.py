"""The file of a record: frames one after the other, each compressed and with its checksum; only ever appended to.

    file  = magic, frame, frame, ...
    frame = length (uint32, little endian), CRC-32 of the payload (uint32), payload
    payload = zstd(header as JSON, line feed, bytes of the arrays one after the other)

A file that a crash cut short ends in an incomplete frame, which the reader leaves out and the writer cuts off; what was done in the
last `EVERY_S` may be missing. It never unpickles.
"""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from analog_sim.config import UserError
from analog_sim.json_text import parse_json

MAGIC = b"analog-hil operations 1\n"
LEVEL = 1
"""Of compression: fast; noise in the mantissas hardly compresses at any. zlib takes six times as long for the same size."""
LONGEST = 1 << 31
EVERY_S = 0.02
"""How often waiting frames are written. Waking the writer for each would cost a training step more than the frame itself."""
SOON, MOST = 4 << 20, 64 << 20
"""Bytes that wake the writer at once, and bytes that may wait for the disk before the chip waits for them."""
_HEAD = struct.Struct("<II")


@dataclass(frozen=True)
class _Frame:
    """What is to be written: header, kind and shape of every array, their bytes."""

    header: dict[str, Any]
    shapes: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]
    content: npt.NDArray[np.uint8]

    def text(self) -> bytes:
        """Before it is compressed."""
        arrays = {name: [kind.str, list(shape)] for name, kind, shape in self.shapes}
        return b"\n".join([json.dumps({**self.header, "arrays": arrays}).encode(), self.content.data])


class FrameWriter:
    """Appends frames in a thread of its own, in the order they were given.

    Args:
        path: of the file; a new one, or one that ends at `keep` bytes after an incomplete last frame was cut off.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self._path = path
        try:
            self._file = path.open("r+b" if keep is not None else "xb", buffering=0)
            if keep is not None:
                self._file.truncate(keep)
                self._file.seek(keep)
            self._end = keep or 0
            if keep is None:
                self._put(MAGIC)
        except OSError as error:
            raise UserError(f"{path}: the record cannot be written ({error.strerror})") from error
        self._waiting: deque[_Frame] = deque()  # appending and taking need no lock
        self._given = self._taken = 0  # bytes, each counted by one thread alone
        self._room = np.empty(MOST, np.uint8)  # what waits; the system gives memory to the part that was ever used
        self._used = 0
        self._ending = False
        self._failure: Exception | None = None
        self._squeeze = zstandard.ZstdCompressor(level=LEVEL)
        self._wake = threading.Event()
        self._through = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def append(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Add a frame; arrays are copied now and compressed later. Raises UserError when an earlier frame could not be written."""
        self._check()
        shapes = tuple((name, a.dtype, a.shape) for name, a in arrays.items())
        content = self._space(sum(a.nbytes for a in arrays.values()))
        place = 0
        for a in arrays.values():  # the one copy: the caller may change its arrays afterwards
            content[place : place + a.nbytes] = np.ascontiguousarray(a).reshape(-1).view(np.uint8)
            place += a.nbytes
        self._waiting.append(_Frame(header, shapes, content))
        self._given += len(content) + 1
        waiting = self._given - self._taken
        if waiting > MOST:
            self.sync()
        elif waiting > SOON:
            self._wake.set()

    def _space(self, size: int) -> npt.NDArray[np.uint8]:
        """Memory for a frame. The same is used again and again: new one from the system costs more than the copy into it."""
        if size > MOST:
            return np.empty(size, np.uint8)
        if self._given != self._taken and self._used + size > MOST:
            self.sync()
        if self._given == self._taken:  # nothing waits, and nothing is being written
            self._used = 0
        start, self._used = self._used, self._used + size
        return self._room[start : self._used]

    def sync(self) -> None:
        """Return when all frames are in the file. Raises UserError when one could not be written."""
        with self._through:
            self._wake.set()
            self._through.wait_for(lambda: self._taken == self._given)
        self._check()

    def try_again(self) -> None:
        """Forget that a frame could not be written; for a caller that then leaves undone what the frame says."""
        self._failure = None

    def close(self) -> None:
        """Write what waits and close the file."""
        self._ending = True
        self._wake.set()
        self._thread.join()
        self._file.close()
        self._check()

    def _check(self) -> None:
        if isinstance(self._failure, OSError):
            reason = self._failure.strerror or self._failure
            raise UserError(
                f"{self._path}: the record cannot be written ({reason}); what stands in it is whole: make room and go on"
            )
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while True:
            self._wake.wait(EVERY_S)
            self._wake.clear()
            ending = self._ending  # frames come from the thread that closes: none comes after this
            self._write_waiting()
            if ending:
                return

    def _write_waiting(self) -> None:
        taken = 0
        while self._waiting:
            frame = self._waiting.popleft()
            taken += len(frame.content) + 1
            if self._failure is None:
                try:
                    self._write(frame)
                except Exception as error:  # told to whoever appends next
                    self._failure = error
        if not taken:
            return
        with self._through:
            self._taken += taken
            self._through.notify_all()

    def _write(self, frame: _Frame) -> None:
        payload = self._squeeze.compress(frame.text())
        self._put(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)

    def _put(self, content: bytes) -> None:
        """Append bytes, all of them or none: what could not be written may not come up again when somebody makes room."""
        left = memoryview(content)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            raise
        self._end += len(content)


def make_way(path: Path) -> None:
    """Remove a file that ends before its first frame, so that a new one can be made. Raises UserError."""
    try:
        path.unlink()
    except OSError as error:
        raise UserError(f"{path}: the record cannot be written ({error.strerror})") from error


def read_frames(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray], int]]:
    """(header, arrays, bytes of the file up to the end of the frame), for every whole frame; an incomplete last one is left out.

    A file that a crash or a full disk ended before its first frame has none.

    Raises:
        UserError: not a record, or damaged before its last frame.
    """
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: the record cannot be read ({error.strerror})") from error
    with file:
        begin = file.read(len(MAGIC))
        if begin != MAGIC:
            if len(begin) == size and MAGIC.startswith(begin):
                return  # cut short where it begins
            raise UserError(f"{path}: not a record of operations (it does not begin with '{MAGIC.decode().strip()}')")
        number = 0
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                return
            length, checksum = _HEAD.unpack(head)
            payload = file.read(min(length, LONGEST))
            end = file.tell()
            if len(payload) < length:
                return
            if zlib.crc32(payload) != checksum:
                if end >= size:
                    return
                raise UserError(
                    f"{path}: damaged at operation {number} (byte {end - length}), nothing behind it is sure; put a whole copy in its "
                    "place, or begin anew without it"
                )
            yield (*_decode(path, payload, number), end)
            number += 1


def _decode(path: Path, payload: bytes, number: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        text = zstandard.ZstdDecompressor().decompress(payload, max_output_size=LONGEST)
        line, _, blob = text.partition(b"\n")
        header = parse_json(line)
        arrays, place = {}, 0
        for name, (kind, shape) in header.pop("arrays").items():
            dtype = np.dtype(kind)
            size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(blob[place : place + size], dtype).reshape(shape)
            place += size
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: operation {number} is not readable ({error})") from error
    return header, arrays
