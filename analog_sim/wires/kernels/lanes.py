"""Eight float64 numbers that kernels handle as one: a Numba type with load, store, +, -, *, /. It knows no circuit.

Numba vectorises a loop over eight contiguous numbers only with LLVM's SLP pass, a switch for the whole process; a vector type in
the compiler's own language needs no switch and gives the same instructions for every kernel (on a processor with shorter vectors LLVM
takes two or four of them). A product that meets a sum may be contracted to one rounding, nothing is reordered.
With NUMBA_DISABLE_JIT the same names work on arrays of eight.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from analog_sim.random.kernels.options import JIT_OFF

LANES = 8
"""Numbers of a vector: one register of AVX-512, two of AVX2."""

if JIT_OFF:

    def full(x: Any) -> Any:
        """Eight times x."""
        return np.full(LANES, x)

    def load(row: Any, k: int) -> Any:
        """Elements k ... k + 7 of a contiguous array of one dimension, float64 or float32."""
        return row[k : k + LANES].astype(np.float64)

    def store(row: Any, k: int, v: Any) -> None:
        """Write a vector to elements k ... k + 7, rounded where they are float32."""
        row[k : k + LANES] = v

    def gather(rows: Any, j: int) -> Any:
        """Element j of each of eight rows (8, n)."""
        return rows[:, j].copy()

    def scatter(rows: Any, j: int, v: Any) -> None:
        """Write a vector to element j of each of eight rows (8, n)."""
        rows[:, j] = v

    def total(v: Any) -> Any:
        """Sum of the eight numbers, pairwise."""
        a = v[:4] + v[4:]
        b = a[:2] + a[2:]
        return b[0] + b[1]

else:
    _REAL, _INDEX = ir.DoubleType(), ir.IntType(64)
    _VECTOR, _NARROW = ir.VectorType(_REAL, LANES), ir.VectorType(ir.FloatType(), LANES)

    class Lanes(types.Type):
        """The Numba type of a vector; it lives only inside kernels."""

        def __init__(self) -> None:
            super().__init__("Lanes")

    @register_model(Lanes)
    class _LanesModel(models.PrimitiveModel):
        def __init__(self, manager: Any, front: Any) -> None:
            super().__init__(manager, front, _VECTOR)

    lanes = Lanes()

    def _none(kind: Any) -> Any:
        return ir.Constant(kind, ir.Undefined)

    def _splat(builder: Any, x: Any) -> Any:
        one = builder.insert_element(_none(_VECTOR), x, ir.IntType(32)(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, _none(_VECTOR), everywhere)

    def _place(context: Any, builder: Any, kind: Any, array: Any, k: Any) -> Any:
        data = context.make_array(kind)(context, builder, array).data
        vector = _NARROW if kind.dtype == types.float32 else _VECTOR
        return builder.bitcast(builder.gep(data, [k]), vector.as_pointer())

    def _align(kind: Any) -> int:
        return int(kind.dtype.bitwidth // 8)

    def _elements(context: Any, builder: Any, kind: Any, array: Any, j: Any) -> list[Any]:
        """Addresses of element j of eight rows."""
        parts = context.make_array(kind)(context, builder, array)
        width = builder.extract_value(parts.shape, 1)
        at = builder.gep(parts.data, [j])
        return [builder.gep(at, [builder.mul(width, _INDEX(k))]) for k in range(LANES)]

    @intrinsic
    def full(typingctx: Any, x: Any) -> Any:
        """Eight times x."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return _splat(builder, args[0])

        return lanes(types.float64), codegen

    @intrinsic
    def load(typingctx: Any, row: Any, k: Any) -> Any:
        """Elements k ... k + 7 of a contiguous array of one dimension, float64 or float32."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = sig.args[0]
            found = builder.load(_place(context, builder, kind, args[0], args[1]), align=_align(kind))
            return builder.fpext(found, _VECTOR) if kind.dtype == types.float32 else found

        return lanes(row, types.int64), codegen

    @intrinsic
    def store(typingctx: Any, row: Any, k: Any, v: Any) -> Any:
        """Write a vector to elements k ... k + 7, rounded where they are float32."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = sig.args[0]
            value = builder.fptrunc(args[2], _NARROW) if kind.dtype == types.float32 else args[2]
            builder.store(value, _place(context, builder, kind, args[0], args[1]), align=_align(kind))
            return context.get_dummy_value()

        return types.none(row, types.int64, lanes), codegen

    @intrinsic
    def gather(typingctx: Any, rows: Any, j: Any) -> Any:
        """Element j of each of eight rows (8, n)."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            v = _none(_VECTOR)
            for k, address in enumerate(_elements(context, builder, sig.args[0], args[0], args[1])):
                v = builder.insert_element(v, builder.load(address, align=_align(sig.args[0])), ir.IntType(32)(k))
            return v

        return lanes(rows, types.int64), codegen

    @intrinsic
    def scatter(typingctx: Any, rows: Any, j: Any, v: Any) -> Any:
        """Write a vector to element j of each of eight rows (8, n)."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            for k, address in enumerate(_elements(context, builder, sig.args[0], args[0], args[1])):
                builder.store(builder.extract_element(args[2], ir.IntType(32)(k)), address, align=_align(sig.args[0]))
            return context.get_dummy_value()

        return types.none(rows, types.int64, lanes), codegen

    @intrinsic
    def total(typingctx: Any, v: Any) -> Any:
        """Sum of the eight numbers, pairwise."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            parts = [builder.extract_element(args[0], ir.IntType(32)(k)) for k in range(LANES)]
            while len(parts) > 1:
                half = len(parts) // 2
                parts = [builder.fadd(parts[k], parts[k + half]) for k in range(half)]
            return parts[0]

        return types.float64(lanes), codegen

    def _register(operation: Any, instruction: str) -> None:
        @infer_global(operation)
        class _Operation(AbstractTemplate):
            def generic(self, args: Any, kws: Any) -> Any:
                if len(args) == 2 and any(isinstance(a, Lanes) for a in args):
                    return signature(lanes, *[a if isinstance(a, Lanes) else types.float64 for a in args])
                return None

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x, y = (
                v if isinstance(kind, Lanes) else _splat(builder, v) for kind, v in zip(sig.args, args, strict=True)
            )
            return getattr(builder, instruction)(x, y, flags=("contract",))

        for kinds in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
            lower_builtin(operation, *kinds)(lower)

    for _operation, _instruction in (
        (operator.add, "fadd"),
        (operator.sub, "fsub"),
        (operator.mul, "fmul"),
        (operator.truediv, "fdiv"),
    ):
        _register(_operation, _instruction)
