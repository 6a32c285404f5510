"""From a rank-one gradient to pulse trains: how strong and how long the two streams of a sample must be. Never draws a bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.chip import PulseTrain
from analog_sim.writing.proposal import OuterProduct
from analog_sim.writing.pulsed import PairMode
from analog_sim.writing.scheme import WritableBlock

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Strengths:
    """Firing probabilities of all lines for every sample of a batch.

    The expected number of coincidences of sample s at (i, j) is ``length_s * row[s, i] * col[s, j] = pulses_per_gradient |x_si d_sj|``
    wherever nothing was clipped.

    Attributes:
        row: (S, n_in) and col: (S, n_out) probabilities in [0, 1].
        length: (S,) slots.
        clipped: share of the samples whose train would have to be longer than the longest one.
    """

    row: F32
    col: F32
    length: npt.NDArray[np.int64]
    clipped: float


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
    x, d = np.abs(gradient.x), np.abs(gradient.d)
    x_max = x.max(axis=1).astype(np.float64)
    d_max = d.max(axis=1).astype(np.float64)
    wanted = pulses_per_gradient * x_max * d_max
    length = np.clip(np.ceil(wanted), 1, longest).astype(np.int64) if adapt else np.full(len(x), longest, np.int64)
    amplitude = np.sqrt(pulses_per_gradient / length)
    silent = (x_max == 0.0) | (d_max == 0.0)
    safe_x, safe_d = np.where(silent, 1.0, x_max), np.where(silent, 1.0, d_max)
    m = np.sqrt(safe_d / safe_x) if balance else np.ones(len(x))
    row = x * (amplitude * m)[:, None].astype(np.float32)
    col = d * (amplitude / m)[:, None].astype(np.float32)
    over = (amplitude * m * x_max > 1.0 + 1e-6) | (amplitude / m * d_max > 1.0 + 1e-6)
    return Strengths(np.minimum(row, 1.0), np.minimum(col, 1.0), length, float(over.mean()))


def train_for(
    block: WritableBlock,
    gradient: OuterProduct,
    row_bits: npt.NDArray[np.uint64],
    col_bits: npt.NDArray[np.uint64],
    length: int,
    pair: PairMode,
) -> PulseTrain:
    """The part of a batch's bit streams, (S, n_in) and (S, n_out), that drives one block; it moves the weights against the gradient."""
    row_sign = np.where(gradient.x[:, block.rows] < 0, -1, 1).astype(np.int8)
    col_sign = np.where(gradient.d[:, block.cols] > 0, -1, 1).astype(np.int8)
    rows, cols = row_bits[:, block.rows], col_bits[:, block.cols]
    if block.reference:
        cols, col_sign = np.pad(cols, ((0, 0), (0, 1))), np.pad(col_sign, ((0, 0), (0, 1)), constant_values=1)
    return PulseTrain(np.ascontiguousarray(rows), np.ascontiguousarray(cols), row_sign, col_sign, length, pair)
