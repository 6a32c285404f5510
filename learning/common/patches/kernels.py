"""Kernels that copy patches of images into rows, and add rows back to their pixels. One thread; nothing is rounded but the sums.

Images lie one after the other, so a patch is its first pixel and a list of distances that all share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from analog_sim.random.kernels.memory import address, room
from analog_sim.random.kernels.options import JIT_OFF, KERNEL
from analog_sim.reads.kernels.transpose import LANES, interleave

LEAST_PIXELS = LANES // 2
"""Fewest pixels of a window for `gather_pixels`, and LANES are the most: what it writes beyond a channel is within the next one then."""

_FLOAT = 4  # bytes
_scratch = room(LANES, np.float32)
_scratch_distances = room(LANES, np.int64)


@njit(cache=True, nogil=True, fastmath=False)
def gather_rows(pixels, distances, steps, size, start, every, rows):
    """Write patch ``start + r every`` into the first numbers of row r.

    pixels: all images, flat. distances: (K,) unsigned, from the first pixel of a patch to each of its pixels. steps: pixels from one
    image, line of patches and patch to the next. size: patches (H', W') of an image. rows: (R, K or more).
    """
    per_image = size[0] * size[1]
    for r in range(rows.shape[0]):
        image, rest = divmod(start + r * every, per_image)
        y, x = divmod(rest, size[1])
        patch, row = pixels[image * steps[0] + y * steps[1] + x * steps[2] :], rows[r]
        for k in range(distances.shape[0]):
            row[k] = patch[distances[k]]


if JIT_OFF:

    def gather_pixels(
        pixels: Any,
        nothing: Any,
        distances: Any,
        reach: Any,
        steps: Any,
        frame: Any,
        start: int,
        every: int,
        count: int,
        rows: Any,
    ) -> None:
        """As the kernel below, number by number."""
        begin, per_image, per_line, per_patch, channels = steps
        across, s_y, s_x, above, left, height, width, per_frame, _, _ = frame
        for r, row in enumerate(rows):
            image, rest = divmod(start + r * every, per_frame)
            y, x = divmod(rest, across)
            at = begin + image * per_image + y * per_line + x * per_patch
            for k in range(count):
                line, column = y * s_y - above + reach[0, k], x * s_x - left + reach[1, k]
                first = at + distances[k] // _FLOAT
                there = 0 <= line < height and 0 <= column < width
                row[k : channels * count : count] = pixels[first : first + channels] if there else 0.0

else:

    @njit(**KERNEL)
    def gather_pixels(pixels, nothing, distances, reach, steps, frame, start, every, count, rows):
        """`gather_rows` of images with the channels of a pixel side by side, a transposed block of LANES channels after the other.

        What a patch has outside of its image is 0, so that images need no frame.

        nothing: a zero for every channel.
        distances: (LANES,) int64 bytes from the first pixel of a patch to each of its pixels; any pixel's beyond the last.
        reach: (2, LANES) int64, the same in lines and columns. count: pixels of a patch, from LEAST_PIXELS to LANES.
        steps: numbers from `pixels` to the first pixel of the first patch, and from one image, line of patches and patch to the next;
        channels, a multiple of LANES. frame: patches in a line; pixels (y, x) from one patch to the next; lines above and columns left of
        an image that patches reach; its height and width; its patches; lines and columns of a patch.
        """
        begin, per_image, per_line, per_patch, channels = steps
        across, s_y, s_x, above, left, height, width, per_frame, high, wide = frame
        spare, near = _scratch(), _scratch_distances()
        stride, far = np.int64(count * _FLOAT), address(distances)
        for r in range(rows.shape[0]):
            number = start + r * every
            image = number // per_frame
            rest = number - image * per_frame
            y = rest // across
            x = rest - y * across
            at = begin + image * per_image + y * per_line + x * per_patch
            patch, row = address(pixels) + at * _FLOAT, address(rows) + np.int64(r * rows.shape[1] * _FLOAT)
            top, side = y * s_y - above, x * s_x - left
            places = far
            if top < 0 or side < 0 or top + high > height or side + wide > width:
                for k in range(LANES):
                    line, column = top + reach[0, k], side + reach[1, k]
                    there = line >= 0 and line < height and column >= 0 and column < width
                    near[k] = distances[k] if there else address(nothing) - patch
                places = address(near)
            for c in range(0, channels, LANES):
                target = row + c * stride
                last = target + (LANES - 1) * stride
                # Nothing beyond the row may be written, not even for a moment.
                interleave(patch + c * _FLOAT, places, target, stride, last if c + LANES < channels else address(spare))
            for k in range(count):
                rows[r, (channels - 1) * count + k] = spare[k]


@njit(cache=True, nogil=True, fastmath=False)
def scatter_rows(rows, distances, steps, size, pixels):
    """Add every row to the pixels that `gather_rows` takes it from."""
    per_image = size[0] * size[1]
    for r in range(rows.shape[0]):
        image, rest = divmod(r, per_image)
        y, x = divmod(rest, size[1])
        patch, row = pixels[image * steps[0] + y * steps[1] + x * steps[2] :], rows[r]
        for k in range(distances.shape[0]):
            patch[distances[k]] += row[k]
