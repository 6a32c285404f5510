"""An array behind an instrument with commands of its own: single cells, ASCII. Limits are enforced here, before anything is sent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from analog_sim.chip.checks import check_plan, check_target, check_voltages
from analog_sim.chip.client.wire import Wire
from analog_sim.chip.clock import Clock, check_seconds
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.lab.bench import Bench
from analog_sim.chip.lab.bench_array import BenchArray
from analog_sim.chip.lab.command_map import CommandMap, numbers
from analog_sim.config import UserError
from analog_sim.pulses.plans import PulseCounts, PulseTrain

F32 = npt.NDArray[np.float32]


class LabWire:
    """Commands and queries to an instrument, several in a message.

    Args:
        wire: the connection. commands: of the instrument.
    """

    def __init__(self, wire: Wire, commands: CommandMap) -> None:
        self.wire, self.commands = wire, commands

    def ask(self, queries: Sequence[str]) -> list[str]:
        """Answers, one for each query. Raises UserError."""
        found: list[str] = []
        size = self.commands.joined
        for k in range(0, len(queries), size):
            part = queries[k : k + size]
            self.wire.send([(self.commands.separator.join(part) + "\n").encode()])
            found += self.wire.line().split(self.commands.separator) if size > 1 else [self.wire.line()]
        if len(found) != len(queries):
            raise UserError(
                f"{self.wire.where}: {len(queries)} queries got {len(found)} answers; `joined: 1` sends one at a time"
            )
        return found

    def tell(self, orders: Iterable[str]) -> None:
        """Send commands, then ask whether anything went wrong. Raises UserError."""
        orders, size = list(orders), self.commands.joined
        for k in range(0, len(orders), size):
            self.wire.send([(self.commands.separator.join(orders[k : k + size]) + "\n").encode()])

    def check(self, array: str) -> None:
        """Ask for errors. Raises UserError with the first."""
        if self.commands.errors is not None:
            said = self.ask([self.commands.errors.format(array=array)])[0]
            if not said.strip().startswith(self.commands.no_error):
                raise UserError(f"{self.wire.where}: {said.strip()[:200]}")

    def off(self, array: str) -> None:
        """Put the outputs to zero, as far as the connection allows."""
        if self.commands.off is not None and not self.wire.closed:
            with suppress(UserError):  # the connection is what failed
                self.tell([self.commands.off.format(array=array)])


class LabArray(BenchArray):
    """One array without pairs.

    Args:
        name: in commands. info: of the array. lab: the instrument. clock: advanced by what operations take.
    """

    def __init__(self, name: str, info: ChipInfo, lab: LabWire, clock: Clock) -> None:
        super().__init__(info, Bench(lab.wire.where, clock, lambda: lab.off(name)))
        self._name, self._lab = name, lab

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Currents: measured, or the product with cells that are read once, one by one."""
        check_voltages(self.info, v, transpose)
        commands = self._lab.commands
        template = commands.currents_transposed if transpose else commands.currents
        with self._bench.operation("mvm_transposed" if transpose else "mvm", len(v)):
            if template is None:
                return np.asarray(v, np.float32) @ self._cells(slice(0, self.info.rows), slice(0, self.info.cols))
            volts = [",".join(f"{x:.9g}" for x in vector) for vector in v]
            answers = self._lab.ask([template.format(array=self._name, volts=text) for text in volts])
            lines = self.info.rows if transpose else self.info.cols
            rows = [self._numbers(answer, lines) for answer in answers]
            return np.array(rows, np.float32).reshape(len(v), lines)

    def program(self, target: F32, mask: npt.NDArray[np.bool_] | None = None) -> None:
        """Cells one by one, clipped to the range of the array."""
        check_target(self.info, target, mask)
        template, commands = self._lab.commands.write, self._lab.commands
        assert template is not None, "info says that it can be programmed"
        g = np.clip(target[0], self.info.g_min, self.info.g_max)
        places = np.argwhere(np.ones(g.shape, np.bool_) if mask is None else mask[0])
        with self._bench.operation("program", len(places)):
            self._tell(
                template.format(**self._place(i, j), value=commands.from_siemens(float(g[i, j]))) for i, j in places
            )

    def pulse(self, plan: PulseCounts | PulseTrain) -> None:
        """Cells one by one."""
        check_plan(self.info, plan)
        assert isinstance(plan, PulseCounts), "parallel_pulse is false"
        commands, counts = self._lab.commands, plan.counts[0].astype(np.int64)
        assert commands.up is not None, "info says that it can be pulsed"
        assert commands.down is not None, "given with up"
        with self._bench.operation("pulse", int(np.abs(counts).sum())):
            orders = []
            for i, j in np.argwhere(counts):
                left, template = abs(int(counts[i, j])), commands.up if counts[i, j] > 0 else commands.down
                while left:
                    sent = min(left, commands.most)
                    orders.append(template.format(**self._place(i, j), count=sent))
                    left -= sent
            self._tell(orders)

    def wait(self, seconds: float) -> None:
        """Tell the instrument to wait, or sleep."""
        check_seconds(seconds)
        with self._bench.operation("wait", 1, seconds):
            template = self._lab.commands.wait
            if template is None:
                time.sleep(seconds)
            else:
                self._tell([template.format(array=self._name, seconds=f"{seconds:.9g}")])

    def flush(self) -> None:
        """Ask for errors, which an instrument answers when all before it is done."""
        self._lab.check(self._name)

    def _place(self, i: int, j: int) -> dict[str, str | int]:
        first = self._lab.commands.first
        return {"array": self._name, "row": int(i) + first, "col": int(j) + first}

    def _cells(self, r: slice, c: slice) -> F32:
        places = [(i, j) for i in range(r.start, r.stop) for j in range(c.start, c.stop)]
        commands = self._lab.commands
        answers = self._lab.ask([commands.read.format(**self._place(i, j)) for i, j in places])
        values = [commands.to_siemens(self._numbers(answer, 1)[0]) for answer in answers]
        return np.array(values, np.float32).reshape(r.stop - r.start, c.stop - c.start)

    def _numbers(self, answer: str, count: int) -> list[float]:
        try:
            found = numbers(answer)
        except ValueError:
            found = []
        if len(found) != count or any(math.isnan(x) for x in found):
            raise UserError(f"{self._lab.wire.where}: {count} numbers were asked for (got {answer.strip()[:60]!r})")
        return found

    def _tell(self, orders: Iterable[str]) -> None:
        self._lab.tell(orders)
        self._lab.check(self._name)
