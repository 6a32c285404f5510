"""A tile whose every output has a weight scale of its own, undone by a digital gain: small columns use the whole window too.

``W = diag(s) W_tile``, s_o the largest |weight| of output o. Programming error and finite levels are a share of the window, so an
output whose weights are all small would otherwise drown in them: the usual case after batch normalisation was folded.
It never chooses conductances: the tile inside does, for weights within [-1, 1].
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.chip.cost import Costs
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.saved_state import State, put, taken
from analog_sim.tiles.tile import Tile
from analog_sim.writing.proposal import Dense, OuterProduct, Proposal
from analog_sim.writing.scheme import WriteTarget

F32 = npt.NDArray[np.float32]


class ColumnScaledState(TypedDict):
    """What a column-scaled tile keeps."""

    tile: State
    column_scale: F32


class ColumnScaledTile:
    """The methods of `Tile` for weights in their own units.

    Args:
        tile: holds ``W_tile = W / s``.
    """

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        self._s: F32 = np.ones(tile.shape[0], np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        return self.tile.shape

    @property
    def full_weight(self) -> float:
        """Largest weight of the output with the largest scale."""
        return self.tile.full_weight * float(self._s.max())

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        return self.tile.time

    @property
    def arrays(self) -> tuple[Crossbar, ...]:
        """The crossbars."""
        return self.tile.arrays

    @property
    def on_chip(self) -> bool:
        """Always."""
        return self.tile.on_chip

    @property
    def inspectable(self) -> bool:
        """Whether the truth of all cells can be seen."""
        return self.tile.inspectable

    @property
    def capabilities(self) -> ChipInfo:
        """What the arrays can do."""
        return self.tile.capabilities

    @property
    def column_scale(self) -> F32:
        """s, (n_out,): weight at the edge of the window, for each output."""
        return self._s

    def program(self, w: F32) -> None:
        """Choose s from the weights (n_out, n_in) and write W / s. Raises ValueError as `Tile.program`."""
        w = np.asarray(w, np.float32)
        if w.shape != self.shape:
            raise ValueError(f"ColumnScaledTile.program: weights must have shape {self.shape} (got {w.shape})")
        largest = np.abs(w).max(axis=1)
        self._s = np.where(largest > 0.0, largest, np.float32(1.0)).astype(np.float32)
        self.tile.program(w / self._s[:, None])

    def calibrate(self, x: F32) -> None:
        """Fix converter ranges on inputs (B, n_in)."""
        self.tile.calibrate(x)

    def compensate(self) -> None:
        """Measure the drift and store output gains."""
        self.tile.compensate()

    def forward(self, x: F32) -> F32:
        """``y = s * (W_tile x)``: (B, n_in) -> (B, n_out)."""
        y = self.tile.forward(x)
        y *= self._s
        return y

    def backward(self, d: F32) -> F32:
        """``W_tile^T (s * d)``: (B, n_out) -> (B, n_in)."""
        return self.tile.backward(np.asarray(d, np.float32) * self._s)

    def update(self, proposal: Proposal, rate: float) -> None:
        """``W <- W - rate * gradient``: the tile gets ``gradient / s``."""
        if isinstance(proposal, OuterProduct):
            self.tile.update(OuterProduct(proposal.x, proposal.d / self._s), rate)
        else:
            self.tile.update(Dense(proposal.dw / self._s[:, None]), rate)

    def read_weights(self, *, exact: bool = False) -> F32:
        """(n_out, n_in) as read back; exact: the emulator's truth."""
        return self.tile.read_weights(exact=exact) * self._s[:, None]

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        self.tile.wait(seconds)

    def costs(self) -> Costs:
        """What the tile has spent; the digital gain is not counted."""
        return self.tile.costs()

    def helpers(self) -> dict[str, WriteTarget]:
        """Further matrices of the write scheme, in units of W_tile."""
        return self.tile.helpers()

    def writing_statistics(self) -> dict[str, float]:
        """What the write scheme has to report, in units of W_tile."""
        return self.tile.writing_statistics()

    def state(self) -> ColumnScaledState:
        """What a checkpoint keeps."""
        return {"tile": self.tile.state(), "column_scale": self._s.copy()}

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved = taken(ColumnScaledState, state, "tile")
        self.tile.restore(saved["tile"])
        put(self._s, saved["column_scale"], "tile.column_scale")
