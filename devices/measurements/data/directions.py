"""Directions of pulses that no file states, from the rises and falls of the reads, or from their turns; resets between ramps.

Never a stated direction.
"""

import numpy as np
import numpy.typing as npt

from devices.measurements.data.alternation import first_of, turns_of
from devices.measurements.data.turning_points import turning_points
from devices.measurements.table.table import MeasurementTable, runs
from devices.measurements.text.problems import MeasurementError, ReadLog

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

LONGEST_JUMP, SHORTEST_RAMP = 2, 8
"""A leg of so few reads between legs of so many is a jump back to the beginning, and no pulses."""


def guess_directions(
    table: MeasurementTable,
    g: F64,
    direction: npt.NDArray[np.int8],
    good: npt.NDArray[np.bool_],
    pulsed: npt.NDArray[np.bool_],
    log: ReadLog,
) -> I64:
    """Give pulses of unknown direction that of the rise or fall they are in; return the rows at which a ramp begins anew.

    A ramp begins anew where what was reached in many pulses is gone within a read or two, time and again: a reset between ramps.

    Raises MeasurementError where a part of a sequence looks like pulses in turns: no rise or fall tells which pulse did what.

    Args:
        table: N rows. g: (N,) siemens. direction: (N,) +1, -1 or 0 for unknown; changed in place.
        good: (N,) rows without a flag. pulsed: (N,) rows with a pulse. log: for what was guessed.
    """
    if not ((direction == 0) & pulsed).any() or _in_turns(table, g, direction, good, pulsed, log):
        return np.empty(0, np.int64)
    guessed, turned, jumps = 0, 0, []
    for part in runs(table.sequence):
        unknown = (direction[part] == 0) & pulsed[part]
        if unknown.any():
            at = np.flatnonzero(good[part])
            turns, first = turning_points(g[part][at])
            turned += len(turns) > 0
            guessed += 1
            ramps = _between_jumps(turns, first)
            if ramps is not None:
                first, begin = ramps
                turns = turns[:0]
                jumps += (part.start + at[begin]).tolist()
            legs = np.searchsorted(at[turns], np.arange(len(unknown)), side="left")  # a turning point ends its leg
            direction[part][unknown] = (first * (-1) ** legs)[unknown]
    if jumps:
        log.note(
            f"{len(jumps)} jump(s) back to the beginning within {LONGEST_JUMP} reads: taken for the beginnings of new ramps, not for pulses"
        )
    both = f"; {turned} of them do both, by turns: check that each turn is one of the pulses" if turned else ""
    log.note(f"{guessed} sequence(s) state no pulse direction: taken from whether they rise or fall{both}")
    return np.array(jumps, np.int64)


def _in_turns(
    table: MeasurementTable,
    g: F64,
    direction: npt.NDArray[np.int8],
    good: npt.NDArray[np.bool_],
    pulsed: npt.NDArray[np.bool_],
    log: ReadLog,
) -> bool:
    """Whether the pulses are SET and RESET in turns; then their directions are set."""
    parts = [part for part in runs(table.sequence) if ((direction[part] == 0) & pulsed[part]).any()]
    reads = [np.where(good[part], g[part], np.nan) for part in parts]
    turns = turns_of(reads)
    if turns.partly:
        raise MeasurementError(
            "a stretch of the reads goes up and down by turns, as if pulses of both directions came in turns, and the rest does not:"
            " which pulse is which is not found; give a column of directions (columns: {direction: ...})"
        )
    if not turns.found:
        return False
    for part, values in zip(parts, reads, strict=True):
        unknown = (direction[part] == 0) & pulsed[part]
        side = first_of(values) * (-1) ** np.arange(len(values))
        direction[part][unknown] = side[unknown]
    log.note(
        f"{len(parts)} sequence(s) state no pulse direction and go up and down by turns: taken as pulses of both directions in turns"
        f" ({turns.share:.0%} of {turns.pairs} pairs agree). If they are noise about a ramp, say direction: up or down"
    )
    return True


def _between_jumps(turns: I64, first: int) -> tuple[int, I64] | None:
    """Direction of all ramps, and the reads at which they begin, when every second leg is a jump; else None."""
    legs = np.diff(turns)
    if len(legs) < 3:
        return None
    for odd in (0, 1):
        if legs[odd::2].max() <= LONGEST_JUMP and np.median(legs[1 - odd :: 2]) >= SHORTEST_RAMP:
            return first * (-1) ** odd, turns[odd::2] + 1  # the leg before the first jump is a ramp
    return None
