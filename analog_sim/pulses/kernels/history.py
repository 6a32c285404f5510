"""Pulses one by one on cells that remember the direction of the last ones: a list in one loop. Never decides what is listed.

A cell's memory q is 1 after many pulses up and 0 after many down. With e = 1 - q for a pulse up and e = q for one down (1 for the first
after a complete reversal, 0 in a long run), s the step that the law draws and m its mean,

    step = s + e (a m + b (s - m)),    then e <- kept e

so that the mean is 1 + a e and the noise 1 + b e times as large.
"""

import numpy as np
from numba import njit

from analog_sim.cells.state import MEMORY_UNIT
from analog_sim.pulses.kernels.laws import (
    A_NODE,
    BINS,
    LINEAR,
    NODES,
    held,
    node_below,
    numbers_of_bins,
    numbers_of_node,
    step_of_bin,
    step_of_score,
)
from analog_sim.pulses.kernels.lists import side_and_cell
from analog_sim.pulses.kernels.noise import refill
from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import CALLED, WITHIN

_0 = np.float32(0.0)
_1 = np.float32(1.0)
_UP = np.uint64(0)
_1_PLACE = np.uint64(1)
_UNIT = np.float32(1.0 / MEMORY_UNIT)  # q = code / MEMORY_UNIT
_CODES = np.float32(MEMORY_UNIT)
_HALF = np.float32(0.5)


@njit(**WITHIN)
def load_memory(r, codes, memory):
    """Memory of the cells of row r; codes: (rows, C), or size 0 where cells have none."""
    for j in range(memory.shape[0] if codes.size > 0 else 0):
        memory[j] = np.float32(codes[r, j]) * _UNIT


@njit(**WITHIN)
def store_memory(r, codes, memory):
    """Write the memory of row r back."""
    for j in range(memory.shape[0] if codes.size > 0 else 0):
        codes[r, j] = np.uint16(np.int32(fma(memory[j], _CODES, _HALF)))


@njit(**WITHIN)
def _mean(law, row, side, j, y):
    """Mean step of a cell, siemens."""
    axis = law.axis
    device = np.uint64(row.table[j]) // np.uint64(axis.stride)
    t = (device * np.uint64(axis.nodes) + node_below(axis, row.y_bits[j])) << _1_PLACE
    return fma(law.means[side, t + _1_PLACE], y, law.means[side, t])


@njit(**WITHIN)
def _move(law, row, memory, side, j, step):
    """One pulse on a cell whose law has drawn this step."""
    terms, v = law.history, row.y[j]
    e = _1 - memory[j] if side == _UP else memory[j]
    mean = _mean(law, row, side, j, v)
    step = fma(e, fma(terms[side, 1], step - mean, terms[side, 0] * mean), step)
    row.y[j] = held(law.axis, fma(row.up[j] if side == _UP else row.down[j], step, v))
    e *= terms[side, 2]
    memory[j] = _1 - e if side == _UP else e


@njit(**CALLED)
def run_list_with_history(law, row, memory, entries, number, listed, noise):
    """The first `number` pulses of a list, one after the other; arguments as in `lists.run_list`. memory: (C,), changed in place."""
    axis, tables, bins = law.axis, law.tables, noise.bins
    size = np.uint64(tables.shape[0]) >> _1_PLACE
    used, made, done = noise.at[0], noise.at[1], 0
    while done < number:
        if used == made:
            made = refill(noise, axis.noisy, axis.kind == BINS, listed - done)
            used = 0
        now = min(number - done, made - used)
        c, p = np.uint64(done), np.uint64(used)
        if axis.kind == LINEAR:
            for q in range(np.uint64(now)):
                side, j = side_and_cell(entries[c + q])
                _move(law, row, memory, side, j, step_of_bin(tables, side << A_NODE, bins[p + q], row.y[j]))
        elif axis.kind == NODES:
            for q in range(np.uint64(now)):
                side, j = side_and_cell(entries[c + q])
                first = numbers_of_node(axis, side * size + np.uint64(row.table[j]), row.y_bits[j])
                score = law.scores[np.uint64(bins[p + q])]
                _move(law, row, memory, side, j, step_of_score(tables, first, score, row.y[j]))
        else:
            for q in range(np.uint64(now)):
                side, j = side_and_cell(entries[c + q])
                first = numbers_of_bins(axis, side * size + np.uint64(row.table[j]), row.y_bits[j])
                _move(law, row, memory, side, j, step_of_bin(tables, first, bins[p + q], row.y[j]))
        used += now
        done += now
    noise.at[0] = used
    noise.at[1] = made
