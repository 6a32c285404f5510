"""Reader of a chip's record of operations: what a session did to single cells, as rows of the table. Never currents of whole vectors.

A record knows no experiment, so every read is sorted by what happened to its cell before: programmed, it tells the programming error and
then retention; pulsed, a step of the pulse response; left alone and read many times, read noise.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from analog_sim.chip.record.operations import Request, plan_of
from analog_sim.chip.record.tape import Tape, TapedOperation
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from devices.measurements.columns.reader import Reader
from devices.measurements.table.sink import Role, Sink
from devices.measurements.table.table import Flag, Op
from devices.measurements.text.problems import MeasurementError, failure

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

SERIES = 256
"""Reads of a cell at one interval, with nothing in between, from which on they are a noise series."""
STEADY = 0.05
"""By what share intervals of a series may differ."""


class OperationRecord(Reader):
    """The file that a recorded chip leaves (`operations.record`), of arrays of single cells; pulses have the direction of their sign.

    A read of a cell is, by what came before it:

    - programmed, and not yet read: a row of `programming`, and the first of `retention`; later reads are `retention`, timed from the end of
      the programming;
    - pulsed since the read before: a row of `pulses`; pulses of both signs in between are counted and not fitted;
    - pulsed, and then the chip waited: `retention` from the last pulse on;
    - one of `SERIES` or more at one interval: `noise`.

    An array of pairs reads differences of two cells, which are no cell's conductance: it is left out, and the report says so.

    Attributes:
        arrays: names or patterns of the arrays that are read.
    """

    kind: Literal["operations"] = "operations"
    arrays: tuple[str, ...] = ("*",)

    def read(self, sink: Sink) -> None:
        """Read each record operation by operation."""
        for path in self.path:
            try:
                self._read(path, sink)
            except MeasurementError:
                raise
            except UserError as error:
                raise MeasurementError(str(error)) from error
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise failure(path, f"holds an operation that no chip writes ({error!r})") from error

    def _read(self, path: Path, sink: Sink) -> None:
        known: dict[str, _Session | None] = {}
        vectors = 0
        tape = Tape(path, None, write=False)
        if tape.cut:
            sink.log.count(path, "operation at the end of the record that is not whole, not read")
        for line, done in enumerate(tape.operations(), start=1):
            name, kind = done.request.array, done.request.kind
            if kind == "crossbar":
                known[name] = self._session(path, name, done.request, sink)
                continue
            vectors += kind in ("mvm", "mvm_transposed")
            for session in known.values() if kind == "wait" else (known[name],):
                if session is not None:
                    session.take(done, line)
        sessions = [session for session in known.values() if session is not None]
        if not sessions:
            names = ", ".join(known) or "none"
            raise failure(
                path, f"no array of single cells called {', '.join(self.arrays)} (arrays of the record: {names})"
            )
        if vectors:
            sink.log.note(f"{path}: {vectors} reads of whole vectors tell no single cell: not fitted")
        for session in sessions:
            session.pour(path, self, sink)

    def _session(self, path: Path, name: str, made: Request, sink: Sink) -> "_Session | None":
        """What is kept of an array; None for one that is not read."""
        if not any(fnmatchcase(name, pattern) for pattern in self.arrays):
            return None
        if made.settings["pair"]:
            sink.log.note(f"{path}: array {name} holds pairs, whose reads are differences of two cells: not fitted")
            return None
        label = name if self.device is None else f"{self.device}: {name}"
        return _Session(sink.device(f"{path}: {label}"), int(made.settings["rows"]), int(made.settings["cols"]))


@dataclass
class _Rows:
    """Reads in blocks, as columns of one length when `columns` puts them together."""

    blocks: list[dict[str, npt.NDArray[np.generic]]] = field(default_factory=list)

    def add(self, count: int, **columns: npt.ArrayLike) -> None:
        """Add `count` rows; a column may be one value for all."""
        if count:
            self.blocks.append(
                {name: np.broadcast_to(np.asarray(values), (count,)) for name, values in columns.items()}
            )

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """Column -> (n,) values; empty without rows."""
        names = self.blocks[0] if self.blocks else ()
        return {name: np.concatenate([block[name] for block in self.blocks]) for name in names}


class _Session:
    """What was done to the cells of one array, and what their reads therefore are.

    Args:
        device: number of the array. rows, cols: of it.
    """

    def __init__(self, device: int, rows: int, cols: int) -> None:
        n = rows * cols
        self.device, self.shape = device, (rows, cols)
        self.up, self.down = np.zeros(n, np.int64), np.zeros(n, np.int64)  # pulses since the last read
        self.changed = np.full(n, np.nan)  # chip time at the end of the last programming or pulse
        self.target = np.full(n, np.nan)  # siemens; NaN unless just programmed
        self.pulsed = np.zeros(n, bool)  # whether reads belong to a pulse response
        self.part = np.arange(n)  # number of the stretch of operations that belong together
        self.parts = n
        self.last = np.full((3, n), np.nan)  # last read: siemens, chip time, line
        self.resting, self.pulses = _Rows(), _Rows()

    def take(self, done: TapedOperation, line: int) -> None:
        """Follow one operation."""
        kind, end = done.request.kind, done.time + done.seconds
        if kind == "program":
            mask = done.request.arrays.get("mask")
            cells = np.arange(self.up.size) if mask is None else np.flatnonzero(mask.reshape(-1))
            self._begin(cells)
            self.target[cells] = done.request.arrays["target"].reshape(-1)[cells]
            self.changed[cells] = end
        elif kind == "pulse":
            up, down = _pulses(plan_of(done.request))
            self.up += up
            self.down += down
            self.changed[up + down > 0] = end
        elif kind == "wait":
            self._rest()
        elif kind == "read_conductance":
            settings = done.request.settings
            places = np.arange(self.up.size).reshape(self.shape)
            cells = places[slice(*settings["rows"]), slice(*settings["cols"])].reshape(-1)
            self._read(cells, done.results["g"].reshape(-1).astype(np.float64), done.time, line)

    def _begin(self, cells: I64) -> None:
        """A new stretch of some cells: what was read before belongs to another one."""
        self.part[cells] = self.parts + np.arange(len(cells))
        self.parts += len(cells)
        self.up[cells] = self.down[cells] = 0
        self.pulsed[cells] = False
        self.last[:, cells] = np.nan

    def _rest(self) -> None:
        """The chip waits: cells that were pulsed and read since then begin a retention, with that read as its first."""
        cells = np.flatnonzero(self.pulsed & (self.up + self.down == 0) & (self.last[1] >= self.changed))
        g, t, line = self.last[:, cells]
        self._begin(cells)
        self.last[:, cells] = g, t, line
        self.target[cells] = np.nan
        self._add_resting(cells, g, t, line)

    def _read(self, cells: I64, g: F64, time: float, line: int) -> None:
        up, down = self.up[cells], self.down[cells]
        number = up + down
        begins = ~self.pulsed[cells] & (number > 0)
        before = cells[begins & np.isfinite(self.last[0, cells])]
        first, t, lines = self.last[:, before]
        self.part[before] = self.parts + np.arange(len(before))
        self.parts += len(before)
        self._add_pulses(before, first, t, lines, np.zeros((2, len(before)), np.int64))
        unread = begins & ~np.isfinite(
            self.last[0, cells]
        )  # nothing is known before these pulses: the trace begins behind them
        self.pulsed[cells[begins]] = True
        in_trace = self.pulsed[cells]
        own = np.stack([np.where(unread, 0, up), np.where(unread, 0, down)])[:, in_trace]
        self._add_pulses(cells[in_trace], g[in_trace], time, line, own)
        self._add_resting(cells[~in_trace], g[~in_trace], time, line)
        self.last[0, cells], self.last[1, cells], self.last[2, cells] = g, time, line
        self.up[cells] = self.down[cells] = 0

    def _add_pulses(self, cells: I64, g: F64, t: npt.ArrayLike, line: npt.ArrayLike, number: I64) -> None:
        up, down = number
        both = (up > 0) & (down > 0)
        self.pulses.add(
            len(cells),
            cell=cells,
            part=self.part[cells],
            g=g,
            t_s=t,
            line=np.asarray(line, np.int64),
            op=np.where(up + down > 0, Op.PULSE_READ, Op.READ),
            direction=np.where(both, 0, np.sign(up - down)),
            n_pulses=up + down,
            flag=np.where(both, Flag.PULSE_UNKNOWN.value, 0),
        )

    def _add_resting(self, cells: I64, g: F64, t: npt.ArrayLike, line: npt.ArrayLike) -> None:
        now = np.asarray(t, np.float64)
        age = now - self.changed[cells]
        age[age <= 8.0 * np.finfo(np.float64).eps * np.abs(now)] = 0.0  # the read began as the programming ended
        self.resting.add(
            len(cells),
            cell=cells,
            part=self.part[cells],
            g=g,
            now=now,
            age=age,
            line=np.asarray(line, np.int64),
            target=self.target[cells],
        )

    def pour(self, path: Path, reader: Reader, sink: Sink) -> None:
        """Hand all rows to the sink."""
        pulses = self.pulses.columns()
        if pulses:
            columns = {key: pulses[key] for key in ("t_s", "op", "direction", "n_pulses", "flag")}
            self._hand(path, reader, sink, "pulses", pulses, np.arange(len(pulses["g"])), columns)
            sink.directed(path, "stated")
        rest = self.resting.columns()
        if not rest:
            return
        order = np.lexsort((rest["line"], rest["part"]))
        rest = {name: values[order] for name, values in rest.items()}
        part = rest["part"]
        first = np.concatenate(([True], part[1:] != part[:-1]))
        series = _series(part, rest["now"].astype(np.float64))
        noise, start = series >= 0, np.concatenate(([True], series[1:] != series[:-1]))
        self._hand(path, reader, sink, "noise", {**rest, "part": series}, np.flatnonzero(noise), {"t_s": rest["now"]})
        timed = np.isfinite(rest["age"].astype(np.float64)) & (~noise | start)
        alone = np.bincount(part, timed, minlength=self.parts)[part] < 2
        columns = {"t_s": rest["age"], "target_S": rest["target"]}
        self._hand(path, reader, sink, "retention", rest, np.flatnonzero(timed & ~alone), columns)
        targeted = np.flatnonzero(first & np.isfinite(rest["target"].astype(np.float64)))
        self._hand(path, reader, sink, "programming", rest, targeted, columns)

    def _hand(
        self,
        path: Path,
        reader: Reader,
        sink: Sink,
        role: Role,
        rows: dict[str, npt.NDArray[np.generic]],
        chosen: I64,
        columns: dict[str, npt.NDArray[np.generic]],
    ) -> None:
        """Hand some rows to the sink, part by part in the order of the record."""
        if not len(chosen):
            return
        chosen = chosen[np.lexsort((rows["line"][chosen], rows["part"][chosen]))]
        names, part = np.unique(rows["part"][chosen], return_inverse=True)
        volts = reader.read_voltage
        data = {
            "sequence": sink.new_sequences(len(names)) + part,
            "cell_row": self.device,
            "cell_col": rows["cell"][chosen],
            "v_read_V": volts,
            "i_A": volts * rows["g"][chosen].astype(np.float64),
            **{name: values[chosen] for name, values in columns.items()},
        }
        sink.rows(role, path, rows["line"][chosen], data, negative=reader.negative)


def _pulses(plan: PulseCounts | PulseTrain) -> tuple[I64, I64]:
    """Pulses up and down of every cell of one plane, (rows * cols,) each."""
    if isinstance(plan, PulseCounts):
        counts = plan.counts.astype(np.int64).reshape(-1)
        return np.maximum(counts, 0), np.maximum(-counts, 0)
    up, down = np.zeros((2, plan.row_bits.shape[1] * plan.col_bits.shape[1]), np.int64)
    for sample in range(len(plan.row_bits)):
        both = np.bitwise_count(plan.row_bits[sample][:, None] & plan.col_bits[sample]).astype(np.int64).reshape(-1)
        sign = (plan.row_sign[sample][:, None].astype(np.int64) * plan.col_sign[sample]).reshape(-1)
        up += np.where(sign > 0, both, 0)
        down += np.where(sign < 0, both, 0)
    return up, down


def _series(part: npt.NDArray[np.generic], now: F64) -> I64:
    """(n,) number of the noise series that a read belongs to, -1 for none; rows sorted by part and time."""
    result = np.full(len(now), -1, np.int64)
    step = np.diff(now)
    same = part[1:] == part[:-1]
    steady = np.zeros(len(now), bool)  # whether a read is as far from the one before as that is from its own
    if len(step) > 1:
        alike = np.abs(step[1:] - step[:-1]) <= STEADY * step[:-1]
        steady[2:] = alike & same[1:] & same[:-1] & (step[1:] > 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], steady.view(np.int8), [0]))))
    number = 0
    for begin, end in edges.reshape(-1, 2):
        if end - begin + 2 >= SERIES:
            result[begin - 2 : end] = number
            number += 1
    return result
