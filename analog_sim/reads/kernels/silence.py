"""Kernel of a read whose lines are mostly silent in some vectors: products that leave out what two neighbouring vectors rest on.

Behind a ReLU half of the lines rest, but not the same ones in all vectors: two share far more of them than the four of
`kernels.product`. Two vectors alone would wait for conductances, so several panels are multiplied at once, and some lines of all panels
with all vectors, before the next lines come: these conductances stay in the first-level cache meanwhile. (All lines at once took 160 us for
256 vectors on 256 x 256 on Zen 5, and `kernels.product` 124.) The bits are those of `kernels.product`. It is apart from that because few
products are so large that compiling it is worth its time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from analog_sim._teamwork import shared
from analog_sim.random.kernels.math import least
from analog_sim.random.kernels.options import JIT_OFF, within
from analog_sim.reads.kernels import product
from analog_sim.reads.kernels.product import AT_ONCE, BYTES, SILENT, SPARE, VECTORS, WIDTH

_ROWS = 2
LINES = 64
"""Lines that meet all vectors before the next ones."""

if JIT_OFF:

    def multiply_silent(first: int, last: int, team: int, v: Any, panels: Any, out: Any) -> int:
        """Nothing: see below."""
        return 0

else:

    @intrinsic
    def _block(
        typingctx: Any, v: Any, v_stride: Any, panel: Any, depth: Any, out: Any, out_stride: Any, lines: Any, apart: Any
    ) -> Any:  # pragma: no cover
        """Add two vectors of voltages times neighbouring panels, in the lines that are listed; addresses and counts, as `emit_block`."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            product.emit_block(builder, _ROWS, AT_ONCE * VECTORS, *args, more=True)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    @within
    def _list_all(bits, lines, ends):
        """List the driven lines of every two vectors into `lines` (blocks, n + SPARE), and where those of each LINES lines end into `ends`.

        Returns whether that is worth it: not when few lines are silent in the first two vectors.
        """
        blocks, depth = lines.shape[0], bits.shape[1]
        for k in range(blocks):
            number = np.int64(0)
            for c in range(ends.shape[1]):
                start = np.int64(c * LINES)
                stop = least(start + LINES, np.int64(depth))
                number = product.list_driven(bits, k * _ROWS, _ROWS, start, stop, lines[k], number)
                ends[k, c] = number
            if k == 0 and SILENT * (depth - number) < depth:
                return False
        return True

    @njit(cache=True, nogil=True, fastmath=False)
    def multiply_silent(first, last, team, v, panels, out):
        """``out = v M`` for the first vectors, in the columns of panels first ... last - 1; returns how many vectors times panels that are.

        Nothing is done, and 0 returned, when few lines are silent in the first two. v: (B, n), out: (B, m), C-contiguous float32; the
        panels are full of outputs, and their number a multiple of AT_ONCE.

        first, last, team: see `analog_sim._teamwork`.
        """
        if team:
            return shared(first, last, AT_ONCE, 1, team)
        blocks, depth = v.shape[0] // _ROWS, v.shape[1]
        lines, ends = np.empty((blocks, depth + SPARE), np.int32), np.empty((blocks, -(-depth // LINES)), np.int64)
        if not _list_all(v.view(np.int32), lines, ends):
            return 0
        out[: blocks * _ROWS, first * WIDTH : last * WIDTH] = 0.0
        stride, out_stride = np.int64(depth * BYTES), np.int64(out.shape[1] * BYTES)
        apart, each = np.int64(depth * WIDTH * BYTES), np.int64((depth + SPARE) * BYTES)
        for p in range(first, last, AT_ONCE):
            panel = np.int64(panels.ctypes.data) + np.int64(p) * apart
            target = np.int64(out.ctypes.data) + np.int64(p * WIDTH * BYTES)
            for c in range(ends.shape[1]):
                for k in range(blocks):
                    begin = ends[k, c - 1] if c > 0 else np.int64(0)
                    here = np.int64(k * _ROWS)
                    if ends[k, c] > begin:
                        _block(
                            np.int64(v.ctypes.data) + here * stride,
                            stride,
                            panel,
                            ends[k, c] - begin,
                            target + here * out_stride,
                            out_stride,
                            np.int64(lines.ctypes.data) + np.int64(k) * each + begin * BYTES,
                            apart,
                        )
        return blocks * _ROWS * (last - first)
