"""A served chip as `Fabric` and `Crossbar`. Chip time is the server's; what the electronics of a tile take is told to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.checks import check_plan, check_target, check_voltages, span
from analog_sim.chip.client.link import Link, LinkReport, Part, block
from analog_sim.chip.clock import Clock, Frame
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.fabric import PLAIN, Fabrication
from analog_sim.chip.operation_log import OperationLog
from analog_sim.chip.record import operations
from analog_sim.chip.server.commands import INFO_HEADERS
from analog_sim.config import UserError
from analog_sim.pulses.kernels.counts import busy_rows, list_pulses
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.random.streams import Name

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

DENSE = 0.01
"""Pulses for each cell above which all counts go through shared memory sooner than a list of cells is made and taken apart."""


class RemoteClock(Clock):
    """Chip time of a served chip.

    Args:
        link: to the chip.
    """

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    @property
    def now(self) -> float:
        """Chip time in seconds."""
        return self._link.now()

    def advance(self, seconds: float) -> None:
        """Tell the chip what time the electronics around it take."""
        if not seconds >= 0.0:
            raise ValueError(f"chip time cannot run backwards (got {seconds} s)")
        if seconds > 0.0:
            self._link.note(f"TIME:ADV {float(seconds)!r}")

    def restore(self, now: float) -> None:
        """A served chip does not go back; one that is behind goes on to `now`."""
        if not self._link.real_time:
            self.advance(max(now - self.now, 0.0))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Raise UserError: what is done to a served chip cannot be undone."""
        raise UserError(f"{self._link.where}: chip time cannot be put aside")
        yield

    def parallel(self) -> Frame:
        """Operations inside run at the same time."""
        return RemoteFrame(self._link, "TIME:PAR")

    def sequence(self) -> Frame:
        """Operations inside run one after the other."""
        return RemoteFrame(self._link, "TIME:SEQ")


class RemoteFrame(Frame):
    """A frame of the server's clock; `seconds` is asked for when it is wanted, before another frame is closed.

    Args:
        link: to the chip. opens: the command that opens it.
    """

    def __init__(self, link: Link, opens: str) -> None:
        self._link, self._opens = link, opens

    def __enter__(self) -> Frame:
        self._link.note(self._opens)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._link.closed:  # the server closes the frames of a client that has gone
            self._link.note("TIME:END")

    def __getattr__(self, name: str) -> float:
        if name != "seconds":
            raise AttributeError(name)
        return float(self._link.query("TIME:LAST?"))


class RemoteCrossbar:
    """An array of a served chip.

    Args:
        link: to the chip. name: of the array. info: of the array.

    Attributes:
        name: as the chip calls it.
        inside: None, a served chip is sealed.
    """

    inside: None = None

    def __init__(self, link: Link, name: str, info: ChipInfo) -> None:
        self._link, self.name = link, name
        self._quoted = _quoted(name).encode()
        self.info = info
        self._log = OperationLog()

    @property
    def log(self) -> OperationLog:
        """What this client asked of the array."""
        self._link.settle()
        return self._log

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self._link.now()

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents; see `Crossbar`."""
        check_voltages(self.info, v, transpose)
        lines = self.info.rows if transpose else self.info.cols
        size = 4 * len(v) * lines
        self._check_bytes("mvm", max(4 * v.size, size))
        header = b"READ:MVM:TRAN? " if transpose else b"READ:MVM? "
        answer = self._read(
            header,
            [b",", *self._link.numbers(np.asarray(v, np.float32), size)],
            "mvm_transposed" if transpose else "mvm",
        )
        return answer.reshape(len(v), lines)

    def read_conductance(self, rows: slice | None = None, cols: slice | None = None) -> F32:
        """Read cells one by one."""
        r, c = span(rows, self.info.rows, "rows"), span(cols, self.info.cols, "cols")
        shape = (self.info.planes, r.stop - r.start, c.stop - c.start)
        self._check_bytes("read_conductance", 4 * int(np.prod(shape)))
        lines = b",%d,%d,%d,%d" % (r.start, r.stop, c.start, c.stop)
        return self._read(b"READ:COND? ", [lines], "read_conductance").reshape(shape)

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Write cells to a target."""
        check_target(self.info, target, mask)
        self._check_bytes("program", (4 if mask is None else 5) * target.size)
        siemens = np.asarray(target, np.float32)
        if mask is None:
            self._write(b"PROG ", [b",", *self._link.lent(siemens)], "program")
        else:
            self._write(b"PROG:MASK ", [b",", *block(siemens), b",", *block(mask.astype(np.uint8))], "program")

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Send pulses."""
        check_plan(self.info, plan)
        if isinstance(plan, PulseCounts):
            self._pulse_counts(plan)
            return
        self._check_pulses(plan.length * len(plan.row_bits), self._link.pulses)
        request = operations.pulse(self.name, plan)
        self._check_bytes("pulse", sum(a.nbytes for a in request.arrays.values()))
        blocks = [part for array in request.arrays.values() for part in (b",", *block(array))]
        mode = b"BOTH" if plan.mode == "both" else b"ONES"
        head = b",%d,%d,%s" % (len(plan.row_bits), plan.length, mode)
        self._write(b"PULS:TRA ", [head, *blocks], "pulse")

    def _pulse_counts(self, plan: PulseCounts) -> None:
        """Counts of the cells that have any, or of all where that is shorter."""
        counts = plan.counts
        if counts.dtype != np.int16:
            self._check_pulses(max(int(counts.max(initial=0)), -int(counts.min(initial=0))), 32767)
            counts = counts.astype(np.int16)
        rows, total, most = busy_lines(counts, plan.rows)
        self._check_pulses(most, 32767)
        dense = self._link.shares(counts.nbytes) and total > DENSE * counts.size
        if dense or 5 * total >= counts.nbytes or "PULSe:CELLs" not in self._link.headers:
            self._check_bytes("pulse", counts.nbytes)
            self._write(b"PULS:COUN ", [b",", *self._link.lent(counts)], "pulse")
            return
        cells, pulses = pulsed_cells(counts, rows, total)
        few = pulses.astype(np.int8) if most < 128 else pulses
        self._check_bytes("pulse", cells.nbytes + few.nbytes)
        self._write(b"PULS:CELL ", [b",", *block(cells), b",", *block(few)], "pulse")

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        if not 0.0 <= seconds <= self._link.wait:
            raise ValueError(f"wait: seconds must be >= 0 and at most {self._link.wait:g} (got {seconds})")
        self._write(b"WAIT ", [f",{float(seconds)!r}".encode()], "wait")

    def flush(self) -> None:
        """Return when all that was sent is done."""
        self._link.command(f"FLUS {_quoted(self.name)}")

    def _read(self, header: bytes, parts: list[Part], kind: str) -> F32:
        answer = self._link.read([header, self._quoted, *parts], self._counted(kind))
        return answer.astype(np.float32, copy=False)

    def _write(self, header: bytes, parts: list[Part], kind: str) -> None:
        self._link.write([header, self._quoted, *parts], self._counted(kind))

    def _counted(self, kind: str):  # type: ignore[no-untyped-def]
        def heard(said: LinkReport) -> None:
            self._log.add(kind, said.now, units=said.units, seconds=said.seconds, joules=said.joules)

        return heard

    def _check_bytes(self, what: str, count: int) -> None:
        if count > self._link.block_bytes:
            raise ValueError(
                f"{what}: {count} bytes, the chip takes and gives at most {self._link.block_bytes} at once"
            )

    def _check_pulses(self, count: int, most: int) -> None:
        most = min(most, self._link.pulses)
        if count > most:
            raise ValueError(f"pulse: at most {most} pulses per cell at once (got {count})")


@dataclass(frozen=True)
class RemoteFabric:
    """A served chip that hands out arrays.

    Attributes:
        cell: the card: what is known of the cells. link: to the chip. clock: chip time. largest: array, None for any. place: names on the
            way here. record: none is kept here; the server may keep one. made: arrays of this client by name.
    """

    cell: CellModel
    link: Link
    clock: RemoteClock
    largest: tuple[int, int] | None
    place: tuple[Name, ...] = ()
    record: None = None
    made: dict[str, RemoteCrossbar] = field(default_factory=dict)

    def token(self) -> str:
        """Name of this chip: another one after a restart of the server without its journal."""
        return self.link.query("LOG:POS?").rsplit(",", 1)[0].strip('"')

    def at(self, *place: Name) -> RemoteFabric:
        """The part of the chip at `place`."""
        return replace(self, place=(*self.place, *place))

    def crossbar(
        self, name: tuple[Name, ...], rows: int, cols: int, *, pair: bool, wishes: Fabrication = PLAIN
    ) -> RemoteCrossbar:
        """The array of a name. Raises UserError when the chip has none left or of other size, and for a fault map or wires."""
        if wishes.fault_map is not None:
            raise UserError("tile.fault_map: a served chip has its own faults")
        if wishes.wires is not None:
            raise UserError(
                "tile.wires: a served chip has its own wires (leave tile.wires out; the key wires of the file that is served gives them)"
            )
        full = json.dumps([*self.place, *name])
        self.link.command(f"ARR:DEF {_quoted(full)},{rows},{cols},{'ON' if pair else 'OFF'},{len(self.place)}")
        if full not in self.made:
            self.made[full] = RemoteCrossbar(self.link, full, self._info(full))
        return self.made[full]

    def _info(self, name: str) -> ChipInfo:
        names = list(INFO_HEADERS)
        answer = self.link.query(";".join(f":{INFO_HEADERS[each]} {_quoted(name)}" for each in names)).split(";")
        types = {"rows": int, "cols": int, "g_min": float, "g_max": float, "v_max": float}
        return ChipInfo(**{n: types.get(n, lambda t: t == "1")(text) for n, text in zip(names, answer, strict=True)})


def busy_lines(counts: npt.NDArray[np.integer], rows: npt.NDArray[np.int64] | None) -> tuple[I64, int, int]:
    """Numbers of the rows that have pulses, counted through all planes; pulses in all; the most on any cell.

    counts: (planes, rows, cols) int16. rows: as `PulseCounts.rows`.
    """
    lines = np.ascontiguousarray(counts).reshape(-1, counts.shape[-1])
    among = np.arange(len(lines)) if rows is None else rows
    busy, hits, most = (np.empty(len(among), np.int64) for _ in range(3))
    number = busy_rows(lines, among, busy, hits, most)
    return busy[:number], int(hits[:number].sum()), int(most[:number].max(initial=0))


def pulsed_cells(
    counts: npt.NDArray[np.integer], rows: I64, total: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int16]]:
    """Numbers of the cells that have pulses, counted through planes, rows and columns, and their signed counts; arguments: `busy_lines`."""
    lines = np.ascontiguousarray(counts).reshape(-1, counts.shape[-1])
    room = min(total, lines.size)
    cells, pulses = np.empty(room, np.uint32), np.empty(room, np.int16)
    found = list_pulses(lines, rows, cells, pulses)
    return cells[:found], pulses[:found]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def connect(link: Link, cell: CellModel) -> RemoteFabric:
    """The chip behind a link."""
    rows, cols = (int(part) for part in link.query("ARR:LARG?").split(","))
    return RemoteFabric(cell, link, RemoteClock(link), (rows, cols) if rows else None)
