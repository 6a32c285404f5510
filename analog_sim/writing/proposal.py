"""What a learning rule proposes: a gradient, either as a sum of outer products or as a full matrix. Never how it is written."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import get_num_threads

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

F32 = npt.NDArray[np.float32]


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


Proposal = OuterProduct | Dense


def for_cells(proposal: Proposal, gain: F32) -> Proposal:
    """Gradient for the cells, ``diag(1 / gain) dW``: outputs are multiplied by gain (n_out,), and so is every step of the cells."""
    if (gain == 1.0).all():
        return proposal
    if isinstance(proposal, OuterProduct):
        return OuterProduct(proposal.x, proposal.d / gain)
    return Dense(proposal.dw / gain[:, None])


def add_outer_products(target: F32, left: F32, right: F32, factor: float) -> None:
    """``target += factor sum_b left_b right_b^T`` in place, without a temporary matrix.

    target: (m, n) C-contiguous float32. left: (B, m). right: (B, n).
    """
    from scipy.linalg.blas import sgemm  # takes a tenth of a second to import, which a read need not wait for

    left, right = np.ascontiguousarray(left, np.float32), np.ascontiguousarray(right, np.float32)
    with _blas().limit(limits=1) if get_num_threads() > 1 else nullcontext():
        # The transpose is Fortran-ordered, so BLAS adds the product to it.
        sgemm(factor, right.T, left.T, beta=1.0, c=target.T, trans_b=1, overwrite_c=1)


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries that are loaded. One thread each: a second pool beside the kernels' fights with it for the cores.

    Decorrelated node perturbation took four times the processor time, and the longer the busier the machine, with two threads each.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
