"""Kernels of the losses: one pass over the outputs of a batch. They are small, so that calls of array functions would cost most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim._teamwork import shared

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def cross_entropy(first: int, last: int, team: int, output: F32, target: I64, loss: F64) -> None:
    """``loss_b = log sum_c exp(o_bc) - o_b,target``, (B,) float64 from output (B, classes) float32.

    first, last, team: samples first ... last - 1, see `analog_sim._teamwork`.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    for b in range(first, last):
        row = output[b]
        top = row.max()
        total = 0.0
        for c in range(row.shape[0]):
            total += np.exp(np.float64(row[c]) - np.float64(top))
        loss[b] = np.log(total) - (np.float64(row[target[b]]) - np.float64(top))


@njit(cache=True, fastmath=False, error_model="numpy")
def cross_entropy_gradient(output: F32, target: I64, gradient: F32) -> None:
    """``gradient = (softmax(o) - onehot) / B``, (B, classes) float32."""
    share = np.float32(1.0 / output.shape[0])
    for b in range(output.shape[0]):
        row, out = output[b], gradient[b]
        top = row.max()
        total = np.float32(0.0)
        for c in range(row.shape[0]):
            out[c] = np.exp(row[c] - top)
            total += out[c]
        for c in range(row.shape[0]):
            out[c] /= total
        out[target[b]] -= np.float32(1.0)
        for c in range(row.shape[0]):
            out[c] *= share
