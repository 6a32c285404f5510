"""Inputs that are rows of a Walsh-Hadamard matrix, as the known inputs of a compensation are, found and multiplied fast. Never draws noise.

A thousand vectors on a thousand lines are a product of 1e6 multiplications for every column of the matrix; as a transform they are
``N log2(N)`` sums of each, 5e4. Nobody says so of the volts that reach an array: some lines are a part of a larger set, converters have
scaled them. So they are looked at, and what is found is exact: every vector is the first one with other signs, and the signs of line i
in vector k are ``(-1)**(number of bits that a label of the line and a pattern of the vector share)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.reads.kernels.walsh import A_WORD, label_lines, multiply_walsh, pack_signs
from analog_sim.reads.packed_matrix import PackedMatrix
from analog_sim.threads import team_for

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

WORTH_LOOKING = 2**26
"""Multiplications of a product from which on its vectors are looked at: it takes half a millisecond then, and looking about as long."""

LEAST_VECTORS = 64
"""Fewer are not looked at."""

MOST_BITS = 13
"""Of a label: a panel of sums takes a megabyte then."""

FASTER = 4
"""The sums of the transform, times this, must be fewer than the multiplications that they replace."""


@dataclass(frozen=True)
class WalshRows:
    """Vectors (B, n) that differ by the signs of a Walsh-Hadamard matrix: ``v_ki = turn_k volts_i (-1)**|pattern_k & label_i|``.

    Attributes:
        order: of the matrix, a power of two. volts: (n,), the first vector. labels: (n,), from 0 to order - 1.
        patterns: (B,), from 0 to order - 1. turns: (B,), 1 or -1.
    """

    order: int
    volts: F32
    labels: I64
    patterns: I64
    turns: F32

    @classmethod
    def of(cls, v: F32, cols: int) -> WalshRows | None:
        """What vectors (B, n) are as such rows; None where they are none, or a product with `cols` columns is no faster so.

        The first two vectors at one line tell it nearly always, and are all that other reads pay for it.
        """
        if len(v) < LEAST_VECTORS or v.size * cols < WORTH_LOOKING:
            return None
        middle = v.shape[1] // 2
        if not 0.0 < abs(v[0, middle]) == abs(v[1, middle]):
            return None
        lines = v.shape[1]
        words = np.empty((lines, -(-len(v) // A_WORD)), np.uint32)
        if not pack_signs(v.view(np.int32), np.empty(lines, np.uint32), words):
            return None
        turned = words[middle].copy()
        words[v[0] != 0.0] ^= turned
        labels, basis = np.empty(lines, np.int64), np.empty((MOST_BITS, words.shape[1]), np.uint32)
        size = label_lines(words, labels, basis, np.empty(MOST_BITS, np.int64))
        if size < 0 or FASTER * size << size > v.size:
            return None
        order, patterns = 1 << size, np.zeros(len(v), np.int64)
        for number, vector in enumerate(basis[:size]):
            patterns |= _bits(vector, len(v)) << number
        if 2 * len(np.unique(patterns)) < len(v):  # vectors of one pattern are not worth a transform
            return None
        turns = np.float32(1.0) - np.float32(2.0) * _bits(turned, len(v)).astype(np.float32)
        return cls(order, v[0].copy(), labels, patterns, turns)

    def multiply(self, matrix: PackedMatrix, out: F32 | None = None) -> F32:
        """``v M``: (B, n) -> (B, m), into `out` when given (C-contiguous); the same bits on any number of threads."""
        shape = len(self.patterns), matrix.cols
        if out is None:
            out = np.empty(shape, np.float32)
        if out.shape != shape or len(self.volts) != matrix.rows:  # the kernel does not look
            raise ValueError(
                f"product: {shape[0]} vectors of {len(self.volts)} lines do not fit {matrix.rows} lines and {out.shape}"
            )
        of_vectors = self.patterns, self.turns, out
        panels = matrix.array
        team = team_for(len(panels), 1)
        multiply_walsh(0, len(panels), team, self.order, self.volts, self.labels, panels, *of_vectors)
        return out


def _bits(words: npt.NDArray[np.uint32], number: int) -> I64:
    """So many bits of words, the lowest of the first word first."""
    return np.unpackbits(words.astype("<u4").view(np.uint8), count=number, bitorder="little").astype(np.int64)
