"""What learning asks of a weight matrix, on a chip or digital: the methods that `Tile` and `DigitalTile` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from analog_sim.chip.cost import Costs
from analog_sim.chip.crossbar import ChipInfo, Crossbar
from analog_sim.saved_state import State
from analog_sim.tiles.digital import DigitalTile
from analog_sim.writing.proposal import Proposal
from analog_sim.writing.scheme import WriteTarget

F32 = npt.NDArray[np.float32]


class WeightTile(Protocol):
    """One weight matrix (n_out, n_in); see `analog_sim.tiles.tile.Tile`."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        ...

    @property
    def full_weight(self) -> float:
        """Largest weight that can be programmed; larger ones are clipped."""
        ...

    @property
    def time(self) -> float:
        """Chip time in seconds."""
        ...

    @property
    def arrays(self) -> Sequence[Crossbar]:
        """The crossbars; none when the matrix is digital."""
        ...

    @property
    def on_chip(self) -> bool:
        """Whether cells hold the matrix; False when it is digital."""
        ...

    @property
    def inspectable(self) -> bool:
        """Whether the truth of what is held can be seen and put back."""
        ...

    @property
    def capabilities(self) -> ChipInfo:
        """What the tile can do."""
        ...

    def program(self, w: F32) -> None:
        """Write weights (n_out, n_in)."""
        ...

    def calibrate(self, x: F32) -> None:
        """Fix converter ranges on inputs (B, n_in)."""
        ...

    def compensate(self) -> None:
        """Measure the drift and store output gains."""
        ...

    def forward(self, x: F32) -> F32:
        """(B, n_in) -> (B, n_out), a new array."""
        ...

    def backward(self, d: F32) -> F32:
        """(B, n_out) -> (B, n_in) by the transposed read, a new array."""
        ...

    def update(self, proposal: Proposal, rate: float) -> None:
        """W <- W - rate * gradient."""
        ...

    def read_weights(self, *, exact: bool = False) -> F32:
        """(n_out, n_in) as read back; exact: the emulator's truth."""
        ...

    def wait(self, seconds: float) -> None:
        """Let chip time pass."""
        ...

    def costs(self) -> Costs:
        """Energy, reads and pulses so far."""
        ...

    def helpers(self) -> dict[str, WriteTarget]:
        """Further matrices that the write scheme keeps on arrays of its own, by name."""
        ...

    def writing_statistics(self) -> dict[str, float]:
        """What the write scheme has to report."""
        ...

    def state(self) -> State:
        """What a checkpoint keeps."""
        ...

    def restore(self, state: State) -> None:
        """Put back what `state` returned. Raises ValueError for anything else."""
        ...


TileFactory = Callable[[str, tuple[int, int]], WeightTile]
"""(name, (n_out, n_in)) -> a tile; the name is the tile's place on the chip and its identity."""

Role = Literal["weights", "decorrelation"]
"""What a tile is for."""


class TileMaker(Protocol):
    """Makes the tiles of a network."""

    def __call__(self, name: str, weights: F32, role: Role = "weights") -> WeightTile:
        """A tile for first weights (n_out, n_in), which may choose its range by them and by its role.

        It holds them before it is read: who makes all tiles of a chip may program them together, once nothing speaks against it.
        """
        ...


def digital_tile(name: str, weights: F32, role: Role = "weights") -> WeightTile:
    """A `TileMaker` of exact tiles without a chip."""
    tile = DigitalTile((weights.shape[0], weights.shape[1]))
    tile.program(weights)
    return tile
