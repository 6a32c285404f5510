"""Pulses one by one where few columns fire at once: a row's lists one after the other, run in one loop. Never decides what is listed.

An entry is ``2 j + side``: one pulse up (side 0) or down (1) on cell j of the row. A loop for each of many short lists would cost more
in mispredicted ends than the pulses do; for long lists `pulse_parts` has less to do for each pulse, and copies nothing.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from analog_sim.pulses.kernels.laws import (
    A_NODE,
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
from analog_sim.random.kernels.options import CALLED, JIT_OFF, WITHIN

AT_ONCE = 8
"""Entries that are copied together; a list may be written, and read, so many places beyond its end."""

_A_SIDE = np.uint32(1)
_IDLE = np.int32(0)
_UP = np.uint64(0)
_SIDE = np.uint64(1)
_1 = np.uint64(1)


@njit(**WITHIN)
def entries_of_columns(start, columns, entries):
    """Entries of a row of positive sign for every place of `columns`: columns of positive sign go up, the others down."""
    for s in range(start.shape[0]):
        for k in range(start.shape[1]):
            for sign in range(2):
                for q in range(start[s, k, sign], start[s, k, sign + 1]):
                    entries[q] = columns[q] << _A_SIDE | np.uint32(sign)


if JIT_OFF:

    def _copy_turned(ready: Any, first: Any, turned: Any, entries: Any, to: Any) -> None:
        """`AT_ONCE` entries from place `first` of one list to place `to` of another, turned or not (np.uint32 1 or 0)."""
        entries[to : to + AT_ONCE] = ready[first : first + AT_ONCE] ^ turned

else:

    @intrinsic
    def _copy_turned(typingctx: Any, ready: Any, first: Any, turned: Any, entries: Any, to: Any) -> Any:
        """`AT_ONCE` entries from place `first` of one list to place `to` of another, turned or not (np.uint32 1 or 0).

        As one vector: the compiler, which cannot know that the lists are not the same, would copy them one by one.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = ir.IntType(32)
            vector = ir.VectorType(word, AT_ONCE)
            source, target = (
                builder.bitcast(
                    builder.gep(context.make_array(signature.args[k])(context, builder, args[k]).data, [args[k + 1]]),
                    vector.as_pointer(),
                )
                for k in (0, 3)
            )
            flips = ir.Constant(vector, ir.Undefined)
            for lane in range(AT_ONCE):
                flips = builder.insert_element(flips, args[2], ir.Constant(word, lane))
            builder.store(builder.xor(builder.load(source, align=4), flips), target, align=4)
            return context.get_dummy_value()

        return types.void(ready, first, turned, entries, to), codegen


@njit(**WITHIN)
def add_list(start, s, k, above, below, ready, entries, listed):
    """Append the columns that fire in slot k of sample s to a list of so many entries; returns its new length.

    above, below: what cells do at columns of positive and of negative sign, 1 up, -1 down, 0 nothing. ready: of `entries_of_columns`.
    """
    first = start[s, k, 0 if above != _IDLE else 1]
    m = start[s, k, 2 if below != _IDLE else 1] - first
    turned = np.uint32((above < _IDLE) | (below > _IDLE))
    done = 0
    while True:
        # A fixed number, and at least once: most lists are shorter, and an end that varied would be mispredicted. What is too
        # much is written over by the next list.
        _copy_turned(ready, np.uint64(first + done), turned, entries, np.uint64(listed + done))
        done += AT_ONCE
        if done >= m:
            break
    return listed + m


@njit(**WITHIN)
def turn_list(entries, listed):
    """Exchange up and down in a list of so many entries."""
    for q in range(listed):
        entries[q] ^= _A_SIDE


@njit(**WITHIN)
def side_and_cell(entry):
    """Side and cell of an entry."""
    pulse = np.uint64(entry)
    return pulse & _SIDE, pulse >> _1


@njit(**CALLED)
def run_list(axis, tables, scores, row, entries, number, listed, noise):
    """The first `number` pulses of a list, one after the other: ``y += gain step``, held in the window.

    tables: of both directions one after the other.
    listed: pulses that noise should be made for, these or more.
    """
    bins = noise.bins
    y, y_bits, up, down, table = row.y, row.y_bits, row.up, row.down, row.table
    size = np.uint64(tables.shape[0]) >> _1
    used = noise.at[0]
    made = noise.at[1]
    done = 0
    while done < number:
        if used == made:
            made = refill(noise, axis.noisy, axis.kind == BINS, listed - done)
            used = 0
        now = min(number - done, made - used)
        c = np.uint64(done)
        p = np.uint64(used)
        if axis.kind == LINEAR:
            for q in range(np.uint64(now)):
                side, j = side_and_cell(entries[c + q])
                v = y[j]
                step = step_of_bin(tables, side << A_NODE, bins[p + q], v)
                y[j] = held(axis, fma(up[j] if side == _UP else down[j], step, v))
        elif axis.kind == NODES:
            for q in range(np.uint64(now)):
                side, j = side_and_cell(entries[c + q])
                v = y[j]
                first = numbers_of_node(axis, side * size + np.uint64(table[j]), y_bits[j])
                step = step_of_score(tables, first, scores[np.uint64(bins[p + q])], v)
                y[j] = held(axis, fma(up[j] if side == _UP else down[j], step, v))
        elif axis.devices == 1:
            for q in range(np.uint64(now)):
                side, j = side_and_cell(entries[c + q])
                v = y[j]
                step = step_of_bin(tables, numbers_of_bins(axis, side * size, y_bits[j]), bins[p + q], v)
                y[j] = held(axis, fma(up[j] if side == _UP else down[j], step, v))
        else:
            for q in range(np.uint64(now)):
                side, j = side_and_cell(entries[c + q])
                v = y[j]
                first = numbers_of_bins(axis, side * size + np.uint64(table[j]), y_bits[j])
                step = step_of_bin(tables, first, bins[p + q], v)
                y[j] = held(axis, fma(up[j] if side == _UP else down[j], step, v))
        used += now
        done += now
    noise.at[0] = used
    noise.at[1] = made


@njit(**WITHIN)
def apart(n, lane, left, pick):
    """The cells set in pick and their pulses into the lists lane, left; returns their number, all their pulses and the most on one."""
    found = 0
    for j in range(n.shape[0]):
        lane[found] = np.uint32(j)
        left[found] = n[j]
        found += np.int64(pick[j])
    need = 0
    most = 0
    for q in range(found):
        need += abs(left[q])
        most = max(most, abs(left[q]))
    return found, need, most


@njit(**WITHIN)
def list_kth_pulses(k, found, lane, left, entries):
    """List the cells that get a pulse number k (from 0), first up, then down; returns their number."""
    m = 0
    for side in range(2):
        sign = np.int32(1 - 2 * side)
        for q in range(found):
            entries[m] = lane[q] << _A_SIDE | np.uint32(side)
            m += np.int64(sign * left[q] > np.int32(k))
    return m
