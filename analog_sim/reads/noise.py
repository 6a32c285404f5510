"""Gaussian noise on currents. Never decides how large it is."""

import numpy as np
import numpy.typing as npt

from analog_sim.random.streams import Stream

F32 = npt.NDArray[np.float32]


def add_noise(stream: Stream, current: F32, variance: F32 | None, *, std: float = 0.0) -> None:
    """Add noise in place, ``current += sqrt(variance + std**2) n``.

    Args:
        stream: where the normals come from.
        current: (batch, lines), amperes, C-contiguous.
        variance: amperes squared, of a shape that broadcasts; copied unless it has the shape of `current`. None for zero.
        std: amperes.
    """
    stream.add_normals(current, std=std, variance=None if variance is None else spread_over(current, variance))


def spread_over(current: F32, variance: F32) -> F32:
    """The variance in the shape of the currents: itself when it is so already."""
    if variance.shape == current.shape and variance.flags.c_contiguous:
        return variance
    full = np.empty_like(current)
    full[...] = variance
    return full
