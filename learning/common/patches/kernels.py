"""Kernels that copy patches of images into rows, and add rows back to their pixels. One thread; nothing is rounded but the sums.

Images lie one after the other with their zeros around them, so a patch is its first pixel and a list of distances that all share.
"""

from __future__ import annotations

from numba import njit


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
