"""Rows of cells between the arrays of a crossbar and the grid coordinate that pulses act on. Never sends a pulse.

The coordinate is ``y = base + scale u`` with ``u = (g - lo)/(hi - lo)`` in the cell's own window; a cell whose y has not changed keeps
its g bit by bit.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import WITHIN

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_HALF = np.float32(0.5)
_GAIN = np.float32(1.0 / 8192.0)


class Cells(NamedTuple):
    """The arrays of `analog_sim.cells.state.CellState` as (planes * rows, cols); one that the card does not need has size 0.

    present: conductances at chip time when the card ages; otherwise g has them.
    memory: of `kernels.history`.
    nominal: (g_min, g_max, bound_lsb, 1/endurance, now).
    """

    g: F32
    present: F32
    lo: U16
    hi: U16
    gain_up: U16
    gain_down: U16
    table: npt.NDArray[np.uint8]
    fault: npt.NDArray[np.uint8]
    counter: npt.NDArray[np.uint32]
    t_written: npt.NDArray[np.float64]
    target: U16
    memory: U16
    nominal: npt.NDArray[np.float64]


FEW_CELLS = 64
"""Cells of a row that are brought together, when so few of it are pulsed, instead of all of it."""


class Row(NamedTuple):
    """A row of cells in grid coordinates, (C,) each.

    y, y_bits: coordinates, and their bits (the same memory). up, down: grid units a siemens of step, gain included.
    table: where the cell's table begins.
    """

    y: F32
    y_bits: npt.NDArray[np.uint32]
    up: F32
    down: F32
    table: npt.NDArray[np.uint32]


class Origin(NamedTuple):
    """Where the cells of a row come from, (C,) each: window in siemens, and y as it was brought here."""

    low: F32
    width: F32
    before: F32


@njit(error_model="numpy", **WITHIN)
def load_row(r, cells, axis, row, origin):
    """Bring row r into grid coordinates; the gains of faulty cells are 0."""
    g = cells.present if cells.present.size > 0 else cells.g
    lo, hi, gain_up, gain_down, nominal = cells.lo, cells.hi, cells.gain_up, cells.gain_down, cells.nominal
    y, up, down = row.y, row.up, row.down
    low, width, before = origin
    cols = g.shape[1]
    # One plain loop for each case: choices inside a loop would be compiled to gathers and scatters.
    if lo.size > 0:
        lsb = np.float32(nominal[2])
        for j in range(cols):
            bottom = np.float32(lo[r, j]) * lsb
            low[j] = bottom
            width[j] = np.float32(hi[r, j]) * lsb - bottom
    else:
        bottom = np.float32(nominal[0])
        window = np.float32(nominal[1]) - bottom
        for j in range(cols):
            low[j] = bottom
            width[j] = window
    if nominal[3] > 0.0:
        wear = np.float32(nominal[3])
        for j in range(cols):
            closed = width[j] / (_1 + wear * np.float32(cells.counter[r, j]))
            low[j] += _HALF * (width[j] - closed)
            width[j] = closed
    if gain_up.size > 0:
        for j in range(cols):
            inverse = axis.scale / width[j]
            place = axis.base + min(max((g[r, j] - low[j]) * inverse, _0), axis.scale)
            y[j] = place
            before[j] = place
            up[j] = np.float32(gain_up[r, j]) * _GAIN * inverse
            down[j] = np.float32(gain_down[r, j]) * _GAIN * inverse
    else:
        for j in range(cols):
            inverse = axis.scale / width[j]
            place = axis.base + min(max((g[r, j] - low[j]) * inverse, _0), axis.scale)
            y[j] = place
            before[j] = place
            up[j] = inverse
            down[j] = inverse
    if cells.fault.size > 0:
        for j in range(cols):
            healthy = np.float32(cells.fault[r, j] == np.uint8(0))
            up[j] *= healthy
            down[j] *= healthy
    if cells.table.size > 0:
        for j in range(cols):
            row.table[j] = np.uint32(np.int64(cells.table[r, j]) * axis.stride)


@njit(error_model="numpy", **WITHIN)
def store_row(r, cells, axis, row, origin, n):
    """Write the changed cells of row r back; n: pulses of every cell, which restart its clock and end its target when it has them."""
    g, present, count, t_written, now = cells.g, cells.present, cells.counter, cells.t_written, cells.nominal[4]
    target = cells.target
    y = row.y
    low, width, before = origin
    cols = g.shape[1]
    inverse = _1 / axis.scale
    if present.size > 0:
        for j in range(cols):
            if y[j] != before[j]:
                g[r, j] = fma((y[j] - axis.base) * inverse, width[j], low[j])
            elif n[j] != np.int32(0):
                g[r, j] = present[r, j]
    else:
        for j in range(cols):
            g[r, j] = fma((y[j] - axis.base) * inverse, width[j], low[j]) if y[j] != before[j] else g[r, j]
    if t_written.size > 0:
        for j in range(cols):
            if (n[j] != np.int32(0)) | (y[j] != before[j]):
                t_written[r, j] = now
    if target.size > 0:
        for j in range(cols):
            if (n[j] != np.int32(0)) | (y[j] != before[j]):
                target[r, j] = np.uint16(0)
    if count.size > 0:
        for j in range(cols):
            count[r, j] += np.uint32(n[j])


@njit(forceinline=True)
def few_cells(cells):
    """Room for `FEW_CELLS` cells out of these, as a row of their own."""
    return Cells(
        np.zeros((1, FEW_CELLS), np.float32),
        np.zeros((1, FEW_CELLS if cells.present.size > 0 else 0), np.float32),
        np.zeros((1, FEW_CELLS if cells.lo.size > 0 else 0), np.uint16),
        np.ones(
            (1, FEW_CELLS if cells.hi.size > 0 else 0), np.uint16
        ),  # a window in the places that hold no cell: none is divided by
        np.zeros((1, FEW_CELLS if cells.gain_up.size > 0 else 0), np.uint16),
        np.zeros((1, FEW_CELLS if cells.gain_down.size > 0 else 0), np.uint16),
        np.zeros((1, FEW_CELLS if cells.table.size > 0 else 0), np.uint8),
        np.zeros((1, FEW_CELLS if cells.fault.size > 0 else 0), np.uint8),
        np.zeros((1, FEW_CELLS if cells.counter.size > 0 else 0), np.uint32),
        np.zeros((1, FEW_CELLS if cells.t_written.size > 0 else 0), np.float64),
        np.zeros((1, FEW_CELLS if cells.target.size > 0 else 0), np.uint16),
        np.zeros((1, 0), np.uint16),  # cells with a memory are never brought together
        cells.nominal,
    )


@njit(**WITHIN)
def _bring(source, r, lane, found, target):
    for q in range(found if source.size > 0 else 0):
        target[0, q] = source[r, lane[q]]


@njit(**WITHIN)
def _put_back(source, r, lane, found, target):
    for q in range(found if source.size > 0 else 0):
        target[r, lane[q]] = source[0, q]


@njit(**WITHIN)
def bring_few(cells, r, lane, found, few):
    """Copy the first `found` cells that lane (of column numbers) names out of row r."""
    _bring(cells.g, r, lane, found, few.g)
    _bring(cells.present, r, lane, found, few.present)
    _bring(cells.lo, r, lane, found, few.lo)
    _bring(cells.hi, r, lane, found, few.hi)
    _bring(cells.gain_up, r, lane, found, few.gain_up)
    _bring(cells.gain_down, r, lane, found, few.gain_down)
    _bring(cells.table, r, lane, found, few.table)
    _bring(cells.fault, r, lane, found, few.fault)
    _bring(cells.counter, r, lane, found, few.counter)
    _bring(cells.t_written, r, lane, found, few.t_written)
    _bring(cells.target, r, lane, found, few.target)


@njit(**WITHIN)
def put_few_back(few, r, lane, found, cells):
    """Copy what pulses change of them back to where `bring_few` found them."""
    _put_back(few.g, r, lane, found, cells.g)
    _put_back(few.counter, r, lane, found, cells.counter)
    _put_back(few.t_written, r, lane, found, cells.t_written)
    _put_back(few.target, r, lane, found, cells.target)
