"""The file of a record: what was written is read, a cut end is left out, and damage is one clear line."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from analog_sim.chip.record import frames
from analog_sim.chip.record.frames import MAGIC, FrameWriter, read_frames
from analog_sim.chip.record.tape import Tape
from analog_sim.chip.server.journal import Journal
from analog_sim.config import UserError


def write(path: Path, count: int = 5) -> None:
    writer = FrameWriter(path)
    for number in range(count):
        writer.append({"number": number}, {"a": np.arange(number, dtype=np.float32), "b": np.zeros((0, 3), np.int16)})
    writer.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "r")
    found = list(read_frames(tmp_path / "r"))
    assert [header["number"] for header, _, _ in found] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found[3][1]["a"], np.arange(3, dtype=np.float32))
    assert found[3][1]["b"].shape == (0, 3)
    assert found[-1][2] == (tmp_path / "r").stat().st_size


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_an_incomplete_last_frame_is_left_out_and_written_over(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "r"
    write(path)
    path.write_bytes(path.read_bytes()[:-cut])
    found = list(read_frames(path))
    assert [header["number"] for header, _, _ in found] == [0, 1, 2, 3]
    writer = FrameWriter(path, keep=found[-1][2])
    writer.append({"number": "new"}, {})
    writer.close()
    assert [header["number"] for header, _, _ in read_frames(path)] == [0, 1, 2, 3, "new"]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Whatever byte is flipped: one line, or a record that ends before it; never other numbers."""
    path = tmp_path / "r"
    write(path)
    whole = path.read_bytes()
    right = [(header, arrays["a"].tolist()) for header, arrays, _ in read_frames(path)]
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        found = []
        try:
            for header, arrays, _ in read_frames(path):
                found.append((header, arrays["a"].tolist()))
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        assert found == right[: len(found)]


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"b", MAGIC[:-1] + b" ", MAGIC[1:]])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(UserError, match="not a record of operations"):
        list(read_frames(tmp_path / "r"))


@pytest.mark.parametrize("length", [0, 1, len(MAGIC) - 1, len(MAGIC)])
def test_a_file_that_ends_before_its_first_frame_is_begun_anew(tmp_path: Path, length: int) -> None:
    """As a crash or a full disk leaves it. It blocked the run for ever: 'not a record', or 'the record is empty'."""
    path = tmp_path / "r"
    path.write_bytes(MAGIC[:length])
    assert list(read_frames(path)) == []
    with pytest.raises(UserError, match="the record is empty"):
        Tape(path, None, write=False)
    Tape(path, {"card": "a"}, write=True).close()
    assert [header for header, _, _ in read_frames(path)] == [{"chip": {"card": "a"}}]
    path.write_bytes(MAGIC[:length])
    Journal(path, {"card": "a"}).close()
    assert [header["served"] for header, _, _ in read_frames(path)] == [{"card": "a"}]


def test_a_missing_file_and_a_read_only_place_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(read_frames(tmp_path / "none"))
    with pytest.raises(UserError, match="cannot be written"):
        FrameWriter(tmp_path / "no" / "folder")


def test_a_file_without_a_frame_that_cannot_go_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r").write_bytes(MAGIC)

    def refused(self: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refused)
    for opened in (lambda: Tape(tmp_path / "r", {}, write=True), lambda: Journal(tmp_path / "r", {})):
        with pytest.raises(UserError, match=r"r: the record cannot be written .Operation not permitted"):
            opened()


def test_a_full_disk_is_said_at_the_next_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = FrameWriter(tmp_path / "r")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "_write", full)
    writer.append({}, {})
    with pytest.raises(UserError, match=r"cannot be written .No space left on device"):
        writer.sync()
    with pytest.raises(UserError, match="cannot be written"):
        writer.close()
    assert list(read_frames(tmp_path / "r")) == []


@pytest.mark.parametrize("most", [64, 1000, 1 << 20])
def test_memory_that_is_used_again_holds_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Frames of all sizes, also of more than may wait; arrays that change behind the call, of odd sizes and not contiguous."""
    monkeypatch.setattr(frames, "MOST", most)
    monkeypatch.setattr(frames, "SOON", most // 8)
    writer, random, given = FrameWriter(tmp_path / "r"), np.random.default_rng(5), []
    for number in range(300):
        a = random.integers(0, 255, random.integers(0, 400)).astype(np.uint8)
        b = random.normal(size=(7, random.integers(1, 9))).astype(np.float32)
        given.append((a.copy(), b[::2].copy()))
        writer.append({"number": number}, {"a": a, "b": b[::2]})
        a[:], b[:] = 0, 0.0
    writer.close()
    for (a, b), (_, found, _) in zip(given, read_frames(tmp_path / "r"), strict=True):
        np.testing.assert_array_equal(found["a"], a)
        np.testing.assert_array_equal(found["b"], b)
