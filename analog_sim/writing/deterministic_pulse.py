"""Deterministic pulse update: evenly spread bit patterns whose coincidences are the product, without a random number.

A row fires in the first a of L slots; a column fires b times evenly over the slots, so that they meet floor(a b / L) or one more
times. Phases that step through an additive recurrence from sample to sample take the rounding to zero on average.
"""

from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.pulses.kernels.trains import COL, ROW
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, taken
from analog_sim.writing.clipping import ClippingNote, whole_pulses
from analog_sim.writing.proposal import OuterProduct, Proposal, for_cells
from analog_sim.writing.pulsed import PulsedScheme, Refresher, net_step, send_counts
from analog_sim.writing.scheme import Writer, WriteTarget
from analog_sim.writing.trains import Lines, probabilities, signs, strengths, train_for

PHASES = 0.8191725133961645, 0.6710436067037893, 0.5497004779019703
"""Steps of the three phases: powers of 1/1.2207..., the root of x**4 = x + 1, which fill the unit cube evenly (Roberts' R3 sequence)."""


class DeterministicPulse(PulsedScheme):
    """Coincidences of evenly spread bit patterns.

    Attributes:
        length: slots of a train, 1 to 63.
    """

    kind: Literal["deterministic_pulse"] = "deterministic_pulse"
    needs: ClassVar[frozenset[str]] = frozenset({"pulsed", "parallel_pulse"})

    length: Annotated[int, Field(ge=1, le=63)] = 31

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return DeterministicPulseWriter(self, target)


class DeterministicState(TypedDict):
    """Counters."""

    samples: int
    refresher: list[int]
    clipping: list[float]


class DeterministicPulseWriter(Writer):
    """Lays out the patterns of every batch; knows how many samples there were."""

    def __init__(self, scheme: DeterministicPulse, target: WriteTarget) -> None:
        self._scheme = scheme
        self._target = target
        self._refresher = Refresher(scheme.refresh, target)
        self._pulses_per_weight = target.scale / net_step(target.cell, target.mapping, scheme)
        self._samples = 0
        self._clipping = ClippingNote(scheme.kind, scheme.length)

    def update(self, proposal: Proposal, rate: float) -> None:
        """Send the pulses of a batch; a dense gradient is rounded with the same phases."""
        n = self._scheme.length
        proposal = for_cells(proposal, self._target)
        if isinstance(proposal, OuterProduct):
            gradient = proposal if rate >= 0.0 else OuterProduct(proposal.x, -proposal.d)
            chosen = strengths(gradient, abs(rate) * self._pulses_per_weight, n, balance=True, adapt=False)
            self._clipping.trains(chosen.clipped, len(chosen.length))
            number = self._samples + np.arange(len(gradient.x))
            self._samples += len(gradient.x)
            p_row, p_col = probabilities(gradient.x, chosen.row), probabilities(gradient.d, chosen.col)
            rows = Lines(
                _first(np.floor(n * p_row + (number * PHASES[0] % 1.0)[:, None]), n), signs(gradient.x, int(ROW))
            )
            fired = np.floor(n * p_col + (number * PHASES[1] % 1.0)[:, None])
            cols = Lines(_spread(fired, n, number * PHASES[2] % 1.0), signs(gradient.d, int(COL)))
            for block in self._target.blocks:
                block.crossbar.pulse(train_for(block, rows, cols, n, self._scheme))
        else:
            wanted = -rate * self._pulses_per_weight * proposal.dw
            counts, clipped = whole_pulses(wanted, self._samples * PHASES[0] % 1.0)
            self._clipping.counts(clipped)
            self._samples += 1
            for block in self._target.blocks:
                send_counts(block, np.ascontiguousarray(counts[block.cols, block.rows].T), self._scheme)
        self._refresher.count()

    def state(self) -> DeterministicState:
        """Counters."""
        return {
            "samples": self._samples,
            "refresher": self._refresher.state(),
            "clipping": self._clipping.state(),
        }

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved = taken(DeterministicState, state, "writer")
        self._samples = saved["samples"]
        self._refresher.restore(saved["refresher"])
        self._clipping.restore(saved["clipping"])

    def statistics(self) -> dict[str, float]:
        """Share that was clipped, refreshes done."""
        return {"clipped": self._clipping.share, "refreshes": float(self._refresher.refreshes)}


def _first(count: npt.NDArray[np.floating], length: int) -> npt.NDArray[np.uint64]:
    """Streams with the first `count` of `length` slots set."""
    n = np.minimum(count, length).astype(np.uint64)
    return (np.uint64(1) << n) - np.uint64(1)


def _spread(count: npt.NDArray[np.floating], length: int, phase: npt.NDArray[np.floating]) -> npt.NDArray[np.uint64]:
    """Streams (S, n) with `count` slots set evenly, starting at `phase` (S,) of a period."""
    n = np.minimum(count, length)
    bits = np.zeros(count.shape, np.uint64)
    before = np.broadcast_to(np.floor(phase)[:, None], count.shape)
    for k in range(length):
        after = np.floor((k + 1) * n / length + phase[:, None])
        bits |= (after > before).astype(np.uint64) << np.uint64(k)
        before = after
    return bits
