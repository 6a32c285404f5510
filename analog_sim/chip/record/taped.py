"""A chip with its record, and a chip that is only a record: calls are answered by the record as far as it goes, then by the chip.

A run that goes on from a checkpoint asks again for what the chip did after it: the record answers, and the chip does nothing twice.
Snapshots cannot be recorded, so a recorded chip is a sealed one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.checks import check_plan, check_target, check_voltages, span
from analog_sim.chip.clock import Clock, check_seconds
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.chip.fabric import PLAIN, Fabric, Fabrication
from analog_sim.chip.operation_log import OperationLog
from analog_sim.chip.record import operations
from analog_sim.chip.record.chip_memory import ChipMemory
from analog_sim.chip.record.operations import Arrays, Request, execute
from analog_sim.chip.record.tape import Tape, TapedOperation
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Name

F32 = npt.NDArray[np.float32]


class Remembers(Protocol):
    """A chip that has gone on since its record ended, and remembers what it answered."""

    def again(self, request: Request, on: Crossbar) -> TapedOperation | None:
        """The next operation behind the record as the chip did it; None when it has done no more, and for ever after."""
        ...


@dataclass
class TapedSession:
    """A record, and the arrays of the chip that goes on where it ends.

    Attributes:
        tape: the record. clock: chip time. arrays: by name; none in a replay. behind: the chip does not know what is in the record, because
            it is an emulated one whose process ended: what it did after it last kept its state must be done again before it is asked
            for more. memory: the state that an emulated chip keeps for itself, None without one. resumption: of a chip that knows
            more than the record. announce: told of every operation before the chip is.
    """

    tape: Tape
    clock: Clock
    arrays: dict[str, Crossbar]
    behind: bool
    resumption: Remembers | None = None
    memory: ChipMemory | None = None
    announce: Callable[[Request], None] | None = None

    @property
    def replaying(self) -> bool:
        """Whether the record answers; else the chip does, which checks what it is asked for itself."""
        return self.tape.playing or not self.arrays

    def carry_out(self, request: Request) -> TapedOperation:
        """Have the chip do an operation, record it, and note what it took by the chip's own log."""
        if self.behind:
            self._catch_up()
        chip = self.arrays[request.array]
        if self.resumption is not None:
            known = self.resumption.again(request, chip)
            if known is not None:
                self.clock.advance(known.seconds)
                self.tape.append(known)
                return known
            self.resumption = None
        if self.announce is not None:
            self.announce(request)
        time, before = self.clock.now, _totals(chip)
        with self.clock.sequence() as taken:
            results = execute(request, chip)
        units, joules = (after - first for after, first in zip(_totals(chip), before, strict=True))
        done = TapedOperation(request, results, time, taken.seconds, int(units), joules)
        self.tape.append(done)
        return done

    def _catch_up(self) -> None:
        """Do the operations of the record that the chip's state lacks. Raises UserError when the chip answers differently than it did."""
        with self.clock.aside():
            known = 0 if self.memory is None else self.memory.recall(self.tape.ends)
            for number, operation in enumerate(self.tape.operations()):
                request = operation.request
                if request.kind == "crossbar" or number < known:
                    continue
                if request.array not in self.arrays:
                    raise UserError(
                        f"{self.tape.path}: the chip has no array '{request.array}', which the record speaks of"
                    )
                self.clock.restore(operation.time)
                with self.clock.sequence():  # time stands still within an operation, as it did in `carry_out`
                    answer = execute(request, self.arrays[request.array])
                if any(not np.array_equal(array, operation.results[name]) for name, array in answer.items()):
                    raise UserError(
                        f"{self.tape.path}: the chip does not answer operation {number} ({request.kind} on '{request.array}') as it "
                        "did; the card, the program or the machine has changed"
                    )
        self.behind = False

    def keep(self, position: int, end: int) -> None:
        """Have the chip keep its state, unless it is behind the record."""
        if self.memory is not None and not self.behind:
            self.memory.keep(position, end)


class TapedCrossbar:
    """An array whose operations are recorded or played back.

    Args:
        name: in the record. info: of the array. session: the record and the chip.
    """

    inside: None = None

    def __init__(self, name: str, info: ChipInfo, session: TapedSession) -> None:
        self.info = info
        self.log = OperationLog()
        self._name, self._session = name, session

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self._session.clock.now

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents; see `Crossbar`."""
        if self._session.replaying:
            check_voltages(self.info, v, transpose)
        return self._do(operations.mvm(self._name, v, transpose))["i"]

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read cells one by one."""
        r, c = span(rows, self.info.rows, "rows"), span(cols, self.info.cols, "cols")
        lines = {"rows": [r.start, r.stop], "cols": [c.start, c.stop]}
        return self._do(Request(self._name, "read_conductance", lines))["g"]

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells to a target."""
        if self._session.replaying:
            check_target(self.info, target, mask)
        arrays = {"target": np.asarray(target, np.float32)}
        self._do(Request(self._name, "program", arrays=arrays if mask is None else {**arrays, "mask": np.array(mask)}))

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send pulses."""
        if self._session.replaying:
            check_plan(self.info, plan)
        self._do(operations.pulse(self._name, plan))

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        check_seconds(seconds)
        self._do(Request(self._name, "wait", {"seconds": float(seconds)}))

    def flush(self) -> None:
        """Wait for queued commands of the chip; the record is written behind."""
        chip = self._session.arrays.get(self._name)
        if chip is not None:
            chip.flush()

    def _do(self, request: Request) -> Arrays:
        """Play the operation back, or have the chip do it and record it."""
        played = self._session.tape.play(request)
        if played is None:
            done = self._session.carry_out(request)
            results = done.results
        else:
            done = played
            self._session.clock.advance(done.seconds)
            results = {name: np.array(a) for name, a in done.results.items()}  # the record's own are read-only
        self.log.add(request.kind, done.time, units=done.units, seconds=done.seconds, joules=done.joules)
        return results


def _totals(chip: Crossbar) -> tuple[int, float]:
    units, joules = 0, 0.0
    for total in chip.log.totals.values():
        units, joules = units + total.units, joules + total.joules
    return units, joules


@dataclass(frozen=True)
class TapedFabric:
    """Hands out taped arrays.

    Attributes:
        cell: the card. session: the record and the chip's arrays. chip: the fabric that is recorded; None in a replay. place: names on
            the way here.
    """

    cell: CellModel
    session: TapedSession
    chip: Fabric | None
    place: tuple[Name, ...] = ()

    @property
    def clock(self) -> Clock:
        """Chip time."""
        return self.session.clock

    @property
    def record(self) -> Tape:
        """The record."""
        return self.session.tape

    @property
    def largest(self) -> tuple[int, int] | None:
        """As of the recorded chip."""
        largest = self.session.tape.chip.get("largest") if self.chip is None else self.chip.largest
        return None if largest is None else (int(largest[0]), int(largest[1]))

    def at(self, *place: Name) -> TapedFabric:
        """The part of the chip at `place`."""
        return replace(self, chip=None if self.chip is None else self.chip.at(*place), place=(*self.place, *place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> TapedCrossbar:
        """An array of the recorded chip, or of the record."""
        full = "/".join(str(part) for part in (*self.place, *name))
        request = Request(full, "crossbar", {"rows": rows, "cols": cols, "pair": pair})
        played = self.session.tape.play(request)
        if self.chip is not None:
            array = self.chip.crossbar(name, rows, cols, pair=pair, wishes=wishes)
            self.session.arrays[full] = array
            info = replace(array.info, inspectable=False)
        if played is None:
            facts: Arrays = {key: np.array(value) for key, value in asdict(info).items()}
            self.session.tape.append(TapedOperation(request, facts, self.clock.now, 0.0, 0, 0.0))
        else:
            info = ChipInfo(**{key: value.item() for key, value in played.results.items()})
        return TapedCrossbar(full, info, self.session)


def recording(
    chip: Fabric,
    path: Path,
    settings: dict[str, Any],
    *,
    remembers: bool,
    clock: Clock | None = None,
    resumption: Remembers | None = None,
    memory: ChipMemory | None = None,
) -> TapedFabric:
    """Record all that is done on a chip; goes on with a record that is there.

    Args:
        chip: what is recorded. path: of the record. settings: of the chip, as JSON, compared with those of a record that is there.
        remembers: the chip keeps its state when this process ends, as hardware does; an emulated one does not, and is brought to the end of
            its record by doing again what it did. clock: instead of the chip's. resumption: of a chip that knows more than the record.
        memory: state that an emulated chip keeps for itself; without one all of the record is done again.

    Raises:
        UserError: the record is another chip's or damaged, or cannot be written.
    """
    tape = Tape(path, {**settings, "largest": None if chip.largest is None else list(chip.largest)}, write=True)
    behind = not remembers and tape.length > 0
    session = TapedSession(tape, clock or chip.clock, {}, behind, resumption, memory)
    tape.keeper = session.keep
    return TapedFabric(chip.cell, session, chip)


def replay(path: Path, cell: CellModel, clock: Clock) -> TapedFabric:
    """A chip that repeats a record and refuses everything else; its time begins where the recorded chip's was. Raises UserError when the
    record cannot be read."""
    tape = Tape(path, None, write=False)
    for first in itertools.islice(tape.operations(), 1):
        clock.restore(first.time)
    return TapedFabric(cell, TapedSession(tape, clock, {}, behind=False), None)
