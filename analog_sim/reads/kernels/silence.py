"""Kernel of a read whose lines are mostly silent in some vectors: products that leave out what two neighbouring vectors rest on.

Behind a ReLU half of the lines rest, but not the same ones in all vectors: two share far more of them than the four of
`kernels.product`. Two vectors alone would wait for conductances, so several panels are multiplied at once. The bits are those of
`kernels.product`. It is apart from that because few products are so large that compiling it is worth its time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.reads.kernels import product
from analog_sim.reads.kernels.product import AT_ONCE, BYTES, SILENT, SPARE, VECTORS, WIDTH

_ROWS = 2

if JIT_OFF:

    def multiply_silent(v: Any, panels: Any, out: Any, start: int, stop: int) -> int:
        """Nothing: see below."""
        return 0

else:

    @intrinsic
    def _block(
        typingctx: Any, v: Any, v_stride: Any, panel: Any, depth: Any, out: Any, out_stride: Any, lines: Any, apart: Any
    ) -> Any:  # pragma: no cover
        """Two vectors of voltages with neighbouring panels, in the lines that are listed; addresses and counts, as `emit_block`."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            product.emit_block(builder, _ROWS, AT_ONCE * VECTORS, *args)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    @njit(cache=True, nogil=True, fastmath=False)
    def multiply_silent(v, panels, out, start, stop):
        """``out = v M`` for the first vectors, in the columns of panels start ... stop - 1; returns how many vectors that are.

        Nothing is done, and 0 returned, when few lines are silent in the first two. v: (B, n), out: (B, m), C-contiguous float32; the
        panels are full of outputs, and their number a multiple of AT_ONCE.
        """
        bits, blocks, depth = v.view(np.int32), v.shape[0] // _ROWS, v.shape[1]
        lines, numbers = np.empty((blocks, depth + SPARE), np.int32), np.empty(blocks, np.int64)
        for k in range(blocks):
            numbers[k] = product.driven_lines(bits, k * _ROWS, _ROWS, lines[k])
            if k == 0 and SILENT * (depth - numbers[0]) < depth:
                return 0
        stride, out_stride, apart = (
            np.int64(depth * BYTES),
            np.int64(out.shape[1] * BYTES),
            np.int64(depth * WIDTH * BYTES),
        )
        each = np.int64((depth + SPARE) * BYTES)
        for p in range(start, stop, AT_ONCE):
            panel = np.int64(panels.ctypes.data) + np.int64(p) * apart
            target = np.int64(out.ctypes.data) + np.int64(p * WIDTH * BYTES)
            for k in range(blocks):
                here = np.int64(k * _ROWS)
                _block(
                    np.int64(v.ctypes.data) + here * stride,
                    stride,
                    panel,
                    numbers[k],
                    target + here * out_stride,
                    out_stride,
                    np.int64(lines.ctypes.data) + np.int64(k) * each,
                    apart,
                )
        return blocks * _ROWS
