"""Mixed precision: a digital accumulator gathers the gradient, and a cell is pulsed only when a whole step is due.

Nandakumar et al., Front. Neurosci. 14, 406 (2020), doi:10.3389/fnins.2020.00406, Fig. 1: chi <- chi + dW, n = trunc(chi / epsilon) pulses,
chi <- chi - n epsilon. Noisy gradients average out before they cost a pulse.
"""

from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.pulses.kernels.counts import take_whole
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.writing.proposal import OuterProduct, Proposal, add_outer_products
from analog_sim.writing.pulsed import PulsedScheme, Refresher, net_step, room_for_counts, send_planes
from analog_sim.writing.scheme import Writer, WriteTarget


class MixedPrecision(PulsedScheme):
    """Digital accumulation, pulses above a threshold.

    Attributes:
        threshold: steps that must have gathered before a pulse is sent (epsilon of the paper in units of the mean step).
        every: updates between two looks at the accumulator; the gradient is added at each.
        max_pulses: largest number of pulses that one cell gets at once; the rest stays in the accumulator.
    """

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
        if isinstance(proposal, OuterProduct):
            add_outer_products(self._chi, proposal.x, proposal.d, per_gradient)
        else:
            self._chi += np.float32(per_gradient) * proposal.dw.T
        if (self._refresher.updates + 1) % self._scheme.every == 0:
            self._send()
        self._refresher.count()

    def _send(self) -> None:
        scheme = self._scheme
        for block in self._target.blocks:
            part = self._chi[block.rows, block.cols]
            planes = room_for_counts(block)
            taken, lines = self._take(part, self._target.gain[block.cols], planes)
            if taken:
                cells = 2 if len(planes) == 2 and scheme.pair == "both" else 1
                self._pulses += cells * taken
                send_planes(block, planes, lines, scheme)

    def _take(
        self, part: npt.NDArray[np.float32], gain: npt.NDArray[np.float32], planes: npt.NDArray[np.int16]
    ) -> tuple[int, npt.NDArray[np.int64]]:
        """Take whole steps out of `part`; a step of a cell counts for the gain (n_out,) of the drift compensation.

        Returns their number, and the numbers of the input lines that have any.
        """
        limits = np.float32(self._scheme.threshold), np.float32(self._scheme.max_pulses)
        one_sided = self._scheme.pair == "one_sided"
        lines = np.empty(len(part), np.int64)
        if (gain == 1.0).all():
            taken, number = take_whole(part, part.view(np.int32), *limits, one_sided, planes, lines)
        else:
            scaled = part / gain
            taken, number = take_whole(scaled, scaled.view(np.int32), *limits, one_sided, planes, lines)
            steps = planes[0] - planes[1] if one_sided and len(planes) == 2 else planes[0]
            part -= steps[:, : part.shape[1]] * gain
        return int(taken), lines[:number]

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
