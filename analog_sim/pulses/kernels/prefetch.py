"""Rows of cells fetched into the cache while another row is at work. It changes no number, only the time.

The arrays of a row are too short for the processor to see by itself where they go on, and rows that nobody pulses are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from analog_sim.random.kernels.fetch import LINE, fetch
from analog_sim.random.kernels.options import JIT_OFF, WITHIN

if JIT_OFF:

    def places_of(cells: Any) -> Any:
        """Nothing: plain Python has no such instruction."""
        return np.empty((0, 2), np.int64)

    def fetch_row(places: Any, r: Any) -> None:
        """Do nothing."""

    def fetch_cell(places: Any, cell: Any) -> None:
        """Do nothing."""

    def fetch_line_of(matrix: Any, r: Any) -> None:
        """Do nothing."""

else:

    @njit(forceinline=True)
    def places_of(cells):
        """Where each array of the cells begins, the bytes of a row of it and those of a cell, (arrays, 3) int64."""
        places = np.empty((8, 3), np.int64)
        cols = cells.g.shape[1]
        places[0, :2] = np.int64(cells.g.ctypes.data), 4 * cols
        places[1, :2] = np.int64(cells.present.ctypes.data), 4 * cols * np.int64(cells.present.size > 0)
        places[2, :2] = np.int64(cells.lo.ctypes.data), 2 * cols * np.int64(cells.lo.size > 0)
        places[3, :2] = np.int64(cells.hi.ctypes.data), 2 * cols * np.int64(cells.hi.size > 0)
        places[4, :2] = np.int64(cells.gain_up.ctypes.data), 2 * cols * np.int64(cells.gain_up.size > 0)
        places[5, :2] = np.int64(cells.gain_down.ctypes.data), 2 * cols * np.int64(cells.gain_down.size > 0)
        places[6, :2] = np.int64(cells.table.ctypes.data), cols * np.int64(cells.table.size > 0)
        places[7, :2] = np.int64(cells.counter.ctypes.data), 4 * cols * np.int64(cells.counter.size > 0)
        for k in range(places.shape[0]):
            places[k, 2] = places[k, 1] // cols
        return places

    @njit(**WITHIN)
    def fetch_cell(places, cell):
        """Fetch a cell, counted through rows and columns; places: of `places_of`."""
        for k in range(places.shape[0]):
            if places[k, 2] > 0:
                fetch(places[k, 0] + cell * places[k, 2])

    @njit(**WITHIN)
    def fetch_row(places, r):
        """Fetch row r; places: of `places_of`."""
        for k in range(places.shape[0]):
            first = places[k, 0] + r * places[k, 1]
            for offset in range(0, places[k, 1], LINE):
                fetch(first + offset)

    @njit(forceinline=True)
    def fetch_line_of(matrix, r):
        """Fetch row r of a C-contiguous matrix."""
        size = np.int64(matrix.shape[1] * matrix.itemsize)
        first = np.int64(matrix.ctypes.data) + r * size
        for offset in range(0, size, LINE):
            fetch(first + offset)
