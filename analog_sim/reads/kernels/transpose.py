"""Kernel that transposes small blocks of numbers in vector registers. Knows nothing of what they are.

A plain loop over a block is one load and one store for each number; with exchanges between registers a block of n x n takes n loads,
n stores and n log2(n) exchanges.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

LANES = 16 if binding.get_host_cpu_features().get("avx512f", False) else 8
"""Numbers in a vector register."""

_BYTES = 4


@intrinsic
def transpose_block(
    typingctx: Any, source: Any, source_stride: Any, target: Any, target_stride: Any
) -> Any:  # pragma: no cover
    """``target_ji = source_ij`` for LANES x LANES float32; all int64: addresses, and bytes between rows."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = ir.IntType(64)
        vector = ir.VectorType(ir.FloatType(), LANES)

        def line(address: Any, stride: Any, number: int) -> Any:
            place = builder.add(address, builder.mul(stride, index(number)))
            return builder.inttoptr(place, vector.as_pointer())

        rows = [builder.load(line(args[0], args[1], i), align=_BYTES) for i in range(LANES)]
        step = 1
        while step < LANES:
            # Exchange this bit of the number of the row with the same bit of the number of the column.
            upper = [k if not k & step else LANES + k - step for k in range(LANES)]
            lower = [k + step if not k & step else LANES + k for k in range(LANES)]
            masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), places) for places in (upper, lower)]
            rows = [
                builder.shuffle_vector(rows[i & ~step], rows[i | step], masks[1 if i & step else 0])
                for i in range(LANES)
            ]
            step *= 2
        for j, row in enumerate(rows):
            builder.store(row, line(args[2], args[3], j), align=_BYTES)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen
