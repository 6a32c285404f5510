"""Kernels of the optimisers: one pass over a weight's accumulators. Flat float32 arrays only; never a learning rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]


# Without the numpy error model a zero denominator would be looked for in every element, and nothing vectorises.
@njit(cache=True, fastmath=False, error_model="numpy")
def adam(
    gradient: F32,
    m: F32,
    v: F32,
    step: F32,
    keep: np.float32,
    add: np.float32,
    square_keep: np.float32,
    square_add: np.float32,
    root_scale: np.float32,
    eps: np.float32,
    scale: np.float32,
) -> None:
    """``m <- keep m + add g; v <- square_keep v + square_add g**2; step = m / (root_scale sqrt(v) + eps) * scale``.

    gradient, m, v, step: (N,) float32, step may be the gradient's own array; the rest: float32 numbers.
    """
    for i in range(gradient.shape[0]):
        g = gradient[i]
        m[i] = m[i] * keep + add * g
        v[i] = v[i] * square_keep + square_add * (g * g)
        step[i] = m[i] / (np.sqrt(v[i]) * root_scale + eps) * scale
