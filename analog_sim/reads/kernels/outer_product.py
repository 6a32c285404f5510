"""Kernel of a sum of outer products, added to a matrix: the digital side of learning. Never reads a cell.

It uses the blocks of `kernels.product`, which keep their sums in registers. Every element is one sum over the batch in its order, then
added by one fused multiply-add: the same bits on any number of threads, which BLAS does not promise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.fetch import LINE, fetch
from analog_sim.random.kernels.magnitude import largest_bits
from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.reads.kernels import product
from analog_sim.reads.kernels.transpose import LANES, transpose_block

_MAGNITUDE = np.int32(0x7FFFFFFF)
_STRIP = 16
"""Rows that are worked on together: their sums stay in the first-level cache until they are added."""


if JIT_OFF:

    def add_outer_rows(
        first: int, last: int, team: int, left: Any, panels: Any, factor: Any, target: Any, largest: Any
    ) -> None:
        """Add to rows first ... last - 1 of the target, see below."""
        width = target.shape[1]
        right = panels.transpose(1, 0, 2).reshape(panels.shape[1], -1)[:, :width]
        part = target[first:last]
        part += factor * (left[:, first:last].T @ right)
        largest[first:last] = (part.view(np.int32) & _MAGNITUDE).max(axis=1, initial=0)

else:

    @njit(cache=True, fastmath=False)
    def _take_columns(left, start, number, lines):
        """Columns start ... start + number - 1 of left (B, m) into the rows of lines (_STRIP, B)."""
        batch = left.shape[0]
        whole = batch // LANES * LANES if number == _STRIP else 0
        stride, line_stride = np.int64(left.shape[1] * 4), np.int64(batch * 4)
        source, target = np.int64(left.ctypes.data) + np.int64(start * 4), np.int64(lines.ctypes.data)
        for b in range(0, whole, LANES):
            for r in range(0, _STRIP, LANES):
                transpose_block(source + b * stride + r * 4, stride, target + r * line_stride + b * 4, line_stride)
        for b in range(whole, batch):
            for r in range(number):
                lines[r, b] = left[b, start + r]

    @njit(forceinline=True)
    def _fetch_block(target, start, number, p):
        """Fetch the columns of panel p in rows start ... start + number - 1 of the target, which are needed after their sums."""
        width = min(product.WIDTH, target.shape[1] - p * product.WIDTH)
        first = np.int64(target.ctypes.data) + np.int64(p * product.WIDTH * 4)
        for r in range(start, start + number):
            for offset in range(0, width * 4, LINE):
                fetch(first + np.int64(r * target.shape[1] * 4) + offset)

    @njit(cache=True, nogil=True, fastmath=False)
    def add_outer_rows(first, last, team, left, panels, factor, target, largest):
        """``target_ij += factor sum_b left_bi right_bj`` in rows first ... last - 1 of the target.

        Args:
            first, last, team: rows, and who shares them, see `analog_sim._teamwork`.
            left: (B, m) float32, B at least 1. panels: right (B, n) in panels of `kernels.product`.
            factor: float32. target: (m, n) float32. largest: (m,) int32, gets the bits of the abs-max of each row.
        """
        if team:
            shared(first, last, _STRIP, 2, team)
            return
        batch, width = left.shape[0], panels.shape[0] * product.WIDTH
        lines, sums = np.empty((_STRIP, batch), np.float32), np.empty((_STRIP, width), np.float32)
        # Addresses and strides of one type each, as in `kernels.product`.
        line_stride, sum_stride = np.int64(batch * 4), np.int64(width * 4)
        panel_bytes = np.int64(batch * product.WIDTH * 4)
        for start in range(first, last, _STRIP):
            number = min(_STRIP, last - start)
            _take_columns(left, start, number, lines)
            for p in range(panels.shape[0]):
                _fetch_block(target, start, number, p)
                product.multiply_into(
                    np.int64(lines.ctypes.data),
                    line_stride,
                    np.int64(panels.ctypes.data) + np.int64(p * panel_bytes),
                    batch,
                    np.int64(sums.ctypes.data) + np.int64(p * product.WIDTH * 4),
                    sum_stride,
                    number,
                    target.shape[1] - p * product.WIDTH,
                )
            for r in range(number):
                row, added = target[start + r], sums[r]
                for j in range(row.shape[0]):
                    row[j] = fma(factor, added[j], row[j])
                largest[start + r] = largest_bits(row.view(np.int32))
