"""Linear interpolation in the tables of a cell model, for use inside other kernels.

A table look-up does not vectorise (compilers avoid gathers on current processors); a clamp in the same loop becomes a branch that random
states mispredict. So kernels work in three short loops over a chunk that stays in the first-level cache: places (vectors), look-ups
(scalars, no branch), arithmetic (vectors). 1.1 ns a cell where one loop takes 2.7. Tables that are read at the same state are interleaved,
(K, 2), to share index and cache line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from analog_sim.random.kernels.math import least, most
from analog_sim.random.kernels.options import JIT_OFF, within

if JIT_OFF:

    def load_pair(table: Any, i: Any) -> Any:
        """table[i] and table[i + 1] of a flat float32 table, i (np.uint64) even."""
        return table[i], table[i + np.uint64(1)]

else:

    @intrinsic
    def load_pair(typingctx: Any, table: Any, i: Any) -> Any:
        """table[i] and table[i + 1] of a flat float32 table, i (np.uint64) even.

        Both in one load: a look-up in a table beyond the first-level cache is bound by the loads in flight, and the compiler does not put
        two of them together.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            pair = ir.VectorType(ir.FloatType(), 2)
            first = builder.bitcast(builder.gep(array.data, [args[1]]), pair.as_pointer())
            both = builder.load(first, align=4)
            values = [builder.extract_element(both, ir.Constant(ir.IntType(32), k)) for k in range(2)]
            return context.make_tuple(builder, signature.return_type, values)

        return types.UniTuple(types.float32, 2)(table, i), codegen


@within
def place(u, last):
    """Interval and fraction of state u on a grid of last + 1 nodes; states outside [0, 1] count as its ends. last: np.float32."""
    x = least(most(u, np.float32(0.0)), np.float32(1.0)) * last
    k = least(np.uint32(x), np.uint32(np.uint32(last) - np.uint32(1)))
    return np.uint32(k), x - np.float32(k)


@within
def places(g, g_min, per_window, nodes, k, f):
    """Interval and fraction of every conductance g (N,) on a grid of `nodes` nodes over the window, into k (N,) uint32 and f (N,)."""
    last = np.float32(nodes - 1)
    for i in range(g.shape[0]):
        k[i], f[i] = place((g[i] - g_min) * per_window, last)


@within
def places_of_targets(codes, written, g_min, per_window, nodes, k, f):
    """As `places`, of the states that the codes (N,) stand for, `analog_sim.cells.state.TARGET_STEPS`; where a code is 0, of `written`."""
    last = np.float32(nodes - 1)
    per_code = np.float32((nodes - 1) / 65534.0)
    for i in range(codes.shape[0]):
        own = least(most((written[i] - g_min) * per_window, np.float32(0.0)), np.float32(1.0)) * last
        code = np.float32(codes[i])
        x = (code - np.float32(1.0)) * per_code if code > np.float32(0.0) else own
        k[i] = least(np.uint32(x), np.uint32(np.uint32(last) - np.uint32(1)))
        f[i] = x - np.float32(k[i])


@within
def references(codes, written, g_min, per_code, out):
    """Conductance at which tables of the target are read, siemens, into out (N,): ``g_min + (code - 1) per_code``, or where the code is
    0 the state as written, which stands for the target."""
    for i in range(out.shape[0]):
        target = g_min + np.float32(np.int32(codes[i]) - np.int32(1)) * per_code
        out[i] = target if codes[i] != np.uint16(0) else written[i]


@within
def at(row, k, f):
    """Value of a table (K,) at interval k and fraction f."""
    left = row[k]
    return left + f * (row[k + np.uint32(1)] - left)


@within
def pair_at(rows, k, f):
    """Values of two interleaved tables (K, 2) at interval k and fraction f."""
    a, b = rows[k, 0], rows[k, 1]
    after = k + np.uint32(1)
    return a + f * (rows[after, 0] - a), b + f * (rows[after, 1] - b)
