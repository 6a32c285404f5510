"""Kernel of a read: the product of voltages with conductances that are held in panels. Never draws noise, never rounds.

A panel is `WIDTH` neighbouring columns of the matrix, row after row, so that the columns of a block of outputs lie together in memory; the
last panel is filled up with zeros. BLAS copies its operands into such an order at every call, an array of cells that is read again and
again is held in it.

Every output is the sum of its products in the order of the rows, whatever the batch, the block and the number of threads: the same
bits on one and on many threads, and for a vector alone as for a vector of a batch. (A processor without fused multiply-add rounds the
products, so that its bits differ.)

Lines that are silent (0 V) in all vectors of a block are left out: images have empty borders, and hidden units rest. A sum that begins at
0 keeps its bits when 0 times a finite conductance is not added to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from analog_sim._teamwork import shared
from analog_sim.random.kernels.math import least, most
from analog_sim.random.kernels.memory import address, as_ints, part, room
from analog_sim.random.kernels.options import JIT_OFF, KERNEL, within
from analog_sim.reads.kernels.transpose import LANES, transpose_block

WIDE = LANES == 16
VECTORS = 2
WIDTH = VECTORS * LANES
"""Columns of a panel."""
HALF = LANES
"""Columns of a last panel up to which one vector of outputs serves."""

AT_ONCE = 4 if WIDE else 2
"""Panels that `kernels.silence` multiplies together: as many as the registers hold sums of."""

_ROWS = 8 if WIDE else 4  # vectors of voltages of a block: with two vectors of outputs each they fill the registers
_LISTED = 4  # vectors of a block whose silent lines are left out: few, so that many lines are silent in all of them
CHUNK = 256  # vectors of voltages that meet every panel while they are in the second-level cache
SILENT = 8  # one in so many lines must be silent in the first block of a chunk, or nobody looks for silent lines in the others
SPARE = LANES  # places of a list beyond the number of lines, because some are written at once
BYTES = 4
_MAGNITUDE = np.int32(0x7FFFFFFF)
# Numbers of lines of a chunk that are listed: 256 KiB of the stack, enough for all of its blocks up to 1,008 lines.
_ROOM = 2**16
_scratch_aside = room((CHUNK, WIDTH), np.float32)
_scratch_lines, _scratch_numbers = room(_ROOM, np.int32), room(CHUNK // _LISTED, np.int64)


@njit(**KERNEL)
def transpose_panels(panels, turned, first, last):
    """The transpose of a matrix (n, m), panels to panels: (m / WIDTH rounded up, n, WIDTH) to (n / WIDTH rounded up, m, WIDTH).

    first, last: only panels first ... last - 1 of the result.
    """
    rows, cols = panels.shape[1], turned.shape[1]
    stride = np.int64(WIDTH * BYTES)
    for p in range(first, last):
        start = p * WIDTH
        number = least(WIDTH, rows - start)
        for q in range(panels.shape[0]):
            width = least(WIDTH, cols - q * WIDTH)
            whole = number == WIDTH and width == WIDTH and not JIT_OFF
            if whole:
                source = address(panels) + (q * rows + start) * stride
                target = address(turned) + (p * cols + q * WIDTH) * stride
                for i in range(VECTORS):
                    for k in range(VECTORS):
                        over, down = np.int64(k * LANES * BYTES), np.int64(i * LANES * BYTES)
                        transpose_block(
                            source + i * LANES * stride + over, stride, target + k * LANES * stride + down, stride
                        )
            for k in range(0 if whole else width):
                for i in range(number):
                    turned[p, q * WIDTH + k, i] = panels[q, start + i, k]


@njit(**KERNEL)
def transpose_lines(panels, lines, turned):
    """`transpose_panels` for some rows of the matrix alone; lines: (k,) int64."""
    cols = turned.shape[1]
    for n in range(lines.shape[0]):
        i = lines[n]
        p, k = i // WIDTH, i % WIDTH
        for q in range(panels.shape[0]):
            source, first = panels[q, i], q * WIDTH
            for j in range(least(WIDTH, cols - first)):
                turned[p, first + j, k] = source[j]


if JIT_OFF:

    def multiply(first: int, last: int, team: int, v: Any, panels: Any, out: Any) -> None:
        """``out = v M`` in the columns of panels first ... last - 1, for M in panels; v: (B, n), out: (B, m), C-contiguous float32."""
        for p in range(first, last):
            strip = out[:, p * WIDTH : (p + 1) * WIDTH]
            strip[...] = v @ panels[p, :, : strip.shape[1]]

    def multiply_last(first: int, last: int, team: int, v: Any, panels: Any, out: Any) -> None:
        """`multiply` for vectors first ... last - 1 in the columns of the last panel, which are HALF or fewer."""
        multiply(len(panels) - 1, len(panels), 0, v[first:last], panels, out[first:last])

    def pack_rows(matrix: Any, rows: Any, panels: Any) -> None:
        """Make row k of the matrix (k, m) row rows[k] of the panels (m / WIDTH rounded up, n, WIDTH); float32."""
        for p in range(len(panels)):
            part = matrix[:, p * WIDTH : (p + 1) * WIDTH]
            panels[p, rows, : part.shape[1]] = part

else:

    @njit(**KERNEL)
    def pack_rows(matrix, rows, panels):
        """Make row k of the matrix (k, m) row rows[k] of the panels (m / WIDTH rounded up, n, WIDTH); float32."""
        for k in range(rows.shape[0]):
            source, i = matrix[k], rows[k]
            for p in range(panels.shape[0]):
                first = p * WIDTH
                target = panels[p, i]
                for j in range(least(WIDTH, source.shape[0] - first)):
                    target[j] = source[first + j]

    def _block_kernel(rows: int, vectors: int = VECTORS) -> Any:
        """A function that multiplies so many vectors of voltages with the first columns of one panel; it takes addresses and counts."""

        @intrinsic
        def block(
            typingctx: Any, v: Any, v_stride: Any, panel: Any, depth: Any, out: Any, out_stride: Any
        ) -> Any:  # pragma: no cover
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                emit_block(builder, rows, vectors, *args)
                return context.get_dummy_value()

            return types.void(*[types.int64] * 6), codegen

        return block

    @intrinsic
    def _listed_block(
        typingctx: Any, v: Any, v_stride: Any, panel: Any, depth: Any, out: Any, out_stride: Any, lines: Any
    ) -> Any:  # pragma: no cover
        """The same for _LISTED vectors, and the lines alone that are listed."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            emit_block(builder, _LISTED, VECTORS, *args)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), codegen

    def emit_block(
        builder: Any,
        rows: int,
        vectors: int,
        v: Any,
        v_stride: Any,
        panel: Any,
        depth: Any,
        out: Any,
        out_stride: Any,
        listed: Any = None,
        apart: Any = None,
        *,
        more: bool = False,
    ) -> None:
        """``out_rj = sum_i v_ri panel_ij``: one loop over i, all sums in registers.

        v, panel, out: addresses; strides between rows of v and out in bytes; depth: number of i, at least 1. listed: address of those
        i, int32 each, where they are not all. apart: bytes from one panel to the next, where the vectors of outputs are of several.
        more: add to what is in out.
        """
        real, index = ir.FloatType(), ir.IntType(64)
        vector = ir.VectorType(real, LANES)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{LANES}f32"
        )

        def lines(address: Any, stride: Any) -> list[Any]:
            offsets = [builder.mul(stride, index(r)) for r in range(rows)]
            return [builder.inttoptr(builder.add(address, offset), real.as_pointer()) for offset in offsets]

        def vector_at(pointer: Any, c: int) -> Any:
            return builder.bitcast(builder.gep(pointer, [index(c * LANES)]), vector.as_pointer())

        voltages, targets = lines(v, v_stride), lines(out, out_stride)
        none, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0.0] * LANES)
        begun = [
            [builder.load(vector_at(target, c), align=BYTES) if more else zeros for c in range(vectors)]
            for target in targets
        ]
        panels = [panel, *(builder.add(panel, builder.mul(apart, index(k))) for k in range(1, vectors // VECTORS))]
        before, loop, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        i = builder.phi(index)
        i.add_incoming(index(0), before)
        sums = [[builder.phi(vector) for _ in range(vectors)] for _ in range(rows)]
        place = i
        if listed is not None:
            entry = builder.gep(builder.inttoptr(listed, ir.IntType(32).as_pointer()), [i])
            place = builder.zext(builder.load(entry), index)
        at = [builder.gep(builder.inttoptr(p, real.as_pointer()), [builder.mul(place, index(WIDTH))]) for p in panels]
        g = [builder.load(vector_at(at[c // VECTORS], c % VECTORS), align=BYTES) for c in range(vectors)]
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        for source, row, start in zip(voltages, sums, begun, strict=True):
            one = builder.load(builder.gep(source, [place]), align=BYTES)
            x = builder.shuffle_vector(builder.insert_element(none, one, ir.IntType(32)(0)), none, everywhere)
            for c in range(vectors):
                row[c].add_incoming(start[c], before)
                row[c].add_incoming(builder.call(fma, [x, g[c], row[c]]), loop)
        following = builder.add(i, index(1))
        i.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
        builder.position_at_end(after)
        for target, row in zip(targets, sums, strict=True):
            for c in range(vectors):
                builder.store(row[c].incomings[1][0], vector_at(target, c), align=BYTES)

    _block8, _block4, _block1 = (_block_kernel(rows) for rows in (8, 4, 1))
    # A panel of few columns (a convolution has 16 or 32 outputs) is half zeros: one vector of outputs, and twice as many inputs at once.
    _narrow16, _narrow8, _narrow1 = (_block_kernel(rows, 1) for rows in (16, 8, 1))

    @within
    def _lines(v, v_stride, panel, depth, out, out_stride, n):
        """n vectors of voltages against one panel, in blocks as large as registers and n allow."""
        done = 0
        if _ROWS == 8:
            while n - done >= 8:
                _block8(v + done * v_stride, v_stride, panel, depth, out + done * out_stride, out_stride)
                done += 8
        while n - done >= 4:
            _block4(v + done * v_stride, v_stride, panel, depth, out + done * out_stride, out_stride)
            done += 4
        while n - done >= 1:
            _block1(v + done * v_stride, v_stride, panel, depth, out + done * out_stride, out_stride)
            done += 1

    @within
    def _narrow_lines(v, v_stride, panel, depth, out, out_stride, n):
        """The same for the first half of a panel."""
        done = 0
        if _ROWS == 8:
            while n - done >= 16:
                _narrow16(v + done * v_stride, v_stride, panel, depth, out + done * out_stride, out_stride)
                done += 16
        while n - done >= 8:
            _narrow8(v + done * v_stride, v_stride, panel, depth, out + done * out_stride, out_stride)
            done += 8
        while n - done >= 1:
            _narrow1(v + done * v_stride, v_stride, panel, depth, out + done * out_stride, out_stride)
            done += 1

    @within
    def _addresses(v, panels, out, first, p):
        """Address and stride of the voltages from vector `first` on, address of panel p and of the outputs, and their stride; bytes."""
        # Addresses and strides of one type each, or the helpers would be compiled once for each kind of number.
        depth = v.shape[1]
        stride, out_stride = np.int64(depth * BYTES), np.int64(out.shape[1] * BYTES)
        voltages = address(v) + np.int64(first) * stride
        panel = address(panels) + np.int64(p) * np.int64(depth * WIDTH * BYTES)
        target = address(out) + np.int64(first) * out_stride + np.int64(p * WIDTH * BYTES)
        return voltages, stride, panel, target, out_stride

    @within
    def _take(aside, out, first, n, p):
        """Take n outputs of panel p that were computed aside, (CHUNK, WIDTH), to where they belong."""
        for b in range(n):
            for j in range(out.shape[1] - p * WIDTH):
                out[first + b, p * WIDTH + j] = aside[b, j]

    @within
    def multiply_into(v, v_stride, panel, depth, out, out_stride, n, cols):
        """n vectors against a panel of which so many columns matter; out has room for all of them."""
        if cols <= LANES:
            _narrow_lines(v, v_stride, panel, depth, out, out_stride, n)
        else:
            _lines(v, v_stride, panel, depth, out, out_stride, n)

    def _listing(rows: int) -> Any:
        """A function that lists, of LANES lines from i on, those that are not silent in all of so many vectors."""

        @intrinsic
        def listing(typingctx: Any, v: Any, v_stride: Any, i: Any, lines: Any, number: Any) -> Any:  # pragma: no cover
            """v, lines: addresses; number: how many are listed; returns how many then. Writes LANES places."""

            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return _emit_listing(builder, rows, *args)

            return types.int64(*[types.int64] * 5), codegen

        return listing

    def _emit_listing(builder: Any, rows: int, v: Any, v_stride: Any, i: Any, lines: Any, number: Any) -> Any:
        index, whole, bit = ir.IntType(64), ir.IntType(32), ir.IntType(1)
        vector = ir.VectorType(whole, LANES)

        def everywhere(value: int) -> Any:
            return ir.Constant(vector, [value] * LANES)

        def at(address: Any, place: Any) -> Any:
            return builder.inttoptr(builder.add(address, builder.mul(place, index(BYTES))), vector.as_pointer())

        some = everywhere(0)
        for r in range(rows):
            row = builder.add(v, builder.mul(v_stride, index(r)))
            some = builder.or_(some, builder.load(at(row, i), align=BYTES))
        driven = builder.icmp_unsigned("!=", builder.and_(some, everywhere(int(_MAGNITUDE))), everywhere(0))
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), builder.trunc(i, whole), whole(0))
        first = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere(0))
        numbers = builder.add(first, ir.Constant(vector, list(range(LANES))))
        kind = ir.FunctionType(vector, [vector, vector, ir.VectorType(bit, LANES)])
        name = f"llvm.x86.avx512.mask.compress.v{LANES}i32"
        packed = builder.call(
            cgutils.get_or_insert_function(builder.module, kind, name), [numbers, everywhere(0), driven]
        )
        builder.store(packed, at(lines, number), align=BYTES)
        return builder.add(number, builder.zext(builder.ctpop(builder.bitcast(driven, ir.IntType(LANES))), index))

    _list_two, _list_four = _listing(2), _listing(4)

    @within
    def list_driven(bits, first, rows, start, stop, lines, number):
        """Add the lines start ... stop - 1 that are not silent in all of two or four vectors from `first` on to a list of so many lines.

        bits: (B, n) float32 seen as int32. lines: SPARE places more than there are lines. Returns their new number.
        """
        done = np.int64(start)
        if WIDE:
            stride, target = np.int64(bits.shape[1] * BYTES), address(lines)
            source = address(bits) + np.int64(first) * stride
            while done + LANES <= stop:
                if rows == 2:
                    number = _list_two(source, stride, done, target, number)
                else:
                    number = _list_four(source, stride, done, target, number)
                done += np.int64(LANES)
        for i in range(done, stop):
            some = np.int32(0)
            for r in range(rows):
                some |= bits[first + r, i]
            lines[number] = i  # void unless the place moves on: no branch
            number += np.int64(some & _MAGNITUDE != 0)
        return number

    @within
    def driven_lines(bits, first, lines):
        """The lines that are not silent in all of _LISTED vectors from `first` on; at least one: the loop of a block begins with it."""
        number = list_driven(bits, first, _LISTED, np.int64(0), np.int64(bits.shape[1]), lines, np.int64(0))
        return most(number, np.int64(1))

    @within
    def _look_for_silence(bits, first, n, lines, numbers):
        """`driven_lines` of whole blocks of the n vectors from `first` on, one after the other into `lines`, as many as find room there.

        Returns for how many vectors they are known: none, when there are few silent lines in the first block.
        """
        each = bits.shape[1] + SPARE
        blocks = least(n // _LISTED, _ROOM // each)
        for k in range(blocks):
            numbers[k] = driven_lines(bits, first + k * _LISTED, part(lines, k * each, (k + 1) * each))
            if k == 0 and SILENT * (bits.shape[1] - numbers[0]) < bits.shape[1]:
                return 0
        return blocks * _LISTED

    @within
    def _panel(v, panels, out, first, n, p, known, lines, numbers, spare):
        """Outputs of a chunk of n voltages, from vector `first` on, and the columns of panel p.

        known, lines, numbers: of `_look_for_silence`. spare: (CHUNK, WIDTH), for outputs of a panel that is not full.
        """
        voltages, stride, panel, target, out_stride = _addresses(v, panels, out, first, p)
        aside = out.shape[1] - p * WIDTH < WIDTH
        if aside:
            target, out_stride = address(spare), np.int64(WIDTH * BYTES)
        driven, each = address(lines), np.int64((v.shape[1] + SPARE) * BYTES)
        for k in range(known // _LISTED):
            here = np.int64(k * _LISTED)
            _listed_block(
                voltages + here * stride,
                stride,
                panel,
                numbers[k],
                target + here * out_stride,
                out_stride,
                driven + k * each,
            )
        rest = np.int64(known)
        _lines(voltages + rest * stride, stride, panel, v.shape[1], target + rest * out_stride, out_stride, n - known)
        if aside:
            _take(spare, out, first, n, p)

    @njit(**KERNEL)
    def multiply(first, last, team, v, panels, out):
        """``out = v M`` in the columns of panels first ... last - 1, for M in panels; v: (B, n), out: (B, m), C-contiguous float32."""
        if team:
            shared(first, last, 1, 1, team)
            return
        bits, aside, lines, numbers = as_ints(v), _scratch_aside(), _scratch_lines(), _scratch_numbers()
        for chunk in range(0, v.shape[0], CHUNK):
            n = least(CHUNK, v.shape[0] - chunk)
            known = _look_for_silence(bits, chunk, n, lines, numbers)
            for p in range(first, last):
                _panel(v, panels, out, chunk, n, p, known, lines, numbers, aside)

    @njit(**KERNEL)
    def multiply_last(first, last, team, v, panels, out):
        """`multiply` for vectors first ... last - 1 in the columns of the last panel, which are HALF or fewer."""
        if team:
            shared(first, last, 2 * _ROWS, 1, team)
            return
        p = panels.shape[0] - 1
        aside = _scratch_aside()
        for chunk in range(first, last, CHUNK):
            n = least(CHUNK, last - chunk)
            voltages, stride, panel, target, out_stride = _addresses(v, panels, out, chunk, p)
            whole = out.shape[1] - p * WIDTH == HALF
            if not whole:
                target, out_stride = address(aside), np.int64(WIDTH * BYTES)
            _narrow_lines(voltages, stride, panel, v.shape[1], target, out_stride, n)
            if not whole:
                _take(aside, out, chunk, n, p)
