"""Branch-free float32 elementary functions to be inlined into vectorised kernels. They never check their domain.

Every function takes and returns np.float32; a result for NaN is meaningless. Products and sums are fused by an
explicit `fma`, so that the bits are the same whatever the width of the vector unit and whatever the compiler would
contract; no fastmath anywhere. Coefficients are minimax fits (Lawson's iteration on 4000 Chebyshev nodes);
tests/analog_sim/random/kernels/test_math.py measures every stated error over the stated domain.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from analog_sim.random.kernels.options import JIT_OFF, within

_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_MANTISSA = np.int32(0x7FFFFF)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_MAGIC = np.float32(12582912.0)  # 1.5 * 2**23: adding it rounds a float32 to an integer in its low mantissa bits
_MAGIC_BITS = np.int32(0x4B400000)
_LN2 = np.float32(0.6931471805599453)
_LN2_HIGH = np.float32(0.693145751953125)  # 17 significant bits: n * _LN2_HIGH is exact for |n| < 128
_LN2_LOW = np.float32(1.428606820309417e-06)
_LOG2_E = np.float32(1.4426950408889634)

# (log1p(f) - f) / f**2 on f in [sqrt(1/2) - 1, sqrt(2) - 1]
_Q0 = np.float32(-0.4999998211860657)
_Q1 = np.float32(0.3333393335342407)
_Q2 = np.float32(-0.25002583861351013)
_Q3 = np.float32(0.19963476061820984)
_Q4 = np.float32(-0.16551794111728668)
_Q5 = np.float32(0.14883700013160706)
_Q6 = np.float32(-0.14426842331886292)
_Q7 = np.float32(0.0897943452000618)

# sin(pi/2 x)/x and (cos(pi/2 x) - 1)/x**2 as polynomials in x**2, x in [-1/2, 1/2]
_S0 = np.float32(1.5707963705062866)
_S1 = np.float32(-0.6459634900093079)
_S2 = np.float32(0.07968022674322128)
_S3 = np.float32(-0.004602177068591118)
_C0 = np.float32(-1.2336980104446411)
_C1 = np.float32(0.2536063492298126)
_C2 = np.float32(-0.020426249131560326)

# (exp2(x) - 1)/x on x in [-1/2, 1/2]
_E0 = np.float32(0.6931471824645996)
_E1 = np.float32(0.24022647738456726)
_E2 = np.float32(0.055503323674201965)
_E3 = np.float32(0.00961843691766262)
_E4 = np.float32(0.0013398875016719103)
_E5 = np.float32(0.00015353360504377633)


if JIT_OFF:

    def fma(a: Any, b: Any, c: Any) -> Any:
        """a b + c for float32, through float64 where the product is exact: fused but for a rare double rounding."""
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c))

    def as_int(x: Any) -> Any:
        """The np.int32 of the same bits as a np.float32 or np.uint32."""
        return x.view(np.int32)

    def as_float(x: Any) -> Any:
        """The np.float32 of the same bits as a np.int32."""
        return x.view(np.float32)

    least, most = min, max

else:

    @intrinsic
    def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
        """a b + c for float32 with one rounding: the processor's fused multiply-add (in software where it has none)."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.fma(*args)

        return types.float32(types.float32, types.float32, types.float32), codegen

    @intrinsic
    def as_int(typingctx: Any, x: Any) -> Any:  # pragma: no cover
        """The np.int32 of the same bits as a np.float32 or np.uint32."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.IntType(32))

        return (types.int32(x), codegen) if x in (types.float32, types.uint32) else None

    @intrinsic
    def as_float(typingctx: Any, x: Any) -> Any:  # pragma: no cover
        """The np.float32 of the same bits as a np.int32."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.FloatType())

        return types.float32(types.int32), codegen

    def _choice(before: Any) -> Any:
        """A function of two numbers that is the second where it stands before the first, and else the first, as Python's min and max."""

        @intrinsic
        def chosen(typingctx: Any, a: Any, b: Any) -> Any:  # pragma: no cover
            kind = typingctx.unify_types(a, b)

            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                compare = context.get_function(before, types.boolean(kind, kind))
                return builder.select(compare(builder, (args[1], args[0])), args[1], args[0])

            return kind(kind, kind), codegen

        return chosen

    # Python's own are compiled as a function for every pair of types.
    least, most = _choice(operator.lt), _choice(operator.gt)


@within
def log(x):
    """Natural logarithm ln(x), x a normal float32 > 0. Relative error < 1.2e-7."""
    k = np.int32(as_int(np.float32(x)) - _SQRT_HALF_BITS)
    e = np.float32(np.int32(k >> np.int32(23)))
    f = as_float(np.int32((k & _MANTISSA) + _SQRT_HALF_BITS)) - _ONE
    q = fma(fma(fma(fma(fma(fma(fma(_Q7, f, _Q6), f, _Q5), f, _Q4), f, _Q3), f, _Q2), f, _Q1), f, _Q0)
    # ln2 in two parts: e * _LN2_HIGH is exact, so the sum is rounded where the result is small.
    return fma(e, _LN2_HIGH, fma(f * f, q, fma(e, _LN2_LOW, f)))


@within
def log2(x):
    """Base-2 logarithm, x a normal float32 > 0. Relative error < 1.7e-7."""
    k = np.int32(as_int(np.float32(x)) - _SQRT_HALF_BITS)
    e = np.float32(np.int32(k >> np.int32(23)))
    f = as_float(np.int32((k & _MANTISSA) + _SQRT_HALF_BITS)) - _ONE
    q = fma(fma(fma(fma(fma(fma(fma(_Q7, f, _Q6), f, _Q5), f, _Q4), f, _Q3), f, _Q2), f, _Q1), f, _Q0)
    return fma(fma(f * f, q, f), _LOG2_E, e)


@within
def exp2(x):
    """2**x. Relative error < 1e-7 for x in [-126, 127.49]; outside it stays at the value of the nearer end."""
    y = least(most(x, np.float32(-126.0)), np.float32(127.49))
    t = y + _MAGIC
    n = np.int32(as_int(np.float32(t)) - _MAGIC_BITS)
    r = y - (t - _MAGIC)
    p = fma(fma(fma(fma(fma(_E5, r, _E4), r, _E3), r, _E2), r, _E1), r, _E0)
    return as_float(np.int32(as_int(np.float32(fma(p, r, _ONE))) + np.int32(n << np.int32(23))))


@within
def exp(x):
    """e**x. Relative error < 1.2e-7 for x in [-87.3, 88.3]; outside it stays at 1.2e-38 or 2.3e38."""
    y = least(most(x, np.float32(-87.336)), np.float32(88.36))
    t = fma(y, _LOG2_E, _MAGIC)
    n = np.int32(as_int(np.float32(t)) - _MAGIC_BITS)
    e = t - _MAGIC
    r = fma(e, -_LN2_LOW, fma(e, -_LN2_HIGH, y)) * _LOG2_E
    p = fma(fma(fma(fma(fma(_E5, r, _E4), r, _E3), r, _E2), r, _E1), r, _E0)
    return as_float(np.int32(as_int(np.float32(fma(p, r, _ONE))) + np.int32(n << np.int32(23))))


@within
def power(x, y):
    """x**y for a normal float32 x > 0. Relative error < 2e-7 (1 + |y log2 x|).

    That is 4e-7 for any drift factor (t/t_c)**-nu above 1/2; the result is limited as in exp2.
    """
    return exp2(y * log2(x))


@within
def sincos_quarter(x):
    """sin(pi x/2) and cos(pi x/2) for x in [-1/2, 1/2] (an eighth of a turn either way). Absolute error < 1.2e-7."""
    z = x * x
    s = fma(fma(fma(_S3, z, _S2), z, _S1), z, _S0) * x
    c = fma(fma(fma(_C2, z, _C1), z, _C0), z, _ONE)
    return s, c
