"""Kernel of a noisy conversion: noise and ADC of a few lines at a time, while they are in the first-level cache. It
never decides how large the noise is. The normals are those of one draw over the whole array, so the bits are those of drawing first and
converting then.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from analog_sim._teamwork import shared
from analog_sim.random.kernels.math import least
from analog_sim.random.kernels.memory import flat, part, room, rows
from analog_sim.random.kernels.options import KERNEL, within
from analog_sim.random.kernels.philox import CHUNK, add_normals, add_scaled_normals
from analog_sim.reads.kernels.converting import adc_rows

_GROUP = 4 * CHUNK  # with as many variances: 32 KiB
_IN_CHUNK = np.uint64(CHUNK - 1)
_scratch = room(_GROUP, np.float32)
_NONE = np.int64(0)  # a plain 0 would have functions compiled for this very number


@within
def _group_end(done, size, offset):
    """Where the group of elements from `done` on ends: with a chunk of the stream, for a chunk that is cut is drawn twice."""
    return least(size, done + _GROUP - np.int64((offset + np.uint64(done)) & _IN_CHUNK))


@within
def _spread_lines(of_line, width, done, stop, each):
    """The value of its line for each of the elements done ... stop - 1, in lines of `width`."""
    at = done
    while at < stop:
        line = at // width
        end = least(stop, (line + 1) * width)
        for i in range(at - done, end - done):
            each[i] = of_line[line]
        at = end


@njit(**KERNEL)
def noisy_adc(first, last, team, current, variance, draws, law):
    """``current += sqrt(variance + std**2) n``, then `adc_rows`, in lines first ... last - 1; in place.

    current: (B, n); variance: (B, n), or (B, 1), the same for all of a line; n of element i in memory: normal offset + i.
    draws: std, key0, key1, offset. law: of `adc_rows`.
    """
    if team:
        shared(first, last, 1, 1, team)
        return
    std, key0, key1, start = draws
    codes_per_ampere, lsb, steps, scales = law
    width = current.shape[1]
    offset = start + np.uint64(first * width)
    row_scale, lines = part(scales, first, last), rows(current, first, last)
    whole, spread = flat(lines), flat(rows(variance, first, last))
    even = variance.shape[1] != width
    own = _scratch()
    done, line = _NONE, _NONE
    while done < whole.shape[0]:
        stop = _group_end(done, whole.shape[0], offset)
        if even:
            _spread_lines(spread, width, done, stop, own)
        each = part(own, 0, stop - done) if even else part(spread, done, stop)
        add_scaled_normals(part(whole, done, stop), each, std * std, key0, key1, offset + np.uint64(done))
        done = stop
        end = done // width
        adc_rows(rows(lines, line, end), codes_per_ampere, lsb, steps, part(row_scale, line, end))
        line = end


@njit(**KERNEL)
def evenly_noisy_adc(first, last, team, current, draws, law):
    """``current += std n``, then `adc_rows`; otherwise as `noisy_adc`, and apart from it because few chips need both compiled."""
    if team:
        shared(first, last, 1, 1, team)
        return
    std, key0, key1, start = draws
    codes_per_ampere, lsb, steps, scales = law
    width = current.shape[1]
    offset = start + np.uint64(first * width)
    row_scale, lines = part(scales, first, last), rows(current, first, last)
    whole = flat(lines)
    done, line = _NONE, _NONE
    while done < whole.shape[0]:
        stop = _group_end(done, whole.shape[0], offset)
        add_normals(part(whole, done, stop), std, key0, key1, offset + np.uint64(done))
        done = stop
        end = done // width
        adc_rows(rows(lines, line, end), codes_per_ampere, lsb, steps, part(row_scale, line, end))
        line = end
