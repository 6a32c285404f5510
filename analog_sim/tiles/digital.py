"""A tile without a chip: one weight matrix in float32, exact, timeless and free. The ideal reference of everything a `Tile` does.

It speaks the tile's language so that networks, rules and decorrelation run on either; it never draws a random number.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.chip.clock import check_seconds
from analog_sim.chip.cost import Costs
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.saved_state import State, taken
from analog_sim.writing.proposal import OuterProduct, Proposal, add_outer_products
from analog_sim.writing.scheme import WriteTarget

F32 = npt.NDArray[np.float32]


class DigitalTileState(TypedDict):
    """What a digital tile keeps."""

    w: F32
    time: float


class DigitalTile:
    """Weights (n_out, n_in) in float32 with the methods of `Tile`, all of them exact.

    Attributes:
        shape: (n_out, n_in). arrays: none, there are no crossbars: it is not on a chip. inspectable: its weights are their own truth.
        scale: 1, weights are stored as they are. full_weight: none is too large.

    Raises:
        ValueError: a dimension below 1.
    """

    arrays: tuple[()] = ()
    on_chip = False
    inspectable = True
    scale = 1.0
    full_weight = float("inf")

    def __init__(self, shape: tuple[int, int]) -> None:
        if len(shape) != 2 or min(shape) < 1:
            raise ValueError(f"DigitalTile: shape must be (n_out, n_in), both at least 1 (got {shape})")
        self.shape = (int(shape[0]), int(shape[1]))
        self._w: F32 = np.zeros(self.shape, np.float32)
        self._time = 0.0

    @property
    def time(self) -> float:
        """Seconds that `wait` let pass; nothing else takes time."""
        return self._time

    @property
    def capabilities(self) -> ChipInfo:
        """What a rule may ask of it: everything."""
        return ChipInfo(self.shape[1], self.shape[0], pair=False, g_min=0.0, g_max=float("inf"), v_max=float("inf"))

    def program(self, w: F32) -> None:
        """Store weights (n_out, n_in). Raises ValueError for another shape or values that are not finite."""
        w = np.asarray(w, np.float32)
        if w.shape != self.shape:
            raise ValueError(f"DigitalTile.program: weights must have shape {self.shape} (got {w.shape})")
        if not np.isfinite(w).all():
            raise ValueError("DigitalTile.program: weights must be finite")
        self._w[...] = w

    def calibrate(self, x: F32) -> None:
        """Do nothing: there are no converters."""

    def compensate(self) -> None:
        """Do nothing: there is no drift."""

    def forward(self, x: F32) -> F32:
        """``y = W x``: (B, n_in) -> (B, n_out)."""
        if 4 * len(x) > self.shape[0]:
            return x @ self._w.T
        # BLAS packs its left operand; with few rows the product is faster by a fifth when that is the larger matrix.
        return np.ascontiguousarray((self._w @ x.T).T)

    def backward(self, d: F32) -> F32:
        """``W^T d``: (B, n_out) -> (B, n_in)."""
        return d @ self._w

    def update(self, proposal: Proposal, rate: float) -> None:
        """``W <- W - rate * gradient``, in place."""
        if isinstance(proposal, OuterProduct):
            add_outer_products(self._w, proposal.d, proposal.x, -rate)
        else:
            dw = np.ascontiguousarray(proposal.dw, np.float32)
            from scipy.linalg.blas import saxpy  # takes longer to import than all of this file's work

            saxpy(dw.reshape(-1), self._w.reshape(-1), a=-rate)  # in place: no temporary matrix

    def read_weights(self, *, exact: bool = False) -> F32:
        """Copy of the weights (n_out, n_in); every read is exact."""
        return self._w.copy()

    def wait(self, seconds: float) -> None:
        """Let time pass, which changes nothing. Raises ValueError for time that is negative or not finite."""
        check_seconds(seconds)
        self._time += seconds

    def costs(self) -> Costs:
        """Nothing: no cell, no converter."""
        return Costs()

    def helpers(self) -> dict[str, WriteTarget]:
        """None: weights are all there is."""
        return {}

    def writing_statistics(self) -> dict[str, float]:
        """Nothing: every write is exact."""
        return {}

    def state(self) -> DigitalTileState:
        """What a checkpoint keeps."""
        return {"w": self._w.copy(), "time": self._time}

    def restore(self, state: State) -> None:
        """Put back what `state` returned on a tile of the same shape. Raises ValueError for another shape."""
        saved = taken(DigitalTileState, state, "tile")
        self.program(saved["w"])
        self._time = saved["time"]
