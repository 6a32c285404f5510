"""What schemes that write by identical pulses share: the size of one step, how a pair shares pulses, the refresh of the window."""

from abc import ABC
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import Q, StrictModel, UserError
from analog_sim.mapping.weight_mapping import MappingSpec
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.pulses.strength import driven
from analog_sim.writing.scheme import WritableBlock, WriteScheme, WriteTarget

I64 = npt.NDArray[np.int64]
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
        amplitude: of every pulse, where the card says what it does to a step (`pulse.amplitude`); None for the one its steps are stated
            for. The size of a step, and with it the number of pulses, follow. width: of every pulse, likewise (`pulse.width`).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pulsed"})

    pair: PairMode = "both"
    refresh: RefreshSpec | None = None
    amplitude: Annotated[float, Q("voltage", "V", gt=0)] | None = None
    width: Annotated[float, Q("time", "s", gt=0)] | None = None

    @property
    def moves_both_cells(self) -> bool:
        """As `pair` says."""
        return self.pair == "both"


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


def driven_cell(cell: CellModel, scheme: PulsedScheme) -> CellModel:
    """The card as it answers to the pulses of a scheme. Raises UserError where it does not say what they do."""
    try:
        return driven(cell, scheme.amplitude, scheme.width)
    except ValueError as error:
        raise UserError(f"writing: {error}") from error


def net_step(cell: CellModel, mapping: MappingSpec, scheme: PulsedScheme) -> float:
    """Mean change of the net conductance in siemens that one pulse per cell makes at mid state: what the smallest weight change is.

    Raises:
        UserError: pulses do not move the cells at mid state.
    """
    pulse = driven_cell(cell, scheme).pulse
    assert pulse is not None
    up, down = pulse.mean_step(0.5)
    if not mapping.pair:
        step = (up - down) / 2
    else:
        step = up - down if scheme.pair == "both" else up
    if not step > 0.0:
        raise UserError(
            f"{cell.name}: a pulse at mid state changes the conductance by {step:g} S; a pulsed scheme needs more than 0"
        )
    return step


def keeps_no_plan(block: WritableBlock) -> bool:
    """Whether the arrays of a plan may be used again once it was sent: emulated cells are pulsed at once, and nobody records it."""
    crossbar = block.crossbar
    return crossbar.inside is crossbar and not crossbar.log.recording


def room_for_counts(block: WritableBlock) -> npt.NDArray[np.int16]:
    """Zeros (planes, rows, cols) for the pulses of every cell of a block, reference cells included."""
    info = block.crossbar.info
    return np.zeros((info.planes, info.rows, info.cols), np.int16)


def send_planes(
    block: WritableBlock, planes: npt.NDArray[np.int16], lines: I64, cells: I64 | None, scheme: PulsedScheme
) -> None:
    """Send pulses to every cell, (planes, rows, cols) positive for potentiation; only these input lines (k,) may have any.

    cells: as in `PulseCounts`.
    """
    rows = (np.arange(len(planes))[:, None] * planes.shape[1] + lines).ravel()
    block.crossbar.pulse(PulseCounts(planes, scheme.amplitude, scheme.width, rows, cells))


def send_counts(block: WritableBlock, counts: npt.NDArray[np.integer], scheme: PulsedScheme) -> int:
    """Send signed pulses (rows, cols) to a block, positive for more weight; return the pulses sent to single cells.

    counts: any signed integers within +-`clipping.MOST_PULSES`.
    """
    cells = 1
    if block.reference:
        counts = np.pad(counts, ((0, 0), (0, 1)))
    if not block.crossbar.info.pair:
        planes = counts[None]
    elif scheme.pair == "both":
        planes = np.stack([counts, -counts])
        cells = 2
    else:
        planes = np.stack([np.maximum(counts, 0), np.maximum(-counts, 0)])
    block.crossbar.pulse(PulseCounts(planes, scheme.amplitude, scheme.width))
    return cells * int(np.abs(counts).sum())


def send_lines(
    block: WritableBlock, lines: npt.NDArray[np.int64], counts: npt.NDArray[np.integer], scheme: PulsedScheme
) -> int:
    """Send signed pulses to some input lines, one line after the other; return the pulses sent to single cells.

    A line's row fires in every slot and each column in as many as it needs: a train of one sample a line.

    Args:
        block: gets those lines and outputs that are its own. lines: (k,) inputs of the tile. counts: (k, n_out), within +-63.
        scheme: how a pair shares pulses, their amplitude and width.
    """
    counts = counts[:, block.cols]
    own = (lines >= block.rows.start) & (lines < block.rows.stop) & counts.any(axis=1)
    if not own.any():
        return 0
    counts, rows = counts[own], lines[own] - block.rows.start
    if block.reference:
        counts = np.pad(counts, ((0, 0), (0, 1)))
    length = int(np.abs(counts).max())
    row_bits = np.zeros((len(rows), block.rows.stop - block.rows.start), np.uint64)
    row_bits[np.arange(len(rows)), rows] = (1 << length) - 1
    col_bits = (np.uint64(1) << np.abs(counts).astype(np.uint64)) - np.uint64(1)
    col_sign = np.where(counts < 0, -1, 1).astype(np.int8)
    row_sign = np.ones(row_bits.shape, np.int8)
    sent = PulseTrain(row_bits, col_bits, row_sign, col_sign, length, scheme.pair, scheme.amplitude, scheme.width)
    block.crossbar.pulse(sent)
    cells = 2 if block.crossbar.info.pair and scheme.pair == "both" else 1
    return cells * int(np.abs(counts).sum())
