"""The file of a record: frames one after the other, each compressed and with its checksum; only ever appended to.

    file  = magic, frame, frame, ...
    frame = length (uint32, little endian), CRC-32 of the payload (uint32), payload
    payload = zstd(header as JSON, line feed, bytes of the arrays one after the other)

A file that a crash cut short ends in an incomplete frame, which the reader leaves out and the writer cuts off. It never unpickles.
"""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import zstandard

from analog_sim.config import UserError

MAGIC = b"analog-hil operations 1\n"
LEVEL = 1
"""Of compression: fast; noise in the mantissas hardly compresses at any. zlib takes six times as long for the same size."""
LONGEST = 1 << 31
WAITING = 64
"""Frames that may wait for the disk before the chip waits for them."""
_HEAD = struct.Struct("<II")


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
            self._file = path.open("r+b" if keep is not None else "xb")
            if keep is not None:
                self._file.truncate(keep)
                self._file.seek(keep)
            else:
                self._file.write(MAGIC)
        except OSError as error:
            raise UserError(f"{path}: the record cannot be written ({error.strerror})") from error
        self._queue: Queue[bytes | None] = Queue(WAITING)
        self._failure: OSError | None = None
        self._squeeze = zstandard.ZstdCompressor(level=LEVEL)
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def append(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Add a frame; arrays are copied now and compressed later. Raises UserError when an earlier frame could not be written."""
        self._check()
        shapes = {name: [a.dtype.str, list(a.shape)] for name, a in arrays.items()}
        text = json.dumps({**header, "arrays": shapes}).encode()
        whole = [np.ascontiguousarray(a).reshape(-1).view(np.uint8).data for a in arrays.values() if a.size]
        self._queue.put(b"".join([text, b"\n", *whole]))  # the one copy: the caller may change its arrays afterwards

    def sync(self) -> None:
        """Return when all frames are in the file. Raises UserError when one could not be written."""
        self._queue.join()
        self._check()

    def close(self) -> None:
        """Write what waits and close the file."""
        self._queue.put(None)
        self._thread.join()
        self._file.close()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise UserError(f"{self._path}: the record cannot be written ({self._failure.strerror})")

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            try:
                if item is None:
                    return
                if self._failure is None:
                    self._write(item)
            except OSError as error:
                self._failure = error
            finally:
                self._queue.task_done()

    def _write(self, text: bytes) -> None:
        payload = self._squeeze.compress(text)
        self._file.write(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
        self._file.flush()


def read_frames(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray], int]]:
    """(header, arrays, bytes of the file up to the end of the frame), for every whole frame; an incomplete last one is left out.

    Raises:
        UserError: not a record, or damaged before its last frame.
    """
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: the record cannot be read ({error.strerror})") from error
    with file:
        if file.read(len(MAGIC)) != MAGIC:
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
                    f"{path}: damaged at operation {number} (byte {end - length}); nothing behind it is sure"
                )
            yield (*_decode(path, payload, number), end)
            number += 1


def _decode(path: Path, payload: bytes, number: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        text = zstandard.ZstdDecompressor().decompress(payload, max_output_size=LONGEST)
        line, _, blob = text.partition(b"\n")
        header = json.loads(line)
        arrays, place = {}, 0
        for name, (kind, shape) in header.pop("arrays").items():
            dtype = np.dtype(kind)
            size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            arrays[name] = np.frombuffer(blob[place : place + size], dtype).reshape(shape)
            place += size
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: operation {number} is not readable ({error})") from error
    return header, arrays
