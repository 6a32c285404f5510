"""Kernels of a read whose inputs are rows of a Walsh-Hadamard matrix: finding what rows they are, and the fast transform.

The transform of N numbers, ``H x`` with H of order N, is log2(N) rounds of sums and differences of pairs instead of N**2 products
(Fino & Algazi, IEEE Trans. Comput. C-25, 1142 (1976), doi:10.1109/TC.1976.1674569). Several rounds are done while the numbers are in
vector registers, a panel of the matrix after the other, so that the numbers under way stay in the second-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from analog_sim._teamwork import shared
from analog_sim.random.kernels.math import least
from analog_sim.random.kernels.memory import address
from analog_sim.random.kernels.options import JIT_OFF, KERNEL
from analog_sim.reads.kernels.product import BYTES, LANES, VECTORS, WIDTH

MOST_WAYS = 16 if LANES == 16 else 8
"""Numbers of a column that are in registers together."""

A_WORD = 32
"""Vectors whose signs are in one word."""

_MAGNITUDE = np.int32(0x7FFFFFFF)
_NONE, _ONE, _SIGN = np.uint32(0), np.uint32(1), np.uint32(31)


@njit(**KERNEL)
def pack_signs(bits, gathered, words):
    """Whether all vectors are the first one with other signs, and where they are others.

    bits: (B, n) int32, the bits of float32 vectors. gathered: (n,) uint32 of scratch. words: (n, B / 32 rounded up) uint32, bit b of
    word w becomes whether vector 32 w + b has another sign in that line than the first one; 0 where it is 0 volts.
    """
    lines = bits.shape[1]
    for start in range(0, bits.shape[0], A_WORD):
        for i in range(lines):
            gathered[i] = _NONE
        for k in range(start, least(start + A_WORD, bits.shape[0])):
            place, other = np.uint32(k - start), np.int32(0)
            for i in range(lines):
                change = bits[k, i] ^ bits[0, i]
                other |= change & _MAGNITUDE
                gathered[i] |= (np.uint32(change) >> _SIGN) << place
            if other != 0:
                return False
        for i in range(lines):
            words[i, start // A_WORD] = gathered[i] if bits[0, i] & _MAGNITUDE != 0 else _NONE
    return True


@njit(**KERNEL)
def label_lines(words, labels, basis, pivots):
    """Labels (n,) int64 such that the words (n, W) uint32 of a line are the exclusive or of those vectors of the basis (most, W) whose bits
    its label has. By elimination; the words are used up. pivots: (most,) int64 of scratch.

    Returns:
        the number of vectors of the basis; -1 where the words take more than its room.
    """
    found, width = 0, words.shape[1]
    for i in range(words.shape[0]):
        labels[i] = 0
        for b in range(found):
            w, bit = pivots[b] // A_WORD, _ONE << np.uint32(pivots[b] % A_WORD)
            if words[i, w] & bit != _NONE:
                labels[i] |= 1 << b
                for w in range(width):
                    words[i, w] ^= basis[b, w]
        w = 0
        while w < width and words[i, w] == _NONE:
            w += 1
        if w == width:
            continue
        if found == basis.shape[0]:
            return -1
        for other in range(width):
            basis[found, other] = words[i, other]
        place = 0
        while words[i, w] >> np.uint32(place) & _ONE == _NONE:
            place += 1
        pivots[found] = w * A_WORD + place
        labels[i] |= 1 << found
        found += 1
    return found


if JIT_OFF:

    def multiply_walsh(
        first: int,
        last: int,
        team: int,
        order: int,
        volts: Any,
        labels: Any,
        panels: Any,
        patterns: Any,
        turns: Any,
        out: Any,
    ) -> None:
        """As the kernel below, by the definition."""
        shared_bits = np.bitwise_count(patterns[:, None] & labels[None, :])
        v = turns[:, None] * np.where(shared_bits & 1, -volts, volts)
        for p in range(first, last):
            strip = out[:, p * WIDTH : (p + 1) * WIDTH]
            strip[...] = v @ panels[p, :, : strip.shape[1]]

else:

    def _butterflies(ways: int) -> Any:
        """A function that transforms `ways` vectors of LANES float32 in place; int64: address of the first, bytes from one to the next."""

        @intrinsic
        def transform(typingctx: Any, first: Any, stride: Any) -> Any:  # pragma: no cover
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                vector = ir.VectorType(ir.FloatType(), LANES)
                index = ir.IntType(64)
                places = [
                    builder.inttoptr(builder.add(args[0], builder.mul(args[1], index(k))), vector.as_pointer())
                    for k in range(ways)
                ]
                held = [builder.load(place, align=BYTES) for place in places]
                step = 1
                while step < ways:
                    held = [
                        builder.fsub(held[k & ~step], held[k]) if k & step else builder.fadd(held[k], held[k | step])
                        for k in range(ways)
                    ]
                    step *= 2
                for place, value in zip(places, held, strict=True):
                    builder.store(value, place, align=BYTES)
                return context.get_dummy_value()

            return types.void(types.int64, types.int64), codegen

        return transform

    _two, _four, _most = _butterflies(2), _butterflies(4), _butterflies(MOST_WAYS)

    @njit(**KERNEL)
    def _transform(sums):
        """The Walsh-Hadamard transform of every column of sums (order, WIDTH), in place and in natural order."""
        order, row = sums.shape[0], np.int64(WIDTH * BYTES)
        start, step = address(sums), 1
        while step < order:
            ways = least(order // step, MOST_WAYS)
            if ways < MOST_WAYS:
                ways = least(ways, 4)
            stride = step * row
            for block in range(0, order, step * ways):
                for i in range(block, block + step):
                    for c in range(VECTORS):
                        place = start + i * row + np.int64(c * LANES * BYTES)
                        if ways == MOST_WAYS:
                            _most(place, stride)
                        elif ways == 4:
                            _four(place, stride)
                        else:
                            _two(place, stride)
            step *= ways

    @njit(cache=True, nogil=True)
    def multiply_walsh(first, last, team, order, volts, labels, panels, patterns, turns, out):
        """``out_kj = turn_k sum_i s_ki volts_i M_ij``, s_ki being -1 to the number of bits that pattern_k and label_i share.

        Args:
            first, last, team: the columns of panels first ... last - 1.
            order: a power of two above all labels and patterns.
            volts, labels: (n,) float32 and int64. panels: M (n, m) in the order of `kernels.product`.
            patterns, turns: (B,) int64 and float32, the turns being 1 or -1.
            out: (B, m) float32.
        """
        if team:
            shared(first, last, 1, 1, team)
            return
        sums = np.empty((order, WIDTH), np.float32)
        for p in range(first, last):
            for i in range(order):
                for j in range(WIDTH):
                    sums[i, j] = np.float32(0.0)
            for i in range(volts.shape[0]):
                target, v = labels[i], volts[i]
                for j in range(WIDTH):
                    sums[target, j] += v * panels[p, i, j]
            _transform(sums)
            start = p * WIDTH
            width = least(WIDTH, out.shape[1] - start)
            for k in range(out.shape[0]):
                found, turn = patterns[k], turns[k]
                for j in range(width):
                    out[k, start + j] = turn * sums[found, j]
