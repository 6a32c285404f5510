"""Kernels that copy patches of images into rows, and add rows back to their pixels. One thread; nothing is rounded but the sums.

Images lie one after the other with their zeros around them, so a patch is its first pixel and a list of distances that all share.
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
        pixels: Any, distances: Any, steps: Any, size: Any, start: int, every: int, channels: int, count: int, rows: Any
    ) -> None:
        """As the kernel below, number by number."""
        at = (distances[:count] // _FLOAT) + np.arange(channels)[:, None]
        gather_rows(pixels, at.reshape(-1), steps, size, start, every, rows)

else:

    @njit(**KERNEL)
    def gather_pixels(pixels, distances, steps, size, start, every, channels, count, rows):
        """`gather_rows` of images with the channels of a pixel side by side, a transposed block of LANES channels after the other.

        distances: (LANES,) int64 bytes from the first pixel of a patch to each of its pixels; any pixel's beyond the last. channels: a
        multiple of LANES. count: pixels of a patch, from LEAST_PIXELS to LANES.
        """
        per_image = size[0] * size[1]
        spare = _scratch()
        stride, far = np.int64(count * _FLOAT), address(distances)
        for r in range(rows.shape[0]):
            number = start + r * every
            image = number // per_image
            rest = number - image * per_image
            y = rest // size[1]
            at = image * steps[0] + y * steps[1] + (rest - y * size[1]) * steps[2]
            patch, row = address(pixels) + at * _FLOAT, address(rows) + np.int64(r * rows.shape[1] * _FLOAT)
            for c in range(0, channels, LANES):
                target = row + c * stride
                last = target + (LANES - 1) * stride
                # Nothing beyond the row may be written, not even for a moment.
                interleave(patch + c * _FLOAT, far, target, stride, last if c + LANES < channels else address(spare))
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
