"""How cells respond to one pulse, as tables: their form and where a state stands in them. Never a cell and never a random number.

Laws (`Axis.kind`): LINEAR, dg = m0 + m1 u + (s0 + s1 u) z, one device; NODES, mean and std on nodes of u; BINS, quantiles
of the step on nodes of u, averaged over bins of the normal score. `analog_sim.pulses.response_tables` makes the tables.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.cells.kernels.tables import load_pair
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
_A_PAIR = np.uint64(1)
_A_NODE_OF_TWO_PAIRS = np.uint64(2)


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

    tables: (2 * devices * stride,), all devices up, then all down, everything as intercept and slope in y: LINEAR, the step for each bin
        of the noise; NODES, mean and std for each node; BINS, the step for each node and bin.
    means: (2, devices * nodes * 2), the mean step, for half-selected cells.
    line: (2, 4), m0, m1, s0, s1 of a LINEAR law. scores: (bins,), the normal score of each bin.
    history: (2, 3), of `kernels.history`, or no rows.
    """

    axis: Axis
    tables: F32
    means: F32
    line: F32
    scores: F32
    history: F32


@njit(forceinline=True)
def law_of(fields):
    """The `Law` of its fields as plain tuples, as the kernels that Python calls are given it: named ones take Numba five times as long."""
    axis, tables, means, line, scores, history = fields
    return Law(Axis(*axis), tables, means, line, scores, history)


@njit(**WITHIN)
def node_below(axis, bits):
    """Index of the node below the grid coordinate of these bits (np.uint32)."""
    return np.uint64(np.uint32(bits - axis.first_bits) >> axis.shift)


@njit(**WITHIN)
def held(axis, y):
    """The state y where the window ends the step."""
    return min(max(y, axis.base), axis.base + axis.scale)


@njit(**WITHIN)
def step_of_bin(tables, first, bin_, y):
    """Step at one pulse of a law that is tabled by bins, siemens: ``intercept + slope y``.

    LINEAR laws, and one node of BINS. first: place of the node's numbers in the flat tables, np.uint64. bin_: of the noise, np.uint16.
    y: np.float32, grid units.
    """
    intercept, slope = load_pair(tables, first + (np.uint64(bin_) << _A_PAIR))
    return fma(slope, y, intercept)


@njit(**WITHIN)
def step_of_score(tables, first, score, y):
    """Step at one pulse of a law of mean and spread, siemens: ``mean(y) + std(y) score``.

    One node of NODES. first, y: as in `step_of_bin`; score: the normal score of the noise's bin.
    """
    mean, slope = load_pair(tables, first)
    std, spreading = load_pair(tables, first + np.uint64(2))
    return fma(fma(spreading, y, std), score, fma(slope, y, mean))


@njit(**WITHIN)
def numbers_of_bins(axis, device, bits):
    """Where the node below the coordinate of these bits (np.uint32) begins in the table of a device of BINS, which begins at `device`."""
    return device + (node_below(axis, bits) << A_NODE)


@njit(**WITHIN)
def numbers_of_node(axis, device, bits):
    """The same in a table of NODES."""
    return device + (node_below(axis, bits) << _A_NODE_OF_TWO_PAIRS)


@njit(cache=True, nogil=True)
def disturb(axis, means, row, times):
    """Move every cell of a row by `times` mean steps (C,) float32, positive up; no noise. What half-selected cells suffer."""
    y, y_bits, up, down, table = row.y, row.y_bits, row.up, row.down, row.table
    for j in range(table.shape[0]):
        v = y[j]
        side = _UP if times[j] > _0 else _DOWN
        device = np.uint64(table[j]) // np.uint64(axis.stride)
        t = (device * np.uint64(axis.nodes) + node_below(axis, y_bits[j])) << np.uint64(1)
        step = fma(means[side, t + np.uint64(1)], v, means[side, t])
        y[j] = held(axis, fma(abs(times[j]) * (up[j] if times[j] > _0 else down[j]), step, v))
