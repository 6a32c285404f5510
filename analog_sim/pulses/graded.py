"""Pulses in an array with wires: by what reaches each cell, half-selected ones included. Prepares them; `strength` is for ideal lines.

The step of a pulse is the card's step times the factor that its `amplitude` states for the volts across the cell, and the one that its
`width` states for the length of the pulse. Without `amplitude` a card cannot say what a lower voltage does: its cells are pulsed as if the
whole amplitude arrived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.pulses.kernels.graded import CountDrives, Seen, TrainDrives
from analog_sim.pulses.kernels.plans import PreparedCounts, PreparedTrain
from analog_sim.pulses.plans import PulseCounts, PulseTrain
from analog_sim.pulses.reached import Reached

F32 = npt.NDArray[np.float32]
Plan = PulseCounts | PulseTrain

NODES_OF_AMPLITUDE = 1024
"""Nodes of the table of factors up to the nominal amplitude: exact at both ends of it, linear between nodes."""
HALF_SELECTED = 0.75
"""Share of the amplitude that no half-selected cell exceeds: cells that do not move below it are left alone."""


@dataclass(frozen=True, eq=False)
class Grading:
    """Factors on the steps of one operation.

    Attributes:
        table: (2, N + 1) float32, at nodes of the voltage, the last one twice. scale: nodes for the whole amplitude.
        half: whether half-selected cells move.
    """

    table: F32
    scale: np.float32
    half: bool


def grading(cell: CellModel, plan: Plan) -> Grading:
    """The factors for a plan on an array with wires; the card must have a `PulseModel.amplitude`."""
    assert cell.pulse is not None
    by_amplitude, by_width = cell.pulse.amplitude, cell.pulse.width
    assert by_amplitude is not None
    stretch = np.ones(2) if by_width is None or plan.width is None else by_width.factors(plan.width)
    nominal = by_amplitude.nominal
    amplitude = nominal if plan.amplitude is None else plan.amplitude
    top = max(float(by_amplitude.at[-1]), amplitude) / nominal
    nodes = np.arange(int(np.ceil(top * NODES_OF_AMPLITUDE)) + 1) / NODES_OF_AMPLITUDE
    table = by_amplitude.factors(nodes * nominal) * stretch[:, None]
    half = bool(table[:, nodes <= HALF_SELECTED * amplitude / nominal].any())
    padded = np.concatenate([table, table[:, -1:]], axis=1)
    return Grading(padded.astype(np.float32), np.float32(amplitude / nominal * NODES_OF_AMPLITUDE), half)


def seen_by(reached: Reached, factors: Grading) -> Seen:
    """What the kernels know of every cell."""
    r = reached
    lines = (r.own_word, r.own_bit, r.word, r.bit, r.row_turn, r.col_turn, r.array)
    return Seen(*lines, table=factors.table, scale=factors.scale, half=factors.half)


def train_drives(plan: PulseTrain, train: PreparedTrain, reached: Reached, one_sided: bool) -> TrainDrives:
    """Sums over the lines that fire together. one_sided: only phases that potentiate are sent."""
    arrays = int(reached.array.max()) + 1
    shape = (arrays, len(plan.row_bits), plan.length, 2)
    word = np.zeros((*shape, reached.word_modes.shape[1]), np.float32)
    bit = np.zeros((*shape, reached.bit_modes.shape[1]), np.float32)
    any_word, any_bit = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    rows_fire, cols_fire = _fires(plan.row_bits, plan.length), _fires(plan.col_bits, plan.length)
    shares_words, shares_bits = _shared(reached)
    for plane, array in enumerate(reached.array):
        for side in range(2):
            if not (shares_words and plane):
                now = rows_fire & (plan.row_sign * reached.row_turn[plane] == 1 - 2 * side)[:, None]
                any_word[array, :, :, side] |= now.any(-1)
                word[array, :, :, side] += now.astype(np.float32) @ reached.word_modes[plane].T
            if not (shares_bits and plane):
                now = cols_fire & (plan.col_sign * reached.col_turn[plane] == 1 - 2 * side)[:, None]
                any_bit[array, :, :, side] |= now.any(-1)
                bit[array, :, :, side] += now.astype(np.float32) @ reached.bit_modes[plane].T
    phases = any_word[..., :, None] & any_bit[..., None, :]
    if one_sided:
        phases &= np.eye(2, dtype=np.bool_)
    return TrainDrives(train, word, bit, phases)


def _fires(bits: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.bool_]:
    """(S, length, lines) whether a line fires in a slot."""
    slots = np.arange(length, dtype=np.uint64)[None, :, None]
    return (np.asarray(bits, np.uint64)[:, None] >> slots & np.uint64(1)).astype(np.bool_)


def _shared(reached: Reached) -> tuple[bool, bool]:
    """Whether both cells of a pair are on one word line, on one bit line."""
    one = len(reached.array) == 2 and reached.array[0] == reached.array[1]
    return one and bool(reached.col_turn[1] < 0), one and bool(reached.row_turn[1] < 0)


def count_drives(counts: PreparedCounts, reached: Reached, half: bool) -> CountDrives:
    """Sums over the bit lines that are pulsed with a word line; half: also what the cells of other rows see."""
    planes, cols = len(reached.array), counts.pulses.shape[1]
    n = counts.pulses.reshape(planes, -1, cols)
    most, shares_words = int(np.abs(counts.pulses.astype(np.int32)).max(initial=0)), _shared(reached)[0]
    bit = np.zeros((planes, n.shape[1], most, 2, reached.bit_modes.shape[1]), np.float32)
    sent = np.zeros((planes, n.shape[1], most, 2), np.bool_)
    events = np.zeros((planes, 2, cols))
    of_word = np.zeros((planes, 2, reached.word_modes.shape[1], cols))
    of_bit = np.zeros((planes, 2, reached.bit_modes.shape[1], cols))
    for k in range(most):
        for side in range(2):
            now = (n if side == 0 else -n) > k
            sums = now.astype(np.float32) @ reached.bit_modes.transpose(0, 2, 1)
            bit[:, :, k, side] = sums.sum(0) if shares_words else sums
            sent[:, :, k, side] = now.any(2).any(0) if shares_words else now.any(2)
            if half:
                events[:, side] += now.sum(1)
                of_word[:, side] += reached.word_modes @ now
                of_bit[:, side] += bit[:, :, k, side].transpose(0, 2, 1) @ now
    if _shared(reached)[1]:
        events, of_word, of_bit = (np.repeat(x.sum(0, keepdims=True), 2, 0) for x in (events, of_word, of_bit))
    each = np.maximum(events, 1.0)[:, :, None]
    flat = planes * n.shape[1]
    return CountDrives(
        counts,
        np.ascontiguousarray(reached.word_modes.transpose(0, 2, 1).reshape(flat, -1)),
        bit.reshape(flat, most, 2, -1),
        sent.reshape(flat, most, 2),
        events.astype(np.float32),
        (of_word / each).astype(np.float32),
        (of_bit / each).astype(np.float32),
    )
