"""A recorded run on a served chip that was killed goes on: its record answers, then what the chip remembers, then the chip itself.

Chip time is counted here until the chip is asked for something new, from the same durations in the same order, and is the chip's own from
then on. So the run ends bit-identically to one that was never interrupted, as long as nobody else used the chip meanwhile.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analog_sim.chip.client.link import Link, LinkReport
from analog_sim.chip.client.remote import RemoteClock, RemoteCrossbar, RemoteFabric, RemoteFrame
from analog_sim.chip.clock import Clock, Frame
from analog_sim.chip.record.frames import read_frames
from analog_sim.chip.record.operations import Request
from analog_sim.chip.record.tape import Tape, TapedOperation
from analog_sim.chip.record.taped import TapedFabric, recording
from analog_sim.config import UserError


class ResumedClock(Clock):
    """Chip time of a recorded run: counted here, and of the chip once the run is `live`.

    Args:
        link: to the chip. remote: its clock. now: chip time where the record begins. live: nothing is to be played back.
    """

    def __init__(self, link: Link, remote: RemoteClock, now: float, *, live: bool) -> None:
        super().__init__(now)
        self.link, self.remote, self.live = link, remote, live
        self.around: list[ResumedFrame] = []

    @property
    def now(self) -> float:
        """Chip time in seconds."""
        return self.remote.now if self.live else self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if self.live:
            self.remote.advance(seconds)
        else:
            super().advance(seconds)

    def restore(self, now: float) -> None:
        """Set the time of a checkpoint; the chip's own does not go back."""
        if self.live:
            self.remote.restore(now)
        else:
            super().restore(now)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """As of the clock that counts."""
        with self.remote.aside() if self.live else super().aside():
            yield

    def parallel(self) -> Frame:
        """Operations inside run at the same time."""
        return ResumedFrame(self, "TIME:PAR")

    def sequence(self) -> Frame:
        """Operations inside run one after the other."""
        return ResumedFrame(self, "TIME:SEQ")

    def go_live(self, position: int) -> None:
        """From now on the chip counts, from the time that is counted here. Raises UserError when it has done more than is known here."""
        if not self.link.real_time:
            self.link.command(f"TIME:GO {self._now!r},{position}")
        for frame in self.around:
            frame.go_live()
        self._frames.clear()
        self.live = True


class ResumedFrame(Frame):
    """A frame of such a clock, which may go live while it is open.

    Args:
        clock: whose frame it is. opens: the command that opens it on the chip.
    """

    def __init__(self, clock: ResumedClock, opens: str) -> None:
        self._clock, self._opens = clock, opens
        join = max if opens == "TIME:PAR" else operator.add
        self._here: Frame | None = None if clock.live else Frame(clock._frames, partial(Clock.advance, clock), join)
        self._there: RemoteFrame | None = RemoteFrame(clock.link, opens) if clock.live else None

    def __enter__(self) -> Frame:
        (self._there or self._here or self).__enter__()
        self._clock.around.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._clock.around.remove(self)
        (self._there or self._here or self).__exit__()

    def __getattr__(self, name: str) -> float:
        if name != "seconds":
            raise AttributeError(name)
        return (self._there or self._here or self).seconds

    def go_live(self) -> None:
        """Open it on the chip with what it has gathered here."""
        assert self._here is not None, "opened before the clock went live"
        self._there = RemoteFrame(self._clock.link, self._opens)
        self._there.__enter__()
        self._clock.remote.advance(self._here.seconds)


class Resumption:
    """Operations that the chip has done and the record lacks, because the run was killed before it had written them.

    Args:
        clock: of the run. position: of the chip, behind the last operation of the record. end: of the chip now.
    """

    def __init__(self, clock: ResumedClock, position: int, end: int) -> None:
        self._clock, self._position, self._end = clock, position, end

    def again(self, request: Request, on: Any) -> TapedOperation | None:
        """The next operation as the chip did it; None when it has done no more, and is then asked itself. Raises UserError."""
        clock = self._clock
        if self._position >= self._end:
            clock.go_live(self._position)
            return None
        assert isinstance(on, RemoteCrossbar)
        said: list[LinkReport] = []
        asked = Request(on.name, request.kind, request.settings, request.arrays)
        answer = clock.link.read([f"LOG:ANSW? {self._position},'{asked.digest()}'".encode()], said.append)
        self._position += 1
        results = _shaped(request, on, answer)
        return TapedOperation(request, results, clock.now, said[0].seconds, said[0].units, said[0].joules)


def _shaped(request: Request, on: RemoteCrossbar, answer: np.ndarray) -> dict[str, np.ndarray]:
    if request.kind in ("mvm", "mvm_transposed"):
        return {"i": answer.astype(np.float32).reshape(len(request.arrays["v"]), -1)}
    if request.kind == "read_conductance":
        (top, bottom), (left, right) = request.settings["rows"], request.settings["cols"]
        return {"g": answer.astype(np.float32).reshape(on.info.planes, bottom - top, right - left)}
    return {}


def recorded(chip: RemoteFabric, path: Path, card: str) -> TapedFabric:
    """Record a run on a served chip, or go on with the record that is there.

    Raises:
        UserError: the record is another chip's, the chip was started anew without its journal, or it has done other things since.
    """
    link, played = chip.link, 0
    token, end = link.query("LOG:POS?").rsplit(",", 1)
    settings: dict[str, Any] = {"served": link.identity, "card": card, "token": token.strip('"')}
    start, now = int(end), link.now()
    if path.exists() and any(True for _ in read_frames(path)):
        tape = Tape(path, None, write=False)
        played = sum(operation.request.kind != "crossbar" for operation in tape.operations())
        start, now = int(tape.chip.get("start", start)), float(tape.chip.get("now", now))
        told = tape.chip.get("token")
        if told != settings["token"]:
            raise UserError(
                f"{path}: the chip at {link.where} is not the one of this record, or was started anew without its journal, so the run "
                "cannot go on; delete the folder to train anew"
            )
        if int(end) < start + played:
            raise UserError(f"{path}: holds {played} operations, the chip has done {int(end) - start} of them")
    clock = ResumedClock(link, chip.clock, now, live=int(end) == start)
    resumption = None if clock.live else Resumption(clock, start + played, int(end))
    settings |= {"start": start, "now": now}
    return recording(chip, path, settings, remembers=True, clock=clock, resumption=resumption)
