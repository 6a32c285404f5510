"""The windows of a convolution: which pixels make which row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from learning.common.patches.kernels import LANES, LEAST_PIXELS, gather_pixels, gather_rows, scatter_rows

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """Where patches lie: patch p = y W' + x of an image is ``z[c, y s_y + i d_y - above, x s_x + j d_x - left]`` at (c, i, j).

    Attributes:
        kernel: rows and columns of a window; i, j count through them.
        stride, dilation: steps (y, x) between windows, and between pixels of a window.
        above, below, left, right: lines of zeros around the image.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    above: int = 0
    below: int = 0
    left: int = 0
    right: int = 0

    def size(self, height: int, width: int) -> Pair:
        """Windows (H', W') of an image; less than one where the window does not fit."""
        padded = height + self.above + self.below, width + self.left + self.right
        spans = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        high, wide = ((n - span) // s + 1 for n, span, s in zip(padded, spans, self.stride, strict=True))
        return high, wide

    def patches(self, images: F32) -> Patches:
        """Patches of images (B, C, H, W), which may lie in memory with the channels of a pixel side by side."""
        size = self.size(*images.shape[2:])
        dense = images.flags.c_contiguous or images.transpose(0, 2, 3, 1).flags.c_contiguous
        if dense and (self._bare or _by_pixels(images, self.kernel)):
            return Patches(self, images, size, (self.above, self.left))
        return Patches(self, self._room(images), size)

    def scatter(self, rows: F32, shape: tuple[int, int, int, int]) -> F32:
        """Transpose of the gathering: rows (B H' W', C k_y k_x) added up at their pixels, images of shape (B, C, H, W)."""
        _, _, height, width = shape
        padded = np.zeros((*shape[:2], *self._padded(height, width)), np.float32)
        patches = Patches(self, padded, self.size(height, width))
        scatter_rows(rows, patches.distances, patches.steps, patches.size, patches.pixels)
        return padded[:, :, self.above : self.above + height, self.left : self.left + width]

    @property
    def _bare(self) -> bool:
        return not (self.above or self.below or self.left or self.right)

    def _padded(self, height: int, width: int) -> Pair:
        return height + self.above + self.below, width + self.left + self.right

    def _room(self, images: F32) -> F32:
        """The images with their zeros around them, in the images' memory order."""
        batch, channels, height, width = images.shape
        high, wide = self._padded(height, width)
        if images.strides[1] < images.strides[3]:  # torch's channels_last, as the outputs of a convolution here are
            room = np.empty((batch, high, wide, channels), np.float32).transpose(0, 3, 1, 2)
        else:
            room = np.empty((batch, channels, high, wide), np.float32)
        room[:, :, : self.above], room[:, :, self.above + height :] = 0.0, 0.0
        room[:, :, :, : self.left], room[:, :, :, self.left + width :] = 0.0, 0.0
        room[:, :, self.above : self.above + height, self.left : self.left + width] = images
        return room


def _by_pixels(images: F32, kernel: Pair) -> bool:
    """Whether patches of these images can be gathered by `gather_pixels`: channels side by side, in whole vectors."""
    return (
        images.strides[1] == images.itemsize
        and images.shape[1] % LANES == 0
        and LEAST_PIXELS <= kernel[0] * kernel[1] <= LANES
    )


class Patches:
    """All patches of a batch of images, counted through images, lines and columns; rows are ordered (channel, kernel row, kernel column).

    Args:
        windows: where patches lie. images: (B, C, H, W), dense. size: patches (H', W') of one.
        outside: lines above and columns left of the images that patches reach; only where they are gathered by pixels, others have their
            zeros in the images.

    Attributes:
        pixels: the images, flat in memory order.
        size: patches (H', W') of an image. length: numbers in a row.
        steps: pixels from one image, line of patches and patch to the next. distances: (length,), to each pixel of a patch from its first.
    """

    def __init__(self, windows: Windows, images: F32, size: Pair, outside: Pair = (0, 0)) -> None:
        self.pixels = images.ravel(order="K")  # a view: the images are dense
        per_image, plane, line, pixel = (step // images.itemsize for step in images.strides)
        (k_y, k_x), (d_y, d_x), (s_y, s_x) = windows.kernel, windows.dilation, windows.stride
        channel, i, j = np.arange(images.shape[1]), np.arange(k_y)[:, None], np.arange(k_x)
        at = channel[:, None, None] * plane + i * (d_y * line) + j * (d_x * pixel)
        self.distances = at.reshape(-1).astype(np.uint32)
        self.steps = per_image, s_y * line, s_x * pixel
        self.size, self.length = size, len(self.distances)
        self._number = len(images) * size[0] * size[1]
        self._far: I64 | None = None
        if _by_pixels(images, windows.kernel):
            spare = (0, LANES - k_y * k_x)
            self._far = np.pad(at[0].reshape(-1).astype(np.int64) * images.itemsize, spare, mode="edge")
            lines, columns = np.divmod(np.arange(k_y * k_x), k_x)
            self._reach = np.pad(np.stack([lines * d_y, columns * d_x]), ((0, 0), spare), mode="edge")
            begin, reached = -outside[0] * line - outside[1] * pixel, (d_y * (k_y - 1) + 1, d_x * (k_x - 1) + 1)
            self._steps, self._nothing = (begin, *self.steps, images.shape[1]), np.zeros(images.shape[1], np.float32)
            self._frame = size[1], s_y, s_x, *outside, *images.shape[2:], size[0] * size[1], *reached

    def __len__(self) -> int:
        return self._number

    def all(self) -> F32:
        """Every patch, (B H' W', length)."""
        return self.some(every=1)

    def some(self, every: int) -> F32:
        """Every so many-th patch, from the first on."""
        return self.read(0, np.empty((-(-len(self) // every), self.length), np.float32), every)

    def read(self, first: int, rows: F32, every: int = 1) -> F32:
        """Write the patches from `first` on into rows (R, length or more), whose further columns stay as they are.

        Raises:
            ValueError: patches beyond the last, or rows too short for one.
        """
        last = first + (len(rows) - 1) * every
        if first < 0 or (len(rows) and last >= len(self)) or rows.shape[1] < self.length:
            raise ValueError(
                f"patches {first} to {last + 1} into rows of {rows.shape[1]}: there are {len(self)} of {self.length}"
            )
        if self._far is None:
            gather_rows(self.pixels, self.distances, self.steps, self.size, first, every, rows)
        elif not rows.flags.c_contiguous:
            rows[:, : self.length] = self.read(first, np.empty((len(rows), self.length), np.float32), every)
        else:
            count, shape = self.length // self._steps[-1], (self._steps, self._frame)
            distances = self._nothing, self._far, self._reach
            gather_pixels(self.pixels, *distances, *shape, first, every, count, rows)
        return rows
