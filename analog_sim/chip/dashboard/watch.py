"""What a served chip was asked for lately: its last operations, what they wrote and answered, what was refused.

The server tells it; it asks nothing of the chip. What it keeps of an array is a sample of at most `SHOWN` rows and columns of cells, and
the last vector of volts and currents, so that it stays small and quick whatever is served.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analog_sim.chip.record.operations import Arrays, Request
from analog_sim.chip.server.chip import Report, Served
from analog_sim.chip.server.errors import ScpiError

F32 = npt.NDArray[np.float32]
SHOWN = 64
"""Most rows and columns of cells that are shown: every k-th of a larger array."""
LAST = 40
"""Operations that are kept."""
ERRORS = 20
"""Refusals that are kept."""


@dataclass(frozen=True)
class WatchedOperation:
    """One operation.

    Attributes:
        wall: seconds since 1970. now: chip time after it. array, kind: what was done. units: vectors, cells or pulses.
        seconds: of chip time. joules: 0 where unknown.
    """

    wall: float
    now: float
    array: str
    kind: str
    units: int
    seconds: float
    joules: float


@dataclass
class WatchedCells:
    """Conductances of the sampled cells as they were last read or written.

    Attributes:
        siemens: (planes, rows, cols), NaN where nothing is known. wall: when, seconds since 1970. pulses: sent to the array since.
    """

    siemens: F32
    wall: float = 0.0
    pulses: int = 0


@dataclass
class WatchedArray:
    """What is known of one array.

    Attributes:
        steps: every so many-th row and column is shown. read, written: cells by client's reads, and the targets they were written to.
        kind: of the last read of vectors, None before any. volts, currents: of its last vector.
    """

    steps: tuple[int, int]
    read: WatchedCells | None = None
    written: WatchedCells | None = None
    kind: str | None = None
    volts: F32 | None = None
    currents: F32 | None = None

    @classmethod
    def of(cls, served: Served) -> WatchedArray:
        """Nothing is known yet."""
        return cls((-(-served.info.rows // SHOWN), -(-served.info.cols // SHOWN)))

    def blank(self, served: Served) -> F32:
        """Sampled cells, nothing known of them."""
        info, (row, col) = served.info, self.steps
        return np.full((info.planes, -(-info.rows // row), -(-info.cols // col)), np.nan, np.float32)


@dataclass
class Watch:
    """The latest of one served chip.

    Attributes:
        operations: the last ones, newest last. errors: (seconds since 1970, text) of the last refusals. done: operations so far.
        refused: refusals so far. arrays: by name.
    """

    operations: deque[WatchedOperation] = field(default_factory=lambda: deque(maxlen=LAST))
    errors: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=ERRORS))
    done: int = 0
    refused: int = 0
    arrays: dict[str, WatchedArray] = field(default_factory=dict)

    def saw(self, served: Served, request: Request, results: Arrays, report: Report, now: float) -> None:
        """An operation was carried out."""
        wall = time.time()
        self.done += 1
        self.operations.append(
            WatchedOperation(wall, now, served.name, request.kind, report.units, report.seconds, report.joules)
        )
        known = self.arrays.get(served.name)
        if known is None:
            known = self.arrays[served.name] = WatchedArray.of(served)
        if request.kind in ("mvm", "mvm_transposed"):
            if len(results["i"]):
                known.kind = request.kind
                known.volts, known.currents = request.arrays["v"][-1].copy(), results["i"][-1].copy()
        elif request.kind == "read_conductance":
            self._read(known, served, request, results["g"], wall)
        elif request.kind == "program":
            self._programmed(known, served, request, wall)
        elif request.kind == "pulse":
            for cells in (known.read, known.written):
                if cells is not None:
                    cells.pulses += report.units

    def erred(self, error: ScpiError) -> None:
        """A command was refused."""
        self.refused += 1
        self.errors.append((time.time(), f"{error.code}: {error.text}"))

    def _read(self, known: WatchedArray, served: Served, request: Request, g: F32, wall: float) -> None:
        (first_row, _), (first_col, _) = request.settings["rows"], request.settings["cols"]
        (row, col), cells = known.steps, known.read or WatchedCells(known.blank(served))
        i, j = -(-first_row // row), -(-first_col // col)  # the first sampled lines within what was read
        part = g[:, i * row - first_row :: row, j * col - first_col :: col]
        cells.siemens[:, i : i + part.shape[1], j : j + part.shape[2]] = part
        cells.wall, cells.pulses = wall, 0
        known.read = cells

    def _programmed(self, known: WatchedArray, served: Served, request: Request, wall: float) -> None:
        row, col = known.steps
        target, mask = request.arrays["target"][:, ::row, ::col], request.arrays.get("mask")
        cells = known.written or WatchedCells(known.blank(served))
        np.copyto(cells.siemens, target, where=True if mask is None else mask[:, ::row, ::col])
        cells.wall, cells.pulses = wall, 0
        known.written = cells
