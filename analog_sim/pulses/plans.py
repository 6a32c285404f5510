"""What pulses to send to the cells of an array: a count for every cell, or trains on its lines. Never sends them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PulseCounts:
    """Signed number of pulses for every cell; positive potentiates.

    Counts differ from cell to cell, so that word lines cannot fire together: an array sends them one row after the other, all columns at
    once, and a row takes as long as its largest count. Where lines may fire together, a `PulseTrain` is quicker.

    Attributes:
        counts: (planes, rows, cols) int16 (any integer type accepted).
        amplitude: volts between a selected word line and a selected bit line; None: the nominal one of the card.
        width: seconds of a pulse; None: the nominal one.
        rows: numbers of the rows, counted through all planes and ascending, that may have pulses, where whoever made the counts knows
            that all others have none; None where nobody does. It saves a look at all counts, and changes nothing.
        cells: likewise the numbers of the cells that have pulses, counted through planes, rows and columns and ascending.
    """

    counts: npt.NDArray[np.integer]
    amplitude: float | None = None
    width: float | None = None
    rows: npt.NDArray[np.int64] | None = None
    cells: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class PulseTrain:
    """Outer-product pulse train: a cell gets one pulse at each slot in which its row and its column both fire.

    Sample s drives row i with the bit stream ``row_bits[s, i]`` and column j with ``col_bits[s, j]`` (bit k = slot k). The
    number of pulses is ``popcount(row_bits & col_bits)``, the polarity ``row_sign * col_sign``: in plane 0 a positive product
    potentiates. Samples act in sequence.

    Attributes:
        row_bits: (S, rows) uint64; col_bits: (S, cols) uint64; length: slots per sample, 1 to 63.
        row_sign: (S, rows) int8 of -1 or +1; col_sign: (S, cols) int8.
        mode: how a pair shares the pulses: "both" pulses the plus cell with the sign and the minus cell against it,
            "one_sided" only ever potentiates: plus cell for positive products, minus cell for negative ones. Ignored for planes = 1.
        amplitude, width: as in `PulseCounts`.
    """

    row_bits: npt.NDArray[np.uint64]
    col_bits: npt.NDArray[np.uint64]
    row_sign: npt.NDArray[np.int8]
    col_sign: npt.NDArray[np.int8]
    length: int
    mode: str = "both"
    amplitude: float | None = None
    width: float | None = None
