"""Closed-loop writing: a digital copy of the weights takes the gradient step, and cells that are too far off are programmed.

Costs a read of the whole matrix and programs many cells; the reference of what open-loop pulses give up.
"""

from typing import Annotated, ClassVar, Literal, TypedDict

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.mapping.weight_mapping import targets
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State, put, taken
from analog_sim.writing.proposal import Proposal
from analog_sim.writing.scheme import Writer, WriteScheme, WriteTarget


class WriteVerify(WriteScheme):
    """Program the cells that deviate.

    Attributes:
        tolerance: deviation of a weight from its digital copy that is left alone, relative to the full weight.
        every: updates between two rounds of reading and programming.
        rounds: most rounds of reading and programming at a time.
    """

    kind: Literal["write_verify"] = "write_verify"
    needs: ClassVar[frozenset[str]] = frozenset({"programmable"})

    tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01
    every: Annotated[int, Field(ge=1, le=10**9)] = 1
    rounds: Annotated[int, Field(ge=1, le=10**9)] = 1

    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make the writer."""
        return WriteVerifyWriter(self, target)


class WriteVerifyState(TypedDict):
    """Digital copy of the weights and counters."""

    copy: npt.NDArray[np.float32]
    updates: int
    programmed: int


class WriteVerifyWriter(Writer):
    """Holds the digital copy, (n_out, n_in)."""

    def __init__(self, scheme: WriteVerify, target: WriteTarget) -> None:
        self._scheme = scheme
        self._target = target
        self._copy: npt.NDArray[np.float32] = target.read_weights()
        self._updates = 0
        self._programmed = 0

    def update(self, proposal: Proposal, rate: float) -> None:
        """Step the copy; bring the cells to it when it is time."""
        self._copy -= np.float32(rate) * proposal.dense()
        self._updates += 1
        if self._updates % self._scheme.every == 0:
            for _ in range(self._scheme.rounds):
                if not self._correct():
                    break

    def _correct(self) -> bool:
        """One round; return whether any cell was programmed."""
        target = self._target
        full = np.float32(target.full_weight)
        off = np.abs(target.read_weights() - self._copy) > self._scheme.tolerance * full
        for block in target.blocks:
            where = off[block.cols, block.rows].T
            if not where.any():
                continue
            # The digital gain of the drift compensation stays on, for the cells that are left alone: it is divided out of the others.
            fraction = (self._copy[block.cols, block.rows] / target.gain[block.cols, None]).T / full
            if block.reference:
                fraction, where = np.pad(fraction, ((0, 0), (0, 1))), np.pad(where, ((0, 0), (0, 1)))
            goal = targets(fraction, target.mapping, target.cell)
            block.crossbar.program(goal, np.broadcast_to(where, goal.shape))
            self._programmed += int(where.sum())
        return bool(off.any())

    def state(self) -> WriteVerifyState:
        """Digital copy and counters."""
        return {"copy": self._copy.copy(), "updates": self._updates, "programmed": self._programmed}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved = taken(WriteVerifyState, state, "writer")
        put(self._copy, saved["copy"], "writer.copy")
        self._updates, self._programmed = saved["updates"], saved["programmed"]

    def statistics(self) -> dict[str, float]:
        """Weights programmed so far."""
        return {"programmed": float(self._programmed)}
