"""A tile with a twin: reads are the chip's, errors go back through the twin, and every change is written to both. It knows no rule.

The twin is another tile of the same shape and specification whose writer draws the same pulses; what its cells make of them is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.chip.cost import Costs
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.saved_state import State, taken
from analog_sim.writing.proposal import Proposal
from analog_sim.writing.scheme import WriteTarget
from learning.common.weight_tile import WeightTile

F32 = npt.NDArray[np.float32]


class MirroredState(TypedDict):
    """What a tile and its digital twin keep."""

    chip: State
    twin: State


class MirroredTile:
    """A weight matrix on a chip and on its twin.

    Args:
        chip: the tile that is read and counted. twin: the one that errors go back through.
    """

    def __init__(self, chip: WeightTile, twin: WeightTile) -> None:
        self.chip, self.twin = chip, twin

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        return self.chip.shape

    @property
    def full_weight(self) -> float:
        """Of the chip."""
        return self.chip.full_weight

    @property
    def time(self) -> float:
        """Of the chip."""
        return self.chip.time

    @property
    def arrays(self) -> Sequence[Crossbar]:
        """Of the chip."""
        return self.chip.arrays

    @property
    def on_chip(self) -> bool:
        """As the chip's tile."""
        return self.chip.on_chip

    @property
    def inspectable(self) -> bool:
        """As the chip's tile."""
        return self.chip.inspectable

    @property
    def capabilities(self) -> ChipInfo:
        """Of the chip."""
        return self.chip.capabilities

    def program(self, w: F32) -> None:
        """Write both."""
        self.chip.program(w)
        self.twin.program(w)

    def calibrate(self, x: F32) -> None:
        """Fix converter ranges of both."""
        self.chip.calibrate(x)
        self.twin.calibrate(x)

    def compensate(self) -> None:
        """Compensate the drift of each by its own measurement."""
        self.chip.compensate()
        self.twin.compensate()

    def forward(self, x: F32) -> F32:
        """Read the chip."""
        return self.chip.forward(x)

    def backward(self, d: F32) -> F32:
        """Read the twin, transposed."""
        return self.twin.backward(d)

    def update(self, proposal: Proposal, rate: float) -> None:
        """Write the same change to both."""
        self.chip.update(proposal, rate)
        self.twin.update(proposal, rate)

    def read_weights(self, *, exact: bool = False) -> F32:
        """Of the chip."""
        return self.chip.read_weights(exact=exact)

    def wait(self, seconds: float) -> None:
        """Let time pass for both."""
        self.chip.wait(seconds)
        self.twin.wait(seconds)

    def costs(self) -> Costs:
        """Of the chip: a twin costs nothing."""
        return self.chip.costs()

    def helpers(self) -> dict[str, WriteTarget]:
        """Of the chip."""
        return self.chip.helpers()

    def writing_statistics(self) -> dict[str, float]:
        """Of the chip."""
        return self.chip.writing_statistics()

    def state(self) -> MirroredState:
        """Of both."""
        return {"chip": self.chip.state(), "twin": self.twin.state()}

    def restore(self, state: State) -> None:
        """Put both back."""
        saved = taken(MirroredState, state, "tile")
        self.chip.restore(saved["chip"])
        self.twin.restore(saved["twin"])
