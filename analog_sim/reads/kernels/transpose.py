"""Kernels that transpose small blocks of numbers in vector registers. They know nothing of what these are.

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


_VECTOR = ir.VectorType(ir.FloatType(), LANES)


def _at(builder: Any, address: Any) -> Any:
    """The pointer to a vector at an address."""
    return builder.inttoptr(address, _VECTOR.as_pointer())


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """LANES vectors of LANES numbers, rows as columns."""
    step = 1
    while step < LANES:
        # Exchange this bit of the number of the row with the same bit of the number of the column.
        upper = [k if not k & step else LANES + k - step for k in range(LANES)]
        lower = [k + step if not k & step else LANES + k for k in range(LANES)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), LANES), places) for places in (upper, lower)]
        rows = [
            builder.shuffle_vector(rows[i & ~step], rows[i | step], masks[1 if i & step else 0]) for i in range(LANES)
        ]
        step *= 2
    return rows


@intrinsic
def transpose_block(
    typingctx: Any, source: Any, source_stride: Any, target: Any, target_stride: Any
) -> Any:  # pragma: no cover
    """``target_ji = source_ij`` for LANES x LANES float32; all int64: addresses, and bytes between rows."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = ir.IntType(64)

        def line(address: Any, stride: Any, number: int) -> Any:
            return _at(builder, builder.add(address, builder.mul(stride, index(number))))

        rows = [builder.load(line(args[0], args[1], i), align=_BYTES) for i in range(LANES)]
        for j, row in enumerate(_transposed(builder, rows)):
            builder.store(row, line(args[2], args[3], j), align=_BYTES)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


@intrinsic
def interleave(
    typingctx: Any, source: Any, distances: Any, target: Any, target_stride: Any, last: Any
) -> Any:  # pragma: no cover
    """``target_ji = source[distance_i + j]`` for i, j = 0 ... LANES - 1, float32: line j after line j - 1, where they overlap.

    All int64: addresses of the source, of LANES distances (int64, bytes), and of the first line; bytes from one line to the next;
    address of the last line.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        index = ir.IntType(64)
        places = builder.inttoptr(args[1], index.as_pointer())
        distances = [builder.load(builder.gep(places, [index(i)])) for i in range(LANES)]
        rows = [builder.load(_at(builder, builder.add(args[0], d)), align=_BYTES) for d in distances]
        for j, row in enumerate(_transposed(builder, rows)):
            line = args[4] if j == LANES - 1 else builder.add(args[2], builder.mul(args[3], index(j)))
            builder.store(row, _at(builder, line), align=_BYTES)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen
