"""Gaussian noise on currents, whatever their memory order. Never decides how large it is."""

import numpy as np
import numpy.typing as npt

from analog_sim.rng import Stream

F32 = npt.NDArray[np.float32]


def add_noise(stream: Stream, current: F32, variance: F32 | None, *, std: float = 0.0) -> None:
    """Add noise in place, ``current += sqrt(variance + std**2) n``, the normals taken in memory order.

    Args:
        stream: where the normals come from.
        current: (batch, lines), amperes, contiguous in rows or in columns.
        variance: amperes squared, of a shape that broadcasts; copied unless it has the shape and memory order of `current`. None for zero.
        std: amperes.
    """
    if variance is not None:
        variance = laid_out_as(current, variance)
    if current.flags.c_contiguous:
        stream.add_normals(current, std=std, variance=variance)
    else:
        stream.add_normals(current.T, std=std, variance=None if variance is None else variance.T)


def laid_out_as(current: F32, variance: F32) -> F32:
    """The variance in the shape and memory order of the currents: itself when it is so already."""
    if (variance.shape, variance.strides) == (current.shape, current.strides):
        return variance
    full = np.empty_like(current)
    full[...] = variance
    return full
