"""What schemes that write by identical pulses share: the size of one step, how a pair shares pulses, the refresh of the window."""

from abc import ABC
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import StrictModel, UserError
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.pulses.plans import PulseCounts
from analog_sim.writing.scheme import WritableBlock, WriteScheme, WriteTarget

PairMode = Literal["both", "one_sided"]


class RefreshSpec(StrictModel):
    """Reprogramming of all pairs from time to time: pulses that only potentiate use the window up, on both cells at once.

    Attributes:
        every: updates between two refreshes.
    """

    every: Annotated[int, Field(ge=1, le=10**9)]


class PulsedScheme(WriteScheme, ABC):
    """A write scheme that sends identical pulses.

    Attributes:
        pair: "both" pulses the plus cell with the sign of the change and the minus cell against it; "one_sided" only ever
            potentiates one of the two (for cells whose depression is abrupt, with a refresh).
        refresh: read the weights and program them again from time to time; None never.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pulsed"})

    pair: PairMode = "both"
    refresh: RefreshSpec | None = None


class Refresher:
    """Counts updates and refreshes the pairs when it is time.

    A pair is programmed to the weight that it now stands for, with the gain of the drift compensation in it; the gain starts again at 1.
    """

    def __init__(self, spec: RefreshSpec | None, target: WriteTarget) -> None:
        self._spec = spec
        self._target = target
        self.updates = 0
        self.refreshes = 0

    def count(self) -> None:
        """One update more."""
        self.updates += 1
        if self._spec is not None and self.updates % self._spec.every == 0:
            self._target.write_weights(self._target.read_weights())
            self.refreshes += 1

    def state(self) -> list[int]:
        """Counters for a checkpoint."""
        return [self.updates, self.refreshes]

    def restore(self, state: list[int]) -> None:
        """Put back what `state` returned."""
        self.updates, self.refreshes = (int(n) for n in state)


def net_step(cell: CellModel, mapping: MappingSpec, pair: PairMode) -> float:
    """Mean change of the net conductance in siemens that one pulse per cell makes at mid state: what the smallest weight change is.

    Raises:
        UserError: pulses do not move the cells at mid state.
    """
    assert cell.pulse is not None
    up, down = cell.pulse.mean_step(0.5)
    if not mapping.pair:
        step = (up - down) / 2
    else:
        step = up - down if pair == "both" else up
    if not step > 0.0:
        raise UserError(
            f"{cell.name}: a pulse at mid state changes the conductance by {step:g} S; a pulsed scheme needs more than 0"
        )
    return step


def send_counts(block: WritableBlock, counts: npt.NDArray[np.integer], pair: PairMode) -> int:
    """Send signed pulses (rows, cols) to a block, positive for more weight; return the pulses sent to single cells.

    counts: any signed integers within +-`clipping.MOST_PULSES`.
    """
    cells = 1
    if block.reference:
        counts = np.pad(counts, ((0, 0), (0, 1)))
    if not block.crossbar.info.pair:
        planes = counts[None]
    elif pair == "both":
        planes = np.stack([counts, -counts])
        cells = 2
    else:
        planes = np.stack([np.maximum(counts, 0), np.maximum(-counts, 0)])
    block.crossbar.pulse(PulseCounts(planes))
    return cells * int(np.abs(counts).sum())
