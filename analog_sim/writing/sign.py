"""The Manhattan rule: one pulse with the sign of the change to every cell whose gradient is large enough.

The simplest write a chip can do (Zamanidoost et al., WNYIPW 2015, doi:10.1109/WNYIPW.2015.7165172): only the sign of the gradient is used,
not its size, so the learning rate has no effect beyond its own sign.
"""

from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.writing.proposal import Proposal
from analog_sim.writing.pulsed import PulsedScheme, Refresher, send_counts
from analog_sim.writing.scheme import Writer, WriteTarget


class Sign(PulsedScheme):
    """One pulse per cell and update.

    Attributes:
        threshold: smallest |gradient| that is written, relative to the largest of the matrix.
        every: updates that are added up digitally before one pulse is sent.
    """

    counts_cells: ClassVar[bool] = True
    kind: Literal["sign"] = "sign"
    immediate: ClassVar[bool] = False
    threshold: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    every: Annotated[int, Field(ge=1, le=10**9)] = 1

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return SignWriter(self, target)


class SignState(TypedDict):
    """Sum of gradients and counters."""

    sum: npt.NDArray[np.float32]
    refresher: list[int]
    pulses: int


class SignWriter(Writer):
    """Sends the signs of the gradient summed over `every` updates."""

    def __init__(self, scheme: Sign, target: WriteTarget) -> None:
        self._scheme = scheme
        self._target = target
        self._refresher = Refresher(scheme.refresh, target)
        self._sum = np.zeros(target.shape, np.float32)
        self._pulses = 0

    def update(self, proposal: Proposal, rate: float) -> None:
        """Add the gradient; pulse when it is time."""
        self._sum += np.float32(rate) * proposal.dense()
        if (self._refresher.updates + 1) % self._scheme.every == 0:
            size = np.abs(self._sum)
            counts = np.where(size > self._scheme.threshold * size.max(initial=0.0), -np.sign(self._sum), 0.0)
            for block in self._target.blocks:
                part = counts[block.cols, block.rows].T.astype(np.int16)
                self._pulses += send_counts(block, part, self._scheme)
            self._sum[...] = 0.0
        self._refresher.count()

    def state(self) -> SignState:
        """Sum and counters."""
        return {"sum": self._sum.copy(), "refresher": self._refresher.state(), "pulses": self._pulses}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved = taken(SignState, state, "writer")
        put(self._sum, saved["sum"], "writer.sum")
        self._refresher.restore(saved["refresher"])
        self._pulses = saved["pulses"]

    def statistics(self) -> dict[str, float]:
        """Pulses sent and refreshes done."""
        return {"pulses": float(self._pulses), "refreshes": float(self._refresher.refreshes)}
