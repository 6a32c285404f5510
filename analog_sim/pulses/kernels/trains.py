"""From the inputs and errors of a batch to the trains of its lines: lengths, strengths, bit streams. They touch no conductance."""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.pulses.kernels.bits import draw_sample, room_for
from analog_sim.random.kernels.magnitude import largest_bits

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_CERTAIN = 4294967296.0
ROW = np.int8(1)
COL = np.int8(-1)
"""Signs of lines that carry a positive input, or a positive error: together they move the weight against the gradient."""


@njit(cache=True, nogil=True, fastmath=False, error_model="numpy")
def share_strength(x_bits, d_bits, pulses, longest, balance, adapt, length, row, col):
    """Length and strengths of every train, as `analog_sim.writing.trains.strengths` states; returns how many samples are clipped.

    Args:
        x_bits, d_bits: inputs (S, n_in) and errors (S, n_out) seen as int32.
        pulses: float64, mean pulses that a gradient of one asks for.
        longest: slots. balance, adapt: bool.
        length: (S,) int64. row, col: (S,) float32, firing probability of a line for an input or error of one.
    """
    clipped = 0
    largest = np.empty(2, np.int32)
    largest_as_floats = largest.view(np.float32)
    for s in range(length.shape[0]):
        largest[0] = largest_bits(x_bits[s])
        largest[1] = largest_bits(d_bits[s])
        x = np.float64(largest_as_floats[0])
        d = np.float64(largest_as_floats[1])
        slots = longest
        if adapt:
            slots = np.int64(min(max(np.ceil(pulses * x * d), 1.0), np.float64(longest)))
        amplitude = np.sqrt(pulses / slots)
        m = np.sqrt(d / x) if balance and x > 0.0 and d > 0.0 else 1.0
        length[s] = slots
        row[s] = amplitude * m
        col[s] = amplitude / m
        clipped += np.int64((amplitude * m * x > 1.0 + 1e-6) | (amplitude / m * d > 1.0 + 1e-6))
    return clipped


@njit(cache=True, nogil=True, fastmath=False)
def fire(sample, values, strength, positive, length, place, bits, sign):
    """Bit streams and signs of lines that carry values (S, n) float32 and fire with probability ``min(|values_si| strength_s, 1)``.

    The bits are those of `bits.draw_streams` for the thresholds floor(2**32 probability).

    Args:
        sample: number of the first sample. strength: (S,) float32.
        positive: sign of a line that carries a positive value or 0, np.int8 of -1 or +1.
        length: as there; place: key0, key1, call. bits: (S, n) uint64. sign: (S, n) int8.
    """
    key0, key1, call = place
    lines = values.shape[1]
    room = room_for(lines)
    threshold = np.empty(lines, np.uint64)
    for s in range(values.shape[0]):
        row, signs, a = values[s], sign[s], strength[s]
        for i in range(lines):
            threshold[i] = np.uint64(np.int64(np.float64(min(abs(row[i]) * a, _ONE)) * _CERTAIN))
        for i in range(lines):
            signs[i] = -positive if row[i] < _ZERO else positive
        draw_sample(threshold, length[s], sample + s, key0, key1, call, room, bits[s])


@njit(cache=True, nogil=True, fastmath=False)
def draw_trains(first, last, team, x, d, wanted, places, length, rows, cols):
    """Trains of a batch at one call: `share_strength`, then `fire` for the rows, which carry x, and for the columns, which carry d.

    Args:
        first, last, team: samples first ... last - 1, see `analog_sim._teamwork`.
        x: (S, n_in) float32. d: (S, n_out) float32. wanted: pulses, longest, balance, adapt of `share_strength`.
        places: (key0, key1, call) of `fire`, of the rows and of the columns.
        length: (S,) int64. rows, cols: bits and signs of `fire`.

    Returns:
        how many samples are clipped.
    """
    if team:
        return shared(first, last, 8, 1, team)
    pulses, longest, balance, adapt = wanted
    x_bits, d_bits = x[first:last].view(np.int32), d[first:last].view(np.int32)
    slots = length[first:last]
    row, col = np.empty(last - first, np.float32), np.empty(last - first, np.float32)
    clipped = share_strength(x_bits, d_bits, pulses, longest, balance, adapt, slots, row, col)
    fire(first, x[first:last], row, ROW, slots, places[0], rows[0][first:last], rows[1][first:last])
    fire(first, d[first:last], col, COL, slots, places[1], cols[0][first:last], cols[1][first:last])
    return clipped
