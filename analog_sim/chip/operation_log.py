"""The operation log: what was done to a crossbar, how long it took and what it cost. The record that replay plays back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Totals:
    """Sums over all operations of one kind.

    Attributes:
        calls: operations. units: vectors read, cells programmed or pulses sent.
        seconds: chip time. joules: energy in the cells (converters are accounted for by the tile).
    """

    calls: int = 0
    units: int = 0
    seconds: float = 0.0
    joules: float = 0.0


@dataclass(frozen=True)
class Operation:
    """One recorded operation.

    Attributes:
        kind: "mvm", "mvm_transposed", "read_conductance", "program", "pulse" or "wait".
        time: chip time at its start, seconds.
        data: its inputs and outputs by name.
    """

    kind: str
    time: float
    data: dict[str, Any]


LogState = dict[str, list[float]]
"""Kind of operation -> calls, units, seconds, joules so far."""


@dataclass
class OperationLog:
    """Totals by kind, and every operation with its data while `recording`."""

    totals: dict[str, Totals] = field(default_factory=dict)
    recording: bool = False
    operations: list[Operation] = field(default_factory=list)

    def add(
        self, kind: str, time: float, *, units: int = 1, seconds: float = 0.0, joules: float = 0.0, **data: Any
    ) -> None:
        """Account for one operation; `data` is copied only while recording."""
        total = self.totals.get(kind)
        if total is None:
            total = self.totals[kind] = Totals()
        total.calls += 1
        total.units += units
        total.seconds += seconds
        total.joules += joules
        if self.recording:
            copied = {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in data.items()}
            self.operations.append(Operation(kind, time, copied))

    def units(self, kind: str) -> int:
        """Vectors, cells or pulses of one kind so far."""
        return self.totals[kind].units if kind in self.totals else 0

    def state(self) -> LogState:
        """Totals for a checkpoint."""
        return {k: [t.calls, t.units, t.seconds, t.joules] for k, t in self.totals.items()}

    def restore(self, state: LogState) -> None:
        """Put back the totals of a checkpoint."""
        self.totals = {
            k: Totals(int(calls), int(units), float(seconds), float(joules))
            for k, (calls, units, seconds, joules) in state.items()
        }


def merged(logs: list[OperationLog]) -> OperationLog:
    """The totals of several logs added up; their recorded operations are not joined."""
    result = OperationLog()
    for log in logs:
        for kind, total in log.totals.items():
            into = result.totals.setdefault(kind, Totals())
            into.calls += total.calls
            into.units += total.units
            into.seconds += total.seconds
            into.joules += total.joules
    return result
