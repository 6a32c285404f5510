"""What a learning rule proposes: a gradient, either as a sum of outer products or as a full matrix. Never how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analog_sim.random.kernels.magnitude import largest_of_all
from analog_sim.reads.kernels.outer_product import add_outer_rows
from analog_sim.reads.packed_matrix import WORTH_A_THREAD, PackedMatrix
from analog_sim.threads import team_for

if TYPE_CHECKING:
    from analog_sim.writing.scheme import WriteTarget

F32 = npt.NDArray[np.float32]

_INFINITY = 0x7F800000
"""Bits of the float32 infinity: what is not a number has larger ones."""


@dataclass(frozen=True)
class OuterProduct:
    """Gradient ``sum_b d_b x_b^T`` of a weight matrix (n_out, n_in).

    Attributes:
        x: (B, n_in) inputs of the layer.
        d: (B, n_out) errors or perturbation signals, any 1/B already inside.
    """

    x: F32
    d: F32

    def dense(self) -> F32:
        """Return the gradient as a matrix (n_out, n_in)."""
        return self.d.T @ self.x

    @cached_property
    def finite(self) -> bool:
        """Whether all numbers are; they are looked at once, so nobody may change them afterwards."""
        return _finite(self.d) and _finite(self.x)


@dataclass(frozen=True)
class Dense:
    """Gradient given as a full matrix, as weight perturbation yields it.

    Attributes:
        dw: (n_out, n_in).
    """

    dw: F32

    def dense(self) -> F32:
        """Return the gradient as a matrix (n_out, n_in)."""
        return self.dw

    @cached_property
    def finite(self) -> bool:
        """Whether all numbers are; they are looked at once, so nobody may change them afterwards."""
        return _finite(self.dw)


def _finite(numbers: F32) -> bool:
    """Whether a matrix holds neither infinities nor what is not a number."""
    if numbers.dtype == np.float32 and numbers.ndim == 2 and numbers.flags.c_contiguous:
        return int(largest_of_all(numbers.view(np.int32))) < _INFINITY
    return bool(np.isfinite(numbers).all())


Proposal = OuterProduct | Dense


def for_cells(proposal: Proposal, target: WriteTarget) -> Proposal:
    """Gradient for the cells, ``diag(1 / gain) dW``: outputs are multiplied by the target's gain, and so is every step of the cells."""
    if not target.compensated:
        return proposal
    gain = target.gain
    if isinstance(proposal, OuterProduct):
        return OuterProduct(proposal.x, proposal.d / gain)
    return Dense(proposal.dw / gain[:, None])


def add_outer_products(target: F32, left: F32, right: F32, factor: float) -> npt.NDArray[np.int32]:
    """``target += factor sum_b left_b right_b^T`` in place, without a temporary matrix; the same bits on any number of threads.

    target: (m, n) C-contiguous float32. left: (B, m). right: (B, n).

    Returns:
        (m,) bits of the largest magnitude in each row of the target as it is then, see `kernels.counts.take_whole`.
    """
    left, right = np.ascontiguousarray(left, np.float32), np.ascontiguousarray(right, np.float32)
    if not len(left):
        left, right = (np.zeros((1, lines.shape[1]), np.float32) for lines in (left, right))
    panels, largest = PackedMatrix.of(right).array, np.empty(len(target), np.int32)
    arguments = left, panels, np.float32(factor), target, largest
    least = max(1, -(-WORTH_A_THREAD // max(1, right.size)))
    add_outer_rows(0, len(target), team_for(len(target), least), *arguments)
    return largest
