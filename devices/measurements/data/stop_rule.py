"""Ramps that were stopped at a conductance instead of after a number of pulses: guessed from how they end. Never a replay."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.measurements.data.split import sides
from devices.measurements.data.traces import Traces

F64 = npt.NDArray[np.float64]

ALIKE = 0.05
"""Share of a ramp's height within which ramps end that were stopped at a conductance."""


@dataclass(frozen=True)
class StopRule:
    """Ramps that end at a conductance instead of after a number of pulses.

    Attributes:
        level: (R,) siemens; NaN for traces without the rule. direction: (R,) +1: ends when a read is at or above, -1: at or below.
    """

    level: F64
    direction: npt.NDArray[np.int8]


def stop_rule(traces: Traces) -> StopRule:
    """Guess the rule: ramps of one direction that hold different numbers of pulses were stopped by a conductance, not by a count.

    They then end alike, each device's to a twentieth of a ramp's height, or a step and a half, in the median; ramps cut anywhere do not.
    """
    level = np.full(len(traces), np.nan)
    side = sides(traces)
    lengths = np.diff(traces.start)
    first, last = traces.g[traces.start[:-1]], traces.g[traces.start[1:] - 1]
    for direction in (-1, 1):
        own = np.flatnonzero(side == direction)
        if len(own) < 2 or len(np.unique(lengths[own])) < 2:
            continue
        cell = traces.cell[own]
        off = np.concatenate([np.abs(last[own][cell == c] - np.median(last[own][cell == c])) for c in np.unique(cell)])
        if len(np.unique(cell)) == len(own):  # one ramp each: their ends can only be compared with one another
            off = np.abs(last[own] - np.median(last[own]))
        height = np.abs(last[own] - first[own])
        if np.median(off) <= np.median(height * np.maximum(ALIKE, 1.5 / np.maximum(lengths[own] - 1, 1))):
            level[own] = last[own]
    return StopRule(level, side)
