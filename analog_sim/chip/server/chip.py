"""The chip behind the socket: its arrays by name, who may write, its limits, and the journal of what is done to it. Knows no SCPI."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from analog_sim.chip.checks import check_plan, check_target, check_voltages, span
from analog_sim.chip.clock import Frame
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.chip.fabric import PLAIN, Fabric, Fabrication
from analog_sim.chip.record import operations
from analog_sim.chip.record.operations import Arrays, Request, execute
from analog_sim.chip.sealed import SealedCrossbar
from analog_sim.chip.server.answers import Answers
from analog_sim.chip.server.errors import ScpiError
from analog_sim.chip.server.journal import Journal
from analog_sim.chip.server.wall_clock import WallClock
from analog_sim.config import UserError
from analog_sim.json_text import parse_json
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Name


@dataclass(frozen=True)
class Limits:
    """What no command may exceed.

    Attributes:
        block_bytes: of the blocks of one message, and of one answer. cells: of an array made on demand. arrays: how many there may be.
        volts: largest read voltage, beside the chip's own; None for the chip's own. pulses: slots or pulses per cell of one command.
        wait: seconds of one wait. clients: connections at a time.
    """

    block_bytes: int = 64 << 20
    cells: int = 1 << 24
    arrays: int = 4096
    volts: float | None = None
    pulses: int = 1 << 20
    wait: float = 1e9
    clients: int = 32


@dataclass
class Served:
    """An array and what it may be asked for; strict: it checks volts itself, before anything happens, and they have no other limit."""

    name: str
    crossbar: Crossbar
    info: ChipInfo
    asked: tuple[int, int, bool]
    strict: bool


@dataclass(frozen=True)
class Report:
    """What an operation was: units (vectors, cells, pulses), chip seconds, joules (0 when unknown)."""

    units: int = 0
    seconds: float = 0.0
    joules: float = 0.0


class Watcher(Protocol):
    """Is told what happens, so that it can be shown; it must be quick and may not change what it is given."""

    def saw(self, served: Served, request: Request, results: Arrays, report: Report, now: float) -> None:
        """An operation was carried out; now: chip time after it."""
        ...

    def erred(self, error: ScpiError) -> None:
        """A command was refused."""
        ...


@dataclass
class ServedChip:
    """One chip that several clients share.

    Attributes:
        fabric: makes or hands out arrays. limits: of commands. on_demand: clients may define arrays. read_only: nobody writes.
        journal: write-ahead record of operations, None to keep none. arrays: by name. wishes: for every array, such as wires.
        writer: who may write, None when the place is free.
        frames: open frames of the clock, innermost last. watch: is told of every operation and refusal, None when nobody looks.
        token: names this chip, also after a restart from its journal. answers: the last ones, for clients that go on.
    """

    fabric: Fabric
    limits: Limits = field(default_factory=Limits)
    on_demand: bool = True
    read_only: bool = False
    journal: Journal | None = None
    arrays: dict[str, Served] = field(default_factory=dict)
    wishes: Fabrication = PLAIN
    writer: object | None = None
    frames: list[Frame] = field(default_factory=list)
    watch: Watcher | None = None
    token: str = ""
    answers: Answers = field(init=False)

    def __post_init__(self) -> None:
        self.answers = Answers(self.limits.block_bytes, wanted=self.journal is not None)
        self.token = self.token or (uuid.uuid4().hex if self.journal is None else self.journal.token)

    def may_write(self, who: object) -> None:
        """Give the writer's place to `who` when it is free. Raises ScpiError when it is taken or nobody may write."""
        if self.read_only:
            raise ScpiError(-203, "this chip is served read-only")
        if self.writer is None:
            self.writer = who
        if self.writer is not who:
            raise ScpiError(-203, "another client has the writer's place")

    def release(self, who: object) -> None:
        """Free the writer's place and close the frames that were left open; nothing when another has it."""
        if self.writer is who:
            self.close_frames()
            self.writer = None

    def array(self, name: str | None) -> Served:
        """The array of a name; the first one for None. Raises ScpiError."""
        if name is None and self.arrays:
            return next(iter(self.arrays.values()))
        if name not in self.arrays:
            have = ", ".join(list(self.arrays)[:8]) or "none"
            raise ScpiError(-241, f"no array '{name or ''}' (there are: {have})")
        return self.arrays[name]

    def define(self, name: str, rows: int, cols: int, pair: bool, place: int) -> Served:
        """The array of a name, made when it is not there; the first `place` parts of the name are where on the chip it lies."""
        if name in self.arrays:
            had = self.arrays[name]
            if had.asked != (rows, cols, pair):
                raise ScpiError(-221, f"'{name}' is {had.asked[0]} x {had.asked[1]}, pair {had.asked[2]}")
            return had
        parts = parts_of(name)
        if not self.on_demand:
            raise ScpiError(-221, f"arrays of this chip are given by its file, '{name}' is none of them")
        if rows * cols * (2 if pair else 1) > self.limits.cells or len(self.arrays) >= self.limits.arrays:
            raise ScpiError(-223, f"at most {self.limits.cells} cells in an array and {self.limits.arrays} arrays")
        if not 0 <= place < len(parts):
            raise ScpiError(-222, f"place: 0 to {len(parts) - 1} parts of '{name}'")
        request = Request(name, "crossbar", {"rows": rows, "cols": cols, "pair": pair, "place": place})
        made = self._make(request)  # may be refused, so it is journalled once it is there, and before it is answered
        try:
            self._write_ahead(request)
        except UserError:
            del self.arrays[name]  # a restart would not know it
            raise
        return made

    def _make(self, request: Request) -> Served:
        settings, parts = request.settings, parts_of(request.array)
        rows, cols, pair = settings["rows"], settings["cols"], settings["pair"]
        where = self.fabric.at(*parts[: settings["place"]]) if settings["place"] else self.fabric
        crossbar = where.crossbar(tuple(parts[settings["place"] :]), rows, cols, pair=pair, wishes=self.wishes)
        # The commands carry no amplitude and no width: a served chip sends pulses of its own alone.
        info = replace(crossbar.info, inspectable=False, pulse_volts=0.0, pulse_seconds=0.0)
        if self.limits.volts is not None:
            info = replace(info, v_max=min(info.v_max, self.limits.volts))
        strict = isinstance(crossbar, SealedCrossbar) and self.journal is None and info.v_max == crossbar.info.v_max
        served = Served(request.array, crossbar, info, (rows, cols, pair), strict)
        self.arrays[request.array] = served
        return served

    def do(self, served: Served, request: Request) -> tuple[Arrays, Report]:
        """Check, journal and carry out an operation. Raises ValueError or ScpiError, and nothing has happened."""
        self._check(served, request)
        self._write_ahead(request)
        results, report = self._done(served, request)
        if self.watch is not None:
            self.watch.saw(served, request, results, report, self.fabric.clock.now)
        return results, report

    def _done(self, served: Served, request: Request) -> tuple[Arrays, Report]:
        now, frame = self.fabric.clock.now, self.frames[-1] if self.frames else None
        first = 0.0 if frame is None else frame.seconds
        before = _totals(served.crossbar)
        results = execute(request, served.crossbar)
        after = _totals(served.crossbar)
        # Of an operation alone in its frame the very seconds, not a difference of sums: a client that goes on counts with them.
        seconds = after[1] - before[1] if frame is None or first else frame.seconds
        report = Report(int(after[0] - before[0]), seconds, after[2] - before[2])
        self.answers.add(request, results, report, now)
        return results, report

    def go_on(self, seconds: float, position: int) -> None:
        """Set chip time to where a client's run goes on behind an operation. Raises ScpiError."""
        self.check_seconds(seconds)
        if self.real_time or self.frames:
            raise ScpiError(-221, "chip time is the wall's, or a frame is open")
        if position != self.answers.position:
            raise ScpiError(-221, f"{self.answers.position} operations were done, not {position}")
        if seconds < self.answers.begun:
            raise ScpiError(-222, f"the last operation began at {self.answers.begun!r} s (got {seconds!r})")
        self.fabric.clock.restore(seconds)
        self.note_time()

    def _check(self, served: Served, request: Request) -> None:
        info, arrays, limits = served.info, request.arrays, self.limits
        if request.kind in ("mvm", "mvm_transposed"):
            transposed = request.kind == "mvm_transposed"
            if not served.strict:
                check_voltages(info, arrays["v"], transposed)
            self._check_answer(len(arrays["v"]) * (info.rows if transposed else info.cols))
        elif request.kind == "read_conductance":
            rows, cols = (
                span(slice(*request.settings[k]), n, k) for k, n in (("rows", info.rows), ("cols", info.cols))
            )
            self._check_answer(info.planes * (rows.stop - rows.start) * (cols.stop - cols.start))
        elif request.kind == "program":
            check_target(info, arrays["target"], arrays.get("mask"))
        elif request.kind == "pulse":
            plan = operations.plan_of(request)
            check_plan(info, plan)
            if isinstance(plan, PulseCounts):
                lines = plan.counts.reshape(-1, info.cols)
                lines = lines if plan.rows is None else lines[plan.rows]  # elsewhere there are none
                sent = max(int(lines.max(initial=0)), -int(lines.min(initial=0)))
            else:
                sent = plan.length * len(plan.row_bits)
            if sent > limits.pulses:
                raise ScpiError(-222, f"at most {limits.pulses} pulses per cell in a command (got {sent})")
        elif request.kind == "wait":
            self.check_seconds(request.settings["seconds"])

    def _check_answer(self, numbers: int) -> None:
        if 4 * numbers > self.limits.block_bytes:
            raise ScpiError(
                -223, f"the answer would have {4 * numbers} bytes, at most {self.limits.block_bytes} are sent"
            )

    def check_seconds(self, seconds: float) -> None:
        """Raise ScpiError unless chip time may pass by so much at once."""
        if not 0.0 <= seconds <= self.limits.wait:
            raise ScpiError(-222, f"seconds must be >= 0 and at most {self.limits.wait:g} (got {seconds:g})")

    @property
    def real_time(self) -> bool:
        """Chip time follows the wall clock."""
        return isinstance(self.fabric.clock, WallClock)

    def advance(self, seconds: float) -> None:
        """The electronics around the arrays take time; in real time it passes by itself."""
        self.check_seconds(seconds)
        if not self.real_time:
            before = self.fabric.clock.now
            self.fabric.clock.advance(seconds)
            try:
                self.note_time()
            except UserError:
                self.fabric.clock.restore(before)
                raise

    def open_frame(self, parallel: bool) -> None:
        """Operations until `close_frame` count as one: the longest of them, or all together. Raises ScpiError beyond 64."""
        if len(self.frames) >= 64:
            raise ScpiError(-223, "64 frames are open")
        clock = self.fabric.clock
        frame = clock.parallel() if parallel else clock.sequence()
        frame.__enter__()
        self.frames.append(frame)

    def close_frame(self) -> float:
        """Close the innermost frame; its seconds. Raises ScpiError when none is open."""
        if not self.frames:
            raise ScpiError(-221, "no frame is open")
        frame = self.frames.pop()
        frame.__exit__()
        self.note_time()
        return frame.seconds

    def close_frames(self) -> None:
        """Close all frames."""
        while self.frames:
            self.close_frame()

    def note_time(self) -> None:
        """Journal chip time where it was told by a client, outside of frames."""
        if not self.frames and self.journal is not None:
            self.journal.append(Request("", "clock"), self.fabric.clock.now, framed=False)

    def _write_ahead(self, request: Request) -> None:
        if self.journal is not None:
            self.journal.append(request, self.fabric.clock.now, framed=bool(self.frames))

    def catch_up(self) -> int:
        """Do all of the journal again, as an emulated chip must after a restart; the number of entries. Raises UserError."""
        if self.journal is None:
            return 0
        clock, count = self.fabric.clock, 0
        for request, now, framed in self.journal.entries():
            count += 1
            clock.restore(now)
            if request.kind == "crossbar":
                if request.array not in self.arrays:
                    self._make(request)
            elif request.kind != "clock" and framed:
                with clock.aside(), clock.sequence() as frame:
                    self.frames = [frame]
                    self._again(request)
                    self.frames = []
            elif request.kind != "clock":
                self._again(request)
        return count

    def _again(self, request: Request) -> None:
        try:
            self._done(self.arrays[request.array], request)
        except ValueError:
            return  # refused by the array itself when it was asked for, and so it is now


def parts_of(name: str) -> list[Name]:
    """Parts of an array's name: a JSON list (`["fc1", "block", 0]`), of which whole numbers are names too; any other text is one part."""
    if not name.startswith("["):
        return [name]
    try:
        parts: Any = parse_json(name)
    except ValueError as error:
        raise ScpiError(-222, "a name that begins with [ must be a JSON list") from error
    if not parts or any(isinstance(p, bool) or not isinstance(p, str | int) for p in parts):
        raise ScpiError(-222, "a name must be a list of strings and whole numbers")
    return list(parts)


def _totals(chip: Crossbar) -> tuple[int, float, float]:
    units, seconds, joules = 0, 0.0, 0.0
    for total in chip.log.totals.values():
        units += total.units
        seconds += total.seconds
        joules += total.joules
    return units, seconds, joules
