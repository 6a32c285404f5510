"""Changes by pulses of every kind in a measurement, the fitted one and the others. It never fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.measurements.data.pulse_kinds import ConditionRow
from devices.measurements.data.traces import four_digits
from devices.measurements.table.sink import UNFIT
from devices.measurements.table.table import Flag, MeasurementTable, Op

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

STRETCH = 25
"""Changes of a sequence that are one block: what is held out together."""


@dataclass(frozen=True)
class OtherPulses:
    """Changes between two reads that follow each other, with pulses of one kind between them, N in all.

    Attributes:
        change, middle: (N,) siemens: difference and mean of the two reads. pulses: (N,) sent; direction: (N,) +1 or -1.
        amplitude: (N,) volts, magnitude; width: (N,) seconds; to four digits, NaN when unknown.
        block: (N,) number of the stretch of a sequence.
        nominal_amplitude, nominal_width: (up, down), of the fitted kinds, NaN when unknown.
    """

    change: F64
    middle: F64
    pulses: F64
    direction: npt.NDArray[np.int8]
    amplitude: F64
    width: F64
    block: I64
    nominal_amplitude: tuple[float, float]
    nominal_width: tuple[float, float]


def other_pulses(table: MeasurementTable, kinds: Sequence[ConditionRow]) -> OtherPulses | None:
    """The changes of all kinds of pulses; None where only one kind was sent, or the fitted ones are not of both directions."""
    fitted = {row.direction: row.condition for row in kinds if row.fitted}
    if len(kinds) <= len(fitted) or not {1, -1} <= set(fitted):
        return None
    g, good = table.conductance(), (table.flag & UNFIT) == 0
    known = (table.n_pulses > 0) & ((table.flag & Flag.PULSE_UNKNOWN.value) == 0) & (table.direction != 0)
    usable = good & (table.op != Op.PULSE)
    same = np.concatenate(([False], table.sequence[1:] == table.sequence[:-1]))
    before = np.concatenate(([False], usable[:-1]))
    at = np.flatnonzero(usable & known & same & before)
    place = at - np.searchsorted(table.sequence, table.sequence[at]) if _sorted(table.sequence) else at
    block = np.unique(np.stack([table.sequence[at], place // STRETCH]), axis=1, return_inverse=True)[1]
    return OtherPulses(
        change=g[at] - g[at - 1],
        middle=(g[at] + g[at - 1]) / 2.0,
        pulses=table.n_pulses[at].astype(np.float64),
        direction=table.direction[at].astype(np.int8),
        amplitude=four_digits(np.abs(table.v_V[at])),
        width=four_digits(table.width_s[at]),
        block=block.ravel(),
        nominal_amplitude=_both(fitted[1].amplitude, fitted[-1].amplitude),
        nominal_width=_both(fitted[1].width, fitted[-1].width),
    )


def _sorted(values: npt.NDArray[np.integer]) -> bool:
    return bool((values[1:] >= values[:-1]).all())


def _both(up: float | None, down: float | None) -> tuple[float, float]:
    return (float("nan") if up is None else up, float("nan") if down is None else down)
