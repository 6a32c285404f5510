"""Room for a row of cells at work: its coordinates, generators, lists and counts, made once for a call. Never a number that matters.

Made in the kernel, not handed in: so the compiler knows that no two arrays overlap.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from analog_sim.pulses.kernels.bits import MAX_LENGTH
from analog_sim.pulses.kernels.cells import Origin, Row
from analog_sim.pulses.kernels.composed.merging import MergeRoom
from analog_sim.pulses.kernels.lists import AT_ONCE
from analog_sim.pulses.kernels.noise import BUFFER, LANES, STATE, WORDS, Noise

MOST_LISTED = 1024
"""Pulses from which on a list is run."""

MOST_PARTS = 256
"""Parts that are collected before they are run."""

F32 = npt.NDArray[np.float32]

_0 = np.float32(0.0)


class Waiting(NamedTuple):
    """Pulses of a row that are not yet sent, as entries or as parts; only as much is touched as is listed.

    entries: of `kernels.lists`. parts: of `kernels.parts`.
    """

    entries: npt.NDArray[np.uint32]
    parts: npt.NDArray[np.int64]


class LeftAlone(NamedTuple):
    """Cells that a merging left alone, and their pulses, (C + 1,) each."""

    cell: npt.NDArray[np.uint32]
    pulses: npt.NDArray[np.int32]


class RowRoom(NamedTuple):
    """Everything that a row needs.

    row, origin, noise: the cells. merging: of several pulses as one step. waiting, alone: pulses one by one.
    n: signed pulses of every cell at once. total: those of the whole operation, unsigned. (C,) int32 each.
    memory: (C,), of `kernels.history`.
    """

    row: Row
    origin: Origin
    noise: Noise
    merging: MergeRoom
    waiting: Waiting
    alone: LeftAlone
    n: npt.NDArray[np.int32]
    total: npt.NDArray[np.int32]
    memory: F32


@njit(forceinline=True)
def _merge_room(cols, composed):
    """Room for merging; every cell has the first table until `compare_gains` knows better."""
    unit = np.full(cols, composed.grid_unit[0] if composed.words.size > 0 else _0, np.float32)
    return MergeRoom(
        np.zeros(cols, np.uint32),
        unit,
        np.empty((2, cols), np.float32),
        np.empty((2, cols), np.float32),
        np.zeros(cols + 2 * LANES, np.uint16),
        np.empty(cols, np.uint32),
        np.empty(cols, np.uint64),
        np.zeros(cols + 2 * LANES, np.float32),
        np.empty(cols + 1, np.uint32),
    )


@njit(forceinline=True)
def row_room(cols, length, composed):
    """Room for rows of `cols` cells and trains of `length` slots, 0 without trains; the generators are yet to be seeded."""
    y, up, down = np.empty(cols, np.float32), np.empty(cols, np.float32), np.empty(cols, np.float32)
    row = Row(y, y.view(np.uint32), up, down, np.zeros(cols, np.uint32))
    origin = Origin(np.empty(cols, np.float32), np.empty(cols, np.float32), np.empty(cols, np.float32))
    bins = np.full(BUFFER, 8, np.uint16)  # any bin will do for a law without noise
    return RowRoom(
        row,
        origin,
        Noise(np.empty(STATE, np.int32), np.empty(WORDS, np.int32), bins, np.empty(2, np.int64)),
        _merge_room(cols, composed),
        Waiting(
            np.empty(MOST_LISTED + cols * max(length, 1) + AT_ONCE, np.uint32),
            np.empty(3 * (MOST_PARTS + 2 * MAX_LENGTH), np.int64),
        ),
        LeftAlone(np.empty(cols + 1, np.uint32), np.empty(cols + 1, np.int32)),
        np.zeros(cols, np.int32),
        np.zeros(cols, np.int32),
        np.zeros(cols, np.float32),
    )
