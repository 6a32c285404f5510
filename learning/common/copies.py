"""Copies of a batch, each perturbed in its own way: what they differ by, and sums of it weighted for every sample. They know no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from analog_sim.threads import rows_of
from learning.common.kernels import add_scaled, take_differences

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

WORTH_A_THREAD = 2**14
"""Numbers."""


def differences(after: F32, before: F32 | None, length: F64) -> F32:
    """``after_k - before`` of every copy, (K, rows, n); without `before` ``(after_2k - after_2k+1) / 2``.

    after: (K, rows, n), or (2 K, rows, n). before: (rows, n). length: (K, B) float64; the squared length for each of B samples is added.
    """
    moved = np.empty((len(length), *after.shape[1:]), np.float32)
    span = rows_of(moved.reshape(-1, moved.shape[2]), WORTH_A_THREAD)
    if before is None:
        take_differences(*span, after, after, (2, 1, 2), np.float32(0.5), moved, length)
    else:
        take_differences(*span, after, np.ascontiguousarray(before)[None], (1, 0, 0), np.float32(1.0), moved, length)
    return moved


def add_weighted(totals: Sequence[F32], parts: Sequence[F32], factor: F32) -> None:
    """``total_r += sum_k factor_kb part_kr`` for every row r of sample b, for each total (rows, n) and its part (K, rows, n).

    factor: (K, B). Copies are added one after the other.
    """
    for total, part in zip(totals, parts, strict=True):
        add_scaled(*rows_of(total, -(-WORTH_A_THREAD // len(part))), part, factor, total)
