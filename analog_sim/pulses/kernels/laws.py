"""How cells respond to one pulse, as tables: their form and where a state stands in them. Never a cell and never a random number.

Laws (`Axis.kind`): LINEAR, dg = m0 + m1 u + (s0 + s1 u) z, one device; NODES, mean and std on nodes of u; BINS, quantiles
of the step on nodes of u, averaged over bins of the normal score. `analog_sim.pulses.response_tables` makes the tables.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import WITHIN

F32 = npt.NDArray[np.float32]

LINEAR = 0
NODES = 1
BINS = 2

A_NODE = np.uint64(11)
"""Places of a node in tables of BINS: 2**11, two numbers for each of the 1024 bins."""

_0 = np.float32(0.0)
_UP = np.uint64(0)
_DOWN = np.uint64(1)


class Axis(NamedTuple):
    """Kind of a law and the axis of its tables: ``y = base + scale u``.

    first_bits, shift: the node below y is ``k = (bits(y) - first_bits) >> shift``.
    nodes: entries of the axis. devices: tables. stride: numbers of one device's table.
    """

    kind: int
    noisy: bool
    base: np.float32
    scale: np.float32
    first_bits: np.uint32
    shift: np.uint32
    nodes: int
    devices: int
    stride: int


class Law(NamedTuple):
    """The response to a pulse: flat tables, `axis.stride` numbers for each device.

    tables: (2, devices * stride), up and down, everything as intercept and slope in y: LINEAR, the step for each bin of the
        noise; NODES, mean and std for each node; BINS, the step for each node and bin.
    means: (2, devices * nodes * 2), the mean step, for half-selected cells.
    line: (2, 4), m0, m1, s0, s1 of a LINEAR law. scores: (bins,), the normal score of each bin.
    """

    axis: Axis
    tables: F32
    means: F32
    line: F32
    scores: F32


@njit(**WITHIN)
def node_below(axis, bits):
    """Index of the node below the grid coordinate of these bits (np.uint32)."""
    return np.uint64(np.uint32(bits - axis.first_bits) >> axis.shift)


@njit(cache=True, nogil=True)
def disturb(axis, means, row, times):
    """Move every cell of a row by `times` mean steps (C,) float32, positive up; no noise. What half-selected cells suffer."""
    y, y_bits, up, down, table = row.y, row.y_bits, row.up, row.down, row.table
    high = axis.base + axis.scale
    for j in range(table.shape[0]):
        v = y[j]
        side = _UP if times[j] > _0 else _DOWN
        device = np.uint64(table[j]) // np.uint64(axis.stride)
        t = (device * np.uint64(axis.nodes) + node_below(axis, y_bits[j])) << np.uint64(1)
        step = fma(means[side, t + np.uint64(1)], v, means[side, t])
        y[j] = min(max(fma(abs(times[j]) * (up[j] if times[j] > _0 else down[j]), step, v), axis.base), high)
