"""Scratch on the stack, parts of arrays and addresses, for kernels that make no array. It never checks a bound.

Numba's own slices and arrays do the same and more (clipped ends, steps, counted references), and each takes longer to compile than the
loop it is for.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from analog_sim.random.kernels.options import JIT_OFF

_LINE = 64  # bytes in a line of the cache


def room(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """A function without arguments, for kernels: it makes a C-contiguous array of this fixed shape that lasts until the kernel returns.

    Its content is whatever was there. Not for Python.
    """
    lengths = shape if isinstance(shape, tuple) else (shape,)
    if JIT_OFF:
        return lambda: np.empty(lengths, dtype)
    element = from_dtype(np.dtype(dtype))
    kind = types.Array(element, len(lengths), "C")

    @intrinsic
    def made(typingctx: Any) -> Any:  # pragma: no cover
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = context.get_data_type(element)
            with builder.goto_entry_block():  # once, not at every turn of a loop
                first = builder.alloca(data, ir.Constant(ir.IntType(64), prod(lengths)))
            first.align = _LINE
            whole = ir.IntType(64)
            return _array(context, builder, kind, first, [whole(length) for length in lengths])

        return kind(), codegen

    return made


def _array(context: Any, builder: Any, kind: Any, first: Any, lengths: list[Any]) -> Any:  # pragma: no cover
    """An array of C order at a pointer, as Numba hands it on; lengths: of its axes, int64."""
    array = context.make_array(kind)(context, builder)
    size = ir.IntType(64)(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides: list[Any] = []
    items: Any = ir.IntType(64)(1)
    for length in reversed(lengths):
        strides.insert(0, builder.mul(items, size))
        items = builder.mul(items, length)
    array.data, array.nitems, array.itemsize = first, items, size
    array.shape, array.strides = cgutils.pack_array(builder, lengths), cgutils.pack_array(builder, strides)
    return array._getvalue()


def _contiguous(array: Any) -> bool:
    """Whether a type is one of arrays in C order; others are refused when a kernel is compiled."""
    return isinstance(array, types.Array) and array.layout == "C"


def _made(context: Any, builder: Any, kind: Any, value: Any) -> Any:  # pragma: no cover
    return context.make_array(kind)(context, builder, value)


if JIT_OFF:

    def part(array: Any, start: Any, stop: Any) -> Any:
        """``array[start:stop]`` of a flat array, 0 <= start <= stop <= its length."""
        return array[int(start) : int(stop)]

    def part_of_row(array: Any, row: Any, start: Any, stop: Any) -> Any:
        """``array[row, start:stop]`` of a matrix, all within it."""
        return array[row, int(start) : int(stop)]

    def rows(array: Any, start: Any, stop: Any) -> Any:
        """``array[start:stop]`` of a matrix, all within it."""
        return array[int(start) : int(stop)]

    def flat(array: Any) -> Any:
        """A matrix as one row."""
        return array.reshape(-1)

    def as_ints(array: Any) -> Any:
        """A float32 array, C-contiguous, seen as int32."""
        return array.view(np.int32)

    def address(array: Any) -> Any:
        """Address of the first element."""
        return np.int64(array.ctypes.data)

else:

    @intrinsic
    def part(typingctx: Any, array: Any, start: Any, stop: Any) -> Any:  # pragma: no cover
        """``array[start:stop]`` of a flat array, 0 <= start <= stop <= its length."""
        kind = types.Array(array.dtype, 1, "C")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first = builder.gep(_made(context, builder, signature.args[0], args[0]).data, [args[1]])
            return _array(context, builder, kind, first, [builder.sub(args[2], args[1])])

        return (kind(array, types.int64, types.int64), codegen) if _contiguous(array) else None

    @intrinsic
    def part_of_row(typingctx: Any, array: Any, row: Any, start: Any, stop: Any) -> Any:  # pragma: no cover
        """``array[row, start:stop]`` of a matrix, all within it."""
        kind = types.Array(array.dtype, 1, "C")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            matrix = _made(context, builder, signature.args[0], args[0])
            width = cgutils.unpack_tuple(builder, matrix.shape)[1]
            first = builder.gep(matrix.data, [builder.add(builder.mul(args[1], width), args[2])])
            return _array(context, builder, kind, first, [builder.sub(args[3], args[2])])

        return (kind(array, types.int64, types.int64, types.int64), codegen) if _contiguous(array) else None

    @intrinsic
    def rows(typingctx: Any, array: Any, start: Any, stop: Any) -> Any:  # pragma: no cover
        """``array[start:stop]`` of a matrix, all within it."""
        kind = types.Array(array.dtype, 2, "C")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            matrix = _made(context, builder, signature.args[0], args[0])
            width = cgutils.unpack_tuple(builder, matrix.shape)[1]
            first = builder.gep(matrix.data, [builder.mul(args[1], width)])
            return _array(context, builder, kind, first, [builder.sub(args[2], args[1]), width])

        return (kind(array, types.int64, types.int64), codegen) if _contiguous(array) else None

    @intrinsic
    def flat(typingctx: Any, array: Any) -> Any:  # pragma: no cover
        """A matrix as one row."""
        kind = types.Array(array.dtype, 1, "C")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            matrix = _made(context, builder, signature.args[0], args[0])
            return _array(context, builder, kind, matrix.data, [matrix.nitems])

        return (kind(array), codegen) if _contiguous(array) else None

    @intrinsic
    def as_ints(typingctx: Any, array: Any) -> Any:  # pragma: no cover
        """A float32 array, C-contiguous, seen as int32."""
        kind = types.Array(types.int32, array.ndim, "C")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            floats = _made(context, builder, signature.args[0], args[0])
            first = builder.bitcast(floats.data, ir.IntType(32).as_pointer())
            return _array(context, builder, kind, first, cgutils.unpack_tuple(builder, floats.shape))

        return (kind(array), codegen) if _contiguous(array) else None

    @intrinsic
    def address(typingctx: Any, array: Any) -> Any:  # pragma: no cover
        """Address of the first element."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.ptrtoint(_made(context, builder, signature.args[0], args[0]).data, ir.IntType(64))

        return (types.int64(array), codegen) if _contiguous(array) else None
