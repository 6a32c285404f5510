"""Noise series: reads of one resting cell at a constant rate, cut out of a table. It never fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from devices.measurements.table.sink import UNFIT
from devices.measurements.table.table import MeasurementTable, runs
from devices.measurements.text.problems import failure

F64 = npt.NDArray[np.float64]

FEWEST = 256
"""Reads of a series from which on a spectrum is fitted."""
SAME_STATE = 0.01
"""Relative difference of the mean conductances of two groups of series up to which they are of one state."""


@dataclass(frozen=True)
class Series:
    """Reads of one resting cell at a constant rate.

    Attributes:
        g: (n,) siemens. interval: seconds between reads. sequence: number of the cell's. source, line: where the first read stands.
    """

    g: F64
    interval: float
    sequence: int
    source: Path | None = None
    line: int | None = None


def series_of(table: MeasurementTable, sources: Sequence[Path]) -> list[Series]:
    """Cut a table into series; a flagged read is replaced by the read before it (counted by its flag).

    Args:
        table: of the role noise. sources: the files by their number in the table, for messages.

    Raises MeasurementError when there are no times, or when the reads of a series are not equally spaced.
    """
    good = (table.flag & UNFIT) == 0
    g = table.conductance()
    found = []
    for part in runs(table.sequence):
        t, values, keep = table.t_s[part], g[part].copy(), good[part]
        path, first = sources[int(table.source[part.start])], int(table.line[part.start])
        if len(t) < 2 or not keep.any():
            continue
        if not np.isfinite(t).all():
            raise failure(path, "a noise series needs times, or sample_time", line=first)
        step = np.diff(t)
        interval = float(np.median(step))
        if interval <= 0 or (np.abs(step - interval) > 0.2 * interval).mean() > 0.01:
            bad = part.start + int(np.argmax(np.abs(step - interval)))
            reason = f"reads of a noise series are not equally spaced (median {interval:g} s, here {step[bad - part.start]:g} s)"
            raise failure(path, reason, line=int(table.line[bad]))
        last = np.maximum.accumulate(np.where(keep, np.arange(len(values)), -1))
        last[last < 0] = int(np.argmax(keep))
        found.append(Series(values[last], interval, int(table.sequence[part.start]), path, first))
    return found


def of_like_states(levels: Sequence[float], most: int) -> list[list[int]]:
    """Numbers of the series in ascending order of their mean conductances, siemens, cut into at most so many groups of about one size.

    Groups of one state are joined: cut apart, they would make of differences between cells a function of the state.
    """
    level = np.asarray(levels, np.float64)
    groups: list[list[int]] = []
    for part in np.array_split(np.argsort(level), most):
        own = [int(k) for k in part]
        if groups and level[own].mean() - level[groups[-1]].mean() <= SAME_STATE * abs(level[own].mean()):
            groups[-1] += own
        else:
            groups.append(own)
    return groups
