"""Mixed precision: a digital accumulator gathers the gradient, and a cell is pulsed only when a whole step is due.

Nandakumar et al., Front. Neurosci. 14, 406 (2020), doi:10.3389/fnins.2020.00406, Fig. 1: chi <- chi + dW, n = trunc(chi / epsilon) pulses,
chi <- chi - n epsilon. Noisy gradients average out before they cost a pulse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.pulses.kernels.counts import clear_lines, gather_taken, largest_of_rows, take_whole
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.threads import rows_of, team_for
from analog_sim.writing.proposal import OuterProduct, Proposal, add_outer_products
from analog_sim.writing.pulsed import PulsedScheme, Refresher, keeps_no_plan, net_step, room_for_counts, send_planes
from analog_sim.writing.scheme import WritableBlock, Writer, WriteTarget

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

WORTH_A_THREAD = 2**14
"""Weights that are worth a thread."""

CLEARED_BY_A_THREAD = 2**17
"""Counts of a plane that are only set to 0, likewise."""

LISTED = 16
"""Of how many cells of a line one may get a pulse for them to be named one by one."""

LISTED_OF_ALL = 128
"""Of how many of all: as many as `analog_sim.pulses.apply` can use."""


class MixedPrecision(PulsedScheme):
    """Digital accumulation, pulses above a threshold.

    Attributes:
        threshold: steps that must have gathered before a pulse is sent (epsilon of the paper in units of the mean step).
        every: updates between two looks at the accumulator; the gradient is added at each.
        max_pulses: largest number of pulses that one cell gets at once; the rest stays in the accumulator.
    """

    counts_cells: ClassVar[bool] = True
    kind: Literal["mixed_precision"] = "mixed_precision"
    immediate: ClassVar[bool] = False
    threshold: Annotated[float, Field(ge=0.5, le=1e6)] = 1.0
    every: Annotated[int, Field(ge=1, le=10**9)] = 1
    max_pulses: Annotated[int, Field(ge=1, le=1000)] = 100

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return MixedPrecisionWriter(self, target)


class AccumulatorState(TypedDict):
    """Digital accumulator and counters."""

    chi: npt.NDArray[np.float32]
    refresher: list[int]
    pulses: int


@dataclass(frozen=True)
class CountRoom:
    """Where the pulses of a block are written: see `take_whole`. It is kept from update to update, and empty between them.

    Attributes:
        planes: pulses (planes, rows, cols). taken, listed: of `take_whole`. lines, cells: of `gather_taken`.
    """

    planes: npt.NDArray[np.int16]
    taken: I64
    listed: I32
    lines: I64
    cells: I64

    @classmethod
    def of(cls, block: WritableBlock) -> CountRoom:
        """Room for a block."""
        planes = room_for_counts(block)
        lines, outputs = planes.shape[1:]
        listed = np.empty((lines, 1 + -(-outputs // LISTED)), np.int32)
        cells = np.empty(planes.size // LISTED_OF_ALL, np.int64)
        return cls(planes, np.empty((lines, 2), np.int64), listed, np.empty(lines, np.int64), cells)

    def gathered(self) -> tuple[I64, I64 | None]:
        """Numbers of the lines with pulses; those of the cells, as in `PulseCounts`, where they are few."""
        lines, cells = gather_taken(self.taken, self.listed, self.planes, self.lines, self.cells)
        return self.lines[:lines], None if cells < 0 else self.cells[:cells]

    def clear(self, lines: I64, cells: I64 | None) -> None:
        """Empty it."""
        if cells is None:
            each = max(1, self.planes.size // max(1, self.planes.shape[1]))
            team = team_for(len(lines), max(1, -(-CLEARED_BY_A_THREAD // each)))
            clear_lines(0, len(lines), team, lines, self.planes)
        else:
            self.planes.reshape(-1)[cells] = 0


class MixedPrecisionWriter(Writer):
    """Holds the accumulator, (n_in, n_out) float32: what the weights still lack, in mean steps at a digital gain of 1."""

    def __init__(self, scheme: MixedPrecision, target: WriteTarget) -> None:
        self._scheme = scheme
        self._target = target
        self._refresher = Refresher(scheme.refresh, target)
        self._steps_per_weight = target.scale / net_step(target.cell, target.mapping, scheme)
        self._chi: npt.NDArray[np.float32] = np.zeros(target.shape[::-1], np.float32)
        self._pulses = 0
        self._rooms: dict[int, CountRoom] = {}  # by the number of a block

    def update(self, proposal: Proposal, rate: float) -> None:
        """Gather the change; send whole steps."""
        per_gradient = -rate * self._steps_per_weight
        largest = None  # in every line of the accumulator, where somebody has looked at it
        if isinstance(proposal, OuterProduct):
            largest = add_outer_products(self._chi, proposal.x, proposal.d, per_gradient)
        else:
            self._chi += np.float32(per_gradient) * proposal.dw.T
        if (self._refresher.updates + 1) % self._scheme.every == 0:
            self._send(largest)
        self._refresher.count()

    def _send(self, largest: I32 | None) -> None:
        scheme = self._scheme
        for number, block in enumerate(self._target.blocks):
            room = self._rooms.pop(number, None)
            if room is None:
                room = CountRoom.of(block)
            taken = self._take(block, room, largest)
            if taken:
                planes, lines, cells = room.planes, *room.gathered()
                self._pulses += (2 if len(planes) == 2 and scheme.pair == "both" else 1) * taken
                send_planes(block, planes, lines, cells, scheme)
                if not keeps_no_plan(block):
                    continue
                room.clear(lines, cells)
            self._rooms[number] = room

    def _take(self, block: WritableBlock, room: CountRoom, largest: I32 | None) -> int:
        """Take whole steps out of what has gathered for a block; a step of a cell counts for the gain of the drift compensation.

        Returns their number.
        """
        part, gain = self._chi[block.rows, block.cols], self._target.gain[block.cols]
        if not self._target.compensated:
            # Of a block that is a part of the outputs, the largest of the whole line is more than enough.
            return self._take_lines(part, room, None if largest is None else largest[block.rows])
        scaled = part / gain
        taken = self._take_lines(scaled, room, None)
        planes = room.planes
        one_sided = self._scheme.pair == "one_sided" and len(planes) == 2
        steps = planes[0] - planes[1] if one_sided else planes[0]
        part -= steps[:, : part.shape[1]] * gain
        return taken

    def _take_lines(self, gathered: F32, room: CountRoom, largest: I32 | None) -> int:
        """The same for what has gathered (lines, outputs); largest: the bits of an upper bound in every line, None where nobody knows."""
        lines = rows_of(gathered, WORTH_A_THREAD)
        if largest is None:
            largest = np.empty(len(gathered), np.int32)
            largest_of_rows(*lines, gathered.view(np.int32), largest)
        scheme = self._scheme
        limits = np.float32(scheme.threshold), np.float32(scheme.max_pulses), scheme.pair == "one_sided"
        return int(take_whole(*lines, gathered, largest, limits, room.planes, (room.taken, room.listed)))

    def state(self) -> AccumulatorState:
        """Accumulator and counters."""
        return {"chi": self._chi.copy(), "refresher": self._refresher.state(), "pulses": self._pulses}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved = taken(AccumulatorState, state, "writer")
        put(self._chi, saved["chi"], "writer.chi")
        self._refresher.restore(saved["refresher"])
        self._pulses = saved["pulses"]

    def statistics(self) -> dict[str, float]:
        """Pulses sent, refreshes done, and what still waits in the accumulator (mean steps)."""
        return {
            "pulses": float(self._pulses),
            "refreshes": float(self._refresher.refreshes),
            "accumulator_steps": float(np.abs(self._chi).mean()),
        }
