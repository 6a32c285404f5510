"""Pulses one by one where many columns fire at once: a loop over each list of columns, read where it is. Never decides what is listed."""

import numpy as np
from numba import njit

from analog_sim.pulses.kernels.laws import (
    BINS,
    LINEAR,
    NODES,
    held,
    numbers_of_bins,
    numbers_of_node,
    step_of_bin,
    step_of_score,
)
from analog_sim.pulses.kernels.noise import refill
from analog_sim.random.kernels.math import fma
from analog_sim.random.kernels.options import CALLED, WITHIN

_NODE_0 = np.uint64(0)


@njit(**WITHIN)
def add_parts(start, s, k, above, below, parts, number, listed):
    """Append the columns that fire in slot k of sample s, those of each sign as one part; returns the new numbers of parts and of pulses.

    above, below: what cells do at columns of positive and of negative sign, 1 up, -1 down, 0 nothing.
    """
    for side in range(2):
        what = above if side == 0 else below
        m = start[s, k, side + 1] - start[s, k, side]
        if what != np.int32(0) and m > 0:
            parts[3 * number] = start[s, k, side]
            parts[3 * number + 1] = m
            parts[3 * number + 2] = 0 if what > np.int32(0) else 1
            number += 1
            listed += m
    return number, listed


@njit(**WITHIN)
def turn_parts(parts, number):
    """Exchange up and down in so many parts."""
    for part in range(number):
        parts[3 * part + 2] ^= np.int64(1)


@njit(**WITHIN)
def columns_at_once(start):
    """Mean length of the lists of one sign, over those that are not empty."""
    lists = 0
    for s in range(start.shape[0]):
        for k in range(start.shape[1]):
            lists += np.int64(start[s, k, 1] > start[s, k, 0]) + np.int64(start[s, k, 2] > start[s, k, 1])
    return (start[-1, -1, 2] - start[0, 0, 0]) / max(lists, 1) if start.shape[0] > 0 else 0.0


@njit(**CALLED)
def run_parts(axis, tables, scores, row, columns, parts, number, listed, noise):
    """Listed pulses, one after the other: ``y += gain step``, held in the window.

    parts: `number` times first, count, side: one pulse up (side 0) or down (1) on each of the cells
        columns[first : first + count], which are distinct.
    listed: pulses that noise should be made for, those of all parts or more.
    """
    bins = noise.bins
    y, y_bits, table = row.y, row.y_bits, row.table
    size = tables.shape[0] // 2
    used = noise.at[0]
    made = noise.at[1]
    for part in range(number):
        c = np.uint64(parts[3 * part])
        count = parts[3 * part + 1]
        side = np.uint64(parts[3 * part + 2])
        gain = row.up if side == np.uint64(0) else row.down
        steps = tables[size:] if side else tables[:size]
        while count > 0:
            if used == made:
                made = refill(noise, axis.noisy, axis.kind == BINS, listed)
                used = 0
            now = min(count, made - used)
            p = np.uint64(used)
            if axis.kind == LINEAR:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    y[j] = held(axis, fma(gain[j], step_of_bin(steps, _NODE_0, bins[p + q], v), v))
            elif axis.kind == NODES:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    first = numbers_of_node(axis, np.uint64(table[j]), y_bits[j])
                    y[j] = held(axis, fma(gain[j], step_of_score(steps, first, scores[np.uint64(bins[p + q])], v), v))
            elif axis.devices == 1:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    first = numbers_of_bins(axis, _NODE_0, y_bits[j])
                    y[j] = held(axis, fma(gain[j], step_of_bin(steps, first, bins[p + q], v), v))
            else:
                for q in range(np.uint64(now)):
                    j = np.uint64(columns[c + q])
                    v = y[j]
                    first = numbers_of_bins(axis, np.uint64(table[j]), y_bits[j])
                    y[j] = held(axis, fma(gain[j], step_of_bin(steps, first, bins[p + q], v), v))
            c += np.uint64(now)
            used += now
            listed -= now
            count -= now
    noise.at[0] = used
    noise.at[1] = made
