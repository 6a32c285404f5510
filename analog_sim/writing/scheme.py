"""What every write scheme is: a frozen configuration that makes a writer, and the little of a tile that a writer may touch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.chip.cost import Costs
from analog_sim.chip.crossbar import Crossbar
from analog_sim.config import Part
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.random.streams import Streams
from analog_sim.saved_state import State
from analog_sim.writing.proposal import Proposal

F32 = npt.NDArray[np.float32]


class WritableBlock(Protocol):
    """An array that holds a part of the weights: which inputs drive its rows, which outputs its columns make."""

    @property
    def rows(self) -> slice:
        """Inputs."""
        ...

    @property
    def cols(self) -> slice:
        """Outputs."""
        ...

    @property
    def crossbar(self) -> Crossbar:
        """The array; a ValueError when the weights are in bit slices."""
        ...

    @property
    def reference(self) -> bool:
        """Whether the array has a last column of reference cells, which a writer leaves alone."""
        ...


class WriteTarget(Protocol):
    """What a writer sees of a tile."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        ...

    @property
    def cell(self) -> CellModel:
        """The compiled card."""
        ...

    @property
    def mapping(self) -> MappingSpec:
        """How weights are held."""
        ...

    @property
    def blocks(self) -> Sequence[WritableBlock]:
        """The arrays."""
        ...

    @property
    def arrays(self) -> Sequence[Crossbar]:
        """All crossbars."""
        ...

    @property
    def scale(self) -> float:
        """Siemens of net conductance per unit of weight."""
        ...

    @property
    def full_weight(self) -> float:
        """Weight at the edge of the window."""
        ...

    @property
    def gain(self) -> F32:
        """Digital output gain of the drift compensation, (n_out,): what a weight in the cells counts for."""
        ...

    @property
    def compensated(self) -> bool:
        """Whether any of these gains is another than 1."""
        ...

    def read_weights(self, *, exact: bool = False) -> F32:
        """Weights (n_out, n_in) as read back, gain included."""
        ...

    def write_weights(self, w: F32) -> None:
        """Program weights (n_out, n_in) at the present scale, with programming error; the drift compensation starts anew."""
        ...

    def read_lines(self, lines: npt.NDArray[np.int64]) -> F32:
        """Weights (k, n_out) at these input lines, by one analogue read of each line alone."""
        ...

    def costs(self) -> Costs:
        """Energy, reads and pulses so far."""
        ...

    def state(self) -> State:
        """For a checkpoint."""
        ...

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        ...

    def new_arrays(self, name: str) -> "WriteTarget":
        """Further arrays of the same cells and cut, named, for schemes that need a second matrix; the tile keeps them and their state."""
        ...


class Writer(ABC):
    """A write scheme at work on one tile."""

    @abstractmethod
    def update(self, proposal: Proposal, rate: float) -> None:
        """Bring about ``W <- W - rate * gradient`` as well as the scheme and the cells can."""

    def state(self) -> State:
        """What a checkpoint must keep beside the cells."""
        return {}

    def restore(self, state: State) -> None:  # noqa: B027 - most schemes keep nothing
        """Put back what `state` returned. Raises ValueError for anything else."""

    def statistics(self) -> dict[str, float]:
        """Facts for the log: share of clipped updates, refreshes, ..."""
        return {}


class WriteScheme(Part, ABC):
    """Configuration of a write scheme."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """Fields of `ChipInfo` that must be true: parallel_pulse, programmable, pulsed, inspectable."""

    immediate: ClassVar[bool] = True
    """Whether an update reaches the cells at once, in its size; False when it is gathered first or only its sign is written."""

    counts_cells: ClassVar[bool] = False
    """Whether every cell gets a number of pulses of its own, which is sent one row after the other."""

    @property
    def moves_both_cells(self) -> bool:
        """Whether an update depresses one cell of a pair as it potentiates the other, so that both must have room."""
        return False

    @abstractmethod
    def writer(self, target: WriteTarget, streams: Streams) -> Writer:
        """Make a writer for one tile; its random numbers come from `streams` alone."""
