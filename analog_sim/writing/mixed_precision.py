"""Mixed precision: a digital accumulator gathers the gradient, and a cell is pulsed only when a whole step is due.

Nandakumar et al., Front. Neurosci. 14, 406 (2020), doi:10.3389/fnins.2020.00406, Fig. 1: chi <- chi + dW, n = trunc(chi / epsilon) pulses,
chi <- chi - n epsilon. Noisy gradients average out before they cost a pulse.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.pulses.kernels.counts import largest_of_rows, take_whole
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.threads import in_parts
from analog_sim.writing.proposal import OuterProduct, Proposal, add_outer_products
from analog_sim.writing.pulsed import PulsedScheme, Refresher, net_step, room_for_counts, send_planes
from analog_sim.writing.scheme import WritableBlock, Writer, WriteTarget

I32 = npt.NDArray[np.int32]

WORTH_A_THREAD = 2**16
"""Weights that take longer to look through than a thread to begin."""


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


class MixedPrecisionWriter(Writer):
    """Holds the accumulator, (n_in, n_out) float32: what the weights still lack, in mean steps at a digital gain of 1."""

    def __init__(self, scheme: MixedPrecision, target: WriteTarget) -> None:
        self._scheme = scheme
        self._target = target
        self._refresher = Refresher(scheme.refresh, target)
        self._steps_per_weight = target.scale / net_step(target.cell, target.mapping, scheme)
        self._chi: npt.NDArray[np.float32] = np.zeros(target.shape[::-1], np.float32)
        self._pulses = 0

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
        for block in self._target.blocks:
            planes = room_for_counts(block)
            taken, lines = self._take(block, planes, largest)
            if taken:
                cells = 2 if len(planes) == 2 and scheme.pair == "both" else 1
                self._pulses += cells * taken
                send_planes(block, planes, lines, scheme)

    def _take(
        self, block: WritableBlock, planes: npt.NDArray[np.int16], largest: I32 | None
    ) -> tuple[int, npt.NDArray[np.int64]]:
        """Take whole steps out of what has gathered for a block; a step of a cell counts for the gain of the drift compensation.

        Returns their number, and the numbers of the input lines that have any.
        """
        part, gain = self._chi[block.rows, block.cols], self._target.gain[block.cols]
        if (gain == 1.0).all():
            # Of a block that is a part of the outputs, the largest of the whole line is more than enough.
            return self._take_lines(part, planes, None if largest is None else largest[block.rows])
        scaled = part / gain
        taken, lines = self._take_lines(scaled, planes, None)
        one_sided = self._scheme.pair == "one_sided" and len(planes) == 2
        steps = planes[0] - planes[1] if one_sided else planes[0]
        part -= steps[:, : part.shape[1]] * gain
        return taken, lines

    def _take_lines(
        self, gathered: npt.NDArray[np.float32], planes: npt.NDArray[np.int16], largest: I32 | None
    ) -> tuple[int, npt.NDArray[np.int64]]:
        """The same for what has gathered (lines, outputs); largest: the bits of an upper bound in every line, None where nobody knows."""
        limits = np.float32(self._scheme.threshold), np.float32(self._scheme.max_pulses)
        one_sided = self._scheme.pair == "one_sided"
        lines = np.empty(len(gathered), np.int64)

        def part(first: int, last: int) -> tuple[int, npt.NDArray[np.int64]]:
            rows, own = gathered[first:last], lines[first:last]
            if largest is None:
                bound = np.empty(len(rows), np.int32)
                largest_of_rows(rows.view(np.int32), bound)
            else:
                bound = largest[first:last]
            taken, number = take_whole(rows, bound, *limits, one_sided, planes[:, first:last], own)
            return int(taken), own[:number] + first

        found = in_parts(part, len(gathered), max(1, -(-WORTH_A_THREAD // gathered.shape[1])))
        return sum(taken for taken, _ in found), np.concatenate([busy for _, busy in found])

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
