"""The record of one chip: played back as far as it goes, then written on. It never touches a chip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analog_sim.chip.record.frames import FrameWriter, make_way, read_frames
from analog_sim.chip.record.operations import Arrays, Request
from analog_sim.config import UserError


@dataclass(frozen=True)
class TapedOperation:
    """One operation as it stands in the record.

    Attributes:
        request: what was asked. results: what came back, by name. time: chip time at its start, s. seconds: how long it took.
        units: vectors, cells or pulses. joules: energy, 0 when it is not known.
    """

    request: Request
    results: Arrays
    time: float
    seconds: float
    units: int
    joules: float


class Tape:
    """A record that is open.

    Operations that are in the record are played back, each only for the very request that was recorded; behind them new ones are appended,
    unless the tape is only to be played.

    Args:
        path: of the file. chip: settings of the chip, kept in the first frame and compared with it. write: whether new operations may be
            appended; a file that does not exist is then made.

    Attributes:
        position: number of the next operation. cut: whether the file ended within an operation, which is left out.
        keeper: asked to keep the chip's state, with the number of operations and bytes of the file; None where nobody has to.

    Raises:
        UserError: no such file, another chip's record, a damaged one.
    """

    def __init__(self, path: Path, chip: dict[str, Any] | None, *, write: bool) -> None:
        self.path = path
        self.position = 0
        self.keeper: Callable[[int, int], None] | None = None
        self.ends: list[int] = []
        self._looking: dict[str, Iterator[TapedOperation]] | None = None
        self._writer: FrameWriter | None = None
        self._length, end = 0, None
        self.cut = False
        if path.exists() or not write:
            recorded: dict[str, Any] | None = None
            for header, _, place in read_frames(path):
                if recorded is None:
                    recorded = header.get("chip", {})
                else:
                    self._length += 1
                    self.ends.append(place)
                end = place
            if recorded is None and not write:
                raise UserError(f"{path}: the record is empty")
            if recorded is not None and chip is not None:
                self._same_chip(recorded, chip)
            self.chip = recorded or {}
            self.cut = end is not None and path.stat().st_size > end
            if recorded is None:
                make_way(path)
                end = None
        else:
            self.chip = {}
        if write:
            self._writer = FrameWriter(path, keep=end)
            if end is None:
                self.chip = chip or {}
                self._writer.append({"chip": self.chip}, {})
                self._writer.sync()  # what the chip does is the record's from here on
        self._played = self._operations()

    @property
    def length(self) -> int:
        """Operations in the record."""
        return self._length

    @property
    def playing(self) -> bool:
        """Whether recorded operations are left to be played back."""
        return self.position < self._length

    def operations(self) -> Iterator[TapedOperation]:
        """All operations of the record, from its beginning."""
        self.sync()
        return self._operations()

    def play(self, request: Request) -> TapedOperation | None:
        """The recorded operation that answers a request; None when the record is through and the chip must be asked.

        Raises:
            UserError: another operation was recorded here, or the record is through and nothing may be appended.
        """
        if self._looking is not None:
            return self._found(request)
        if not self.playing:
            if self._writer is not None:
                return None
            raise UserError(
                f"replay: {self.path} ends after {self._length} operations; asked: {request.kind} on '{request.array}'"
            )
        recorded = next(self._played)
        difference = recorded.request.difference(request)
        if difference is not None:
            raise UserError(f"replay: {self.path}, operation {self.position}: {difference}")
        self.position += 1
        return recorded

    def _found(self, request: Request) -> TapedOperation:
        """The next operation of this array that is the same, from the beginning of the record. Raises UserError when there is none."""
        assert self._looking is not None
        if request.array not in self._looking:
            mine = (done for done in self.operations() if done.request.array == request.array)
            self._looking[request.array] = mine
        for done in self._looking[request.array]:
            if done.request.difference(request) is None:
                return done
        raise UserError(f"{self.path}: the record has no such operation: {request.kind} on '{request.array}'")

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Within the block requests are answered by the record wherever they stand there: a checkpoint is put back, nothing is done."""
        self._looking = {}
        try:
            yield
        finally:
            self._looking = None

    def append(self, done: TapedOperation) -> None:
        """Record an operation that the chip has done."""
        assert self._writer is not None
        request = done.request
        header = {
            "array": request.array,
            "kind": request.kind,
            "settings": request.settings,
            "time": done.time,
            "seconds": done.seconds,
            "units": done.units,
            "joules": done.joules,
        }
        arrays = {f"in.{k}": a for k, a in request.arrays.items()} | {f"out.{k}": a for k, a in done.results.items()}
        self._writer.append(header, arrays)
        self._length += 1
        self.position += 1

    def holds(self, position: int) -> None:
        """Raise UserError when the record is shorter than a checkpoint asks for."""
        if not 0 <= position <= self._length:
            raise UserError(
                f"{self.path}: the record holds {self._length} operations, the checkpoint was made after {position}; "
                "they do not belong together"
            )

    def seek(self, position: int) -> None:
        """Go on from an operation of the record, as a checkpoint kept it. Raises UserError when the record is shorter."""
        self.holds(position)
        self.sync()
        self._played = self._operations()
        for _ in range(position):
            next(self._played)
        self.position = position

    def sync(self) -> None:
        """Return when all operations are in the file."""
        if self._writer is not None:
            self._writer.sync()

    def keep(self) -> None:
        """Return when all operations are in the file and the chip has kept its state, if it must and is not behind the record."""
        self.sync()
        if self.keeper is not None and self._writer is not None and not self.playing:
            self.keeper(self._length, self.path.stat().st_size)

    def close(self) -> None:
        """Write what waits and close the file."""
        if self._writer is not None:
            self._writer.close()

    def _same_chip(self, recorded: dict[str, Any], chip: dict[str, Any]) -> None:
        for name in sorted({*recorded, *chip}):
            if recorded.get(name) != chip.get(name):
                raise UserError(
                    f"{self.path}: the record is of another chip: {name} was {recorded.get(name)}, now {chip.get(name)}"
                )

    def _operations(self) -> Iterator[TapedOperation]:
        if not self.path.exists():
            return
        frames = read_frames(self.path)
        next(frames, None)  # the chip's settings
        for header, arrays, _ in frames:
            given = {k[3:]: a for k, a in arrays.items() if k.startswith("in.")}
            results = {k[4:]: a for k, a in arrays.items() if k.startswith("out.")}
            request = Request(header["array"], header["kind"], header["settings"], given)
            yield TapedOperation(
                request, results, header["time"], header["seconds"], int(header["units"]), float(header["joules"])
            )
