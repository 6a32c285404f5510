"""A matrix in the memory order of the product kernel, to be multiplied with many batches. Knows no cell and draws no noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from analog_sim.reads.kernels.product import (
    AT_ONCE,
    CHUNK,
    HALF,
    SILENT,
    WIDTH,
    multiply,
    multiply_last,
    pack_rows,
    transpose_lines,
    transpose_panels,
)
from analog_sim.threads import in_parts, team_for, threads_for

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_ALIGNMENT = 64  # bytes: a vector register, a line of the cache
WORTH_A_THREAD = 1 << 20
"""Multiplications that are worth a thread, some 10 us of work."""

WORTH_LISTS = 1 << 23
"""Multiplications of a product below which looking for lines that are silent in two vectors is not worth its time."""

COPIED_BY_A_THREAD = 1 << 16
"""Numbers of a part that is only copied, likewise."""


class PackedMatrix:
    """A matrix M (n, m), float32.

    Args:
        rows: n.
        cols: m.
        filled: all columns of it are about to be written.

    Attributes:
        array: (m / WIDTH rounded up, n, WIDTH), zeros at first, and always zeros beyond column m; kernels may write the rest.
    """

    __slots__ = ("array", "cols", "rows")

    def __init__(self, rows: int, cols: int, *, filled: bool = False) -> None:
        self.rows, self.cols = rows, cols
        count = -(-cols // WIDTH)
        size, spare = count * rows * WIDTH, _ALIGNMENT // 4
        room = (np.empty if filled else np.zeros)(size + spare, np.float32)
        first = -(room.ctypes.data // 4) % spare
        self.array: F32 = room[first : first + size].reshape(count, rows, WIDTH)
        if filled and cols % WIDTH:
            self.array[-1, :, cols % WIDTH :] = 0.0

    @classmethod
    def of(cls, matrix: F32) -> PackedMatrix:
        """The matrix (n, m) itself."""
        made = cls(*matrix.shape, filled=True)
        made.put(np.arange(len(matrix)), matrix)
        return made

    def transposed(self, room: PackedMatrix | None = None) -> PackedMatrix:
        """M^T (m, n); in the place of `room`, another matrix of that shape that is no longer needed, if there is one."""
        made = PackedMatrix(self.cols, self.rows) if room is None else room
        least = max(1, -(-COPIED_BY_A_THREAD // max(1, self.cols * WIDTH)))
        in_parts(lambda first, last: transpose_panels(self.array, made.array, first, last), len(made.array), least)
        return made

    def transpose_lines(self, lines: I64, turned: PackedMatrix) -> None:
        """Bring `turned`, which was M^T, up to date in some rows of M."""
        transpose_lines(self.array, lines, turned.array)

    def put(self, rows: I64, values: F32) -> None:
        """Replace these rows by values (len(rows), m)."""
        pack_rows(values, rows, self.array)

    def matrix(self) -> F32:
        """M (n, m) in the usual order; a new array."""
        return np.ascontiguousarray(self.array.transpose(1, 0, 2).reshape(self.rows, -1)[:, : self.cols])

    def multiply(self, v: F32, out: F32 | None = None) -> F32:
        """``v M``: (B, n) -> (B, m), into `out` when given; both C-contiguous.

        The bits of a row of the result depend on that row of v alone, not on the batch or the number of threads. Raises ValueError
        for arrays of other shapes.
        """
        if out is None:
            out = np.empty((len(v), self.cols), np.float32)
        _check(v, "v", (len(v), self.rows))  # the kernel goes by addresses
        _check(out, "out", (len(v), self.cols))
        panels = self.array
        count = len(panels)
        narrow = self.cols - (count - 1) * WIDTH <= HALF
        if count > narrow:
            least = max(1, -(-WORTH_A_THREAD * count // max(1, v.size * self.cols)))
            if self._often_silent(v, threads_for(count - narrow, least)):
                self._multiply_silent(v, out, count - narrow, least)
            else:
                multiply(0, count - narrow, team_for(count - narrow, least), v, panels, out)
        if narrow:
            least = max(HALF, -(-WORTH_A_THREAD // max(1, self.rows * HALF)))
            multiply_last(0, len(v), team_for(len(v), least), v, panels, out)
        return out

    def _often_silent(self, v: F32, threads: int = 1) -> bool:
        """Whether it is worth looking for lines that are silent in pairs of vectors: where the first has some, and the product is large.

        Not where there are fewer groups of panels than threads that could take panels.
        """
        groups = self.cols // (AT_ONCE * WIDTH)
        if v.size * self.cols < WORTH_LISTS or groups < threads:
            return False
        return SILENT * int(np.count_nonzero(v[0])) <= (SILENT - 1) * v.shape[1]

    def _multiply_silent(self, v: F32, out: F32, stop: int, least: int) -> None:
        """`multiply` in the columns of panels 0 ... stop - 1 by `multiply_silent` as far as that goes; least: panels worth a thread."""
        from analog_sim.reads.kernels.silence import multiply_silent  # a kernel that few need

        panels, groups = self.array, min(stop, self.cols // WIDTH) // AT_ONCE
        end, team = groups * AT_ONCE, team_for(groups, -(-least // AT_ONCE))
        for first in range(0, len(v), CHUNK):
            part, target = v[first : first + CHUNK], out[first : first + CHUNK]
            done = int(multiply_silent(0, end, team, part, panels, target)) // end
            if done < len(part):
                multiply(0, end, team_for(end, least), part[done:], panels, target[done:])
        if end < stop:
            multiply(end, stop, team_for(stop - end, least), v, panels, out)


def _check(array: F32, name: str, shape: tuple[int, int]) -> None:
    if array.shape != shape or array.dtype != np.float32 or not array.flags.c_contiguous:
        raise ValueError(
            f"product: {name} must be C-contiguous float32 of shape {shape} (got {array.dtype} of shape {array.shape})"
        )
