"""Differential pairs on one array: where the cells of a pair lie, and the effective matrix of the pairs. It solves nothing."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from analog_sim.wires.topology import WiresError

F64 = npt.NDArray[np.float64]
Pair = Literal["separate", "columns", "rows"]


def arranged(plus: npt.ArrayLike, minus: npt.ArrayLike, pair: Pair) -> tuple[F64, ...]:
    """The arrays whose wires carry the pairs: one of both cells, or ("separate") the two as they are.

    Args:
        plus, minus: (rows, cols) siemens.
        pair: "columns": (rows, 2 cols), plus on even bit lines; "rows": (2 rows, cols), plus on even word lines, driven with +V, minus on
            odd ones, driven with -V.
    """
    a, b = np.asarray(plus, np.float64), np.asarray(minus, np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise WiresError(
            f"wires: pairs: got arrays of shapes {a.shape} and {b.shape}, allowed: two matrices of one shape"
        )
    if pair == "separate":
        return a, b
    axis = 1 if pair == "columns" else 0
    rows, cols = a.shape
    return (np.stack([a, b], axis + 1).reshape((rows, 2 * cols) if axis else (2 * rows, cols)),)


def parted(arrays: tuple[F64, ...], pair: Pair) -> F64:
    """The planes (2, rows, cols) of what `arranged` has placed."""
    if pair == "separate":
        return np.stack(arrays)
    [a] = arrays
    return np.stack([a[:, 0::2], a[:, 1::2]] if pair == "columns" else [a[0::2], a[1::2]])


def net(matrices: tuple[F64, ...], pair: Pair) -> F64:
    """Effective matrix (rows, cols) of the pairs, current on plus less current on minus, from those of the arrays of `arranged`.

    For transposed reads too: a bit line pair is then driven with +V and -V ("columns"), or word line currents are subtracted ("rows").
    """
    if pair == "separate":
        return matrices[0] - matrices[1]
    [g] = matrices
    return g[:, 0::2] - g[:, 1::2] if pair == "columns" else g[0::2] - g[1::2]


def net_transposed(matrices: tuple[F64, ...], pair: Pair) -> F64:
    """The same for matrices (cols, rows) of transposed reads."""
    return net(tuple(m.T for m in matrices), pair).T
