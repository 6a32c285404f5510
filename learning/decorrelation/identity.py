"""The tile of a matrix that is the identity for good: what `centre` has instead of an R. It holds no number and never multiplies."""

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.chip.cost import Costs
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.saved_state import State, taken
from analog_sim.writing.proposal import Proposal
from analog_sim.writing.scheme import WriteTarget

F32 = npt.NDArray[np.float32]


class IdentityState(TypedDict):
    """What a matrix that stands still keeps."""

    time: float


class IdentityTile:
    """``W = I`` (n, n) with the methods of `learning.common.weight_tile.WeightTile`; it can be read and never written.

    Attributes:
        shape: (n, n). arrays: none, it is not on a chip. inspectable: it is what it is. full_weight: none is too large.
    """

    arrays: tuple[()] = ()
    on_chip = False
    inspectable = True
    full_weight = float("inf")

    def __init__(self, n: int) -> None:
        self.shape = (n, n)
        self._time = 0.0

    @property
    def time(self) -> float:
        """Seconds that `wait` let pass."""
        return self._time

    @property
    def capabilities(self) -> ChipInfo:
        """Every read, no write."""
        n = self.shape[0]
        return ChipInfo(
            n, n, pair=False, g_min=0.0, g_max=float("inf"), v_max=float("inf"), pulsed=False, programmable=False
        )

    def program(self, w: F32) -> None:
        """Raise ValueError unless w (n, n) is the identity, which is there already."""
        if not np.array_equal(w, np.eye(self.shape[0])):
            raise ValueError("IdentityTile.program: holds the identity and nothing else")

    def calibrate(self, x: F32) -> None:
        """Do nothing: there are no converters."""

    def compensate(self) -> None:
        """Do nothing: there is no drift."""

    def forward(self, x: F32) -> F32:
        """Copy of x (B, n)."""
        return x.copy()

    def backward(self, d: F32) -> F32:
        """Copy of d (B, n)."""
        return d.copy()

    def update(self, proposal: Proposal, rate: float) -> None:
        """Raise ValueError: there is nothing to write."""
        raise ValueError("IdentityTile.update: holds the identity and nothing else")

    def read_weights(self, *, exact: bool = False) -> F32:
        """The identity (n, n)."""
        return np.eye(self.shape[0], dtype=np.float32)

    def wait(self, seconds: float) -> None:
        """Let time pass, which changes nothing. Raises ValueError for negative time."""
        if seconds < 0.0:
            raise ValueError(f"IdentityTile.wait: seconds must be >= 0 (got {seconds})")
        self._time += seconds

    def costs(self) -> Costs:
        """Nothing: no cell, no converter."""
        return Costs()

    def helpers(self) -> dict[str, WriteTarget]:
        """None."""
        return {}

    def writing_statistics(self) -> dict[str, float]:
        """Nothing is ever written."""
        return {}

    def state(self) -> IdentityState:
        """What a checkpoint keeps."""
        return {"time": self._time}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        self._time = taken(IdentityState, state, "identity")["time"]
