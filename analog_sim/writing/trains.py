"""From a rank-one gradient to pulse trains: how strong and how long the two streams of a sample must be. Never draws a bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.pulses.kernels import trains as kernels
from analog_sim.pulses.plans import PulseTrain
from analog_sim.threads import team_for
from analog_sim.writing.proposal import OuterProduct
from analog_sim.writing.pulsed import PulsedScheme
from analog_sim.writing.scheme import WritableBlock

F32 = npt.NDArray[np.float32]
Place = tuple[np.uint64, np.uint64, np.uint64]
"""Key of a stream (two words) and the position of a word in it."""


WORTH_A_THREAD = 2**12
"""Lines times samples whose trains are worth a thread."""


@dataclass(frozen=True)
class Strengths:
    """How strong and how long the trains of a batch are.

    A line fires in a slot with `probability`. The expected number of coincidences of sample s at (i, j) is
    ``length_s p(x_si) p(d_sj) = pulses_per_gradient |x_si d_sj|`` wherever nothing was clipped.

    Attributes:
        row, col: (S,) firing probability of a line for an input, or an error, of one.
        length: (S,) slots.
        clipped: share of the samples whose train would have to be longer than the longest one.
    """

    row: F32
    col: F32
    length: npt.NDArray[np.int64]
    clipped: float


@dataclass(frozen=True)
class Lines:
    """What one side of the arrays does in a batch.

    Attributes:
        bits: (S, n) uint64, bit k: fires in slot k. sign: (S, n) int8 of -1 or +1.
    """

    bits: npt.NDArray[np.uint64]
    sign: npt.NDArray[np.int8]

    def part(self, lines: slice) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int8]]:
        """Bits and signs of some of the lines."""
        return self.bits[:, lines], self.sign[:, lines]


def strengths(
    gradient: OuterProduct, pulses_per_gradient: float, longest: int, *, balance: bool, adapt: bool
) -> Strengths:
    """Choose the probabilities and train lengths of a batch.

    ``p_x = A m |x|``, ``p_d = (A / m) |d|`` with ``A**2 = pulses_per_gradient / length`` (Gokmen & Vlasov 2016,
    doi:10.3389/fnins.2016.00333, Eq. 6). Update management (Gokmen, Onen & Haensch 2017, doi:10.3389/fnins.2017.00538):
    ``m = sqrt(max|d| / max|x|)`` uses both ranges alike, and a train is only as long as its largest product needs.

    Args:
        gradient: x (S, n_in), d (S, n_out).
        pulses_per_gradient: mean pulses that a gradient of one asks for.
        longest: slots of the longest train.
        balance: use m, else 1.
        adapt: shorten the trains, else all have `longest` slots.
    """
    samples = len(gradient.x)
    length = np.empty(samples, np.int64)
    row, col = np.empty(samples, np.float32), np.empty(samples, np.float32)
    x, d = (np.ascontiguousarray(v, np.float32).view(np.int32) for v in (gradient.x, gradient.d))
    clipped = kernels.share_strength(x, d, float(pulses_per_gradient), longest, balance, adapt, length, row, col)
    return Strengths(row, col, length, clipped / samples)


def draw(
    gradient: OuterProduct,
    pulses_per_gradient: float,
    longest: int,
    balance: bool,
    adapt: bool,
    places: tuple[Place, Place],
) -> tuple[Lines, Lines, int, float]:
    """Trains of a batch, of the strengths of `strengths`.

    Args:
        gradient, pulses_per_gradient, longest, balance, adapt: as there. places: of one word in the stream of the rows and of the columns.

    Returns:
        what rows and what columns do; slots of the longest train; share of the samples that are clipped.
    """
    x, d = (np.ascontiguousarray(v, np.float32) for v in (gradient.x, gradient.d))
    rows, cols = (Lines(np.empty(v.shape, np.uint64), np.empty(v.shape, np.int8)) for v in (x, d))
    length = np.empty(len(x), np.int64)
    wanted = float(pulses_per_gradient), longest, balance, adapt
    team = team_for(len(x), max(8, -(-WORTH_A_THREAD // (x.shape[1] + d.shape[1]))))
    given = places, length, (rows.bits, rows.sign), (cols.bits, cols.sign)
    clipped = kernels.draw_trains(0, len(x), team, x, d, wanted, *given)
    return rows, cols, int(length.max()), clipped / len(x)


def probabilities(values: F32, strength: F32) -> F32:
    """``min(strength_s |values_si|, 1)``, (S, n)."""
    return np.minimum(np.abs(values) * strength[:, None], np.float32(1.0))


def signs(values: F32, positive: int) -> npt.NDArray[np.int8]:
    """Signs of the lines that carry `values`, int8 of -1 or +1: `positive` for a positive value and for 0."""
    return np.where(values < 0, -positive, positive).astype(np.int8)


def train_for(block: WritableBlock, rows: Lines, cols: Lines, length: int, scheme: PulsedScheme) -> PulseTrain:
    """The part of a batch's trains that drives one block."""
    row_bits, row_sign = rows.part(block.rows)
    col_bits, col_sign = cols.part(block.cols)
    if block.reference:
        col_bits, col_sign = np.pad(col_bits, ((0, 0), (0, 1))), np.pad(col_sign, ((0, 0), (0, 1)), constant_values=1)
    return PulseTrain(row_bits, col_bits, row_sign, col_sign, length, scheme.pair, scheme.amplitude, scheme.width)
