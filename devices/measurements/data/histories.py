"""Retention measurements as one matrix: cells by nominal times. It never fits anything."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.measurements.table.sink import UNFIT
from devices.measurements.table.table import MeasurementTable, runs
from devices.measurements.text.problems import MeasurementError, ReadLog

F64 = npt.NDArray[np.float64]

SAME_TIME = 1.5
"""Reads whose times lie within this factor of each other belong to one nominal time."""
SPAN = 2.0
"""Factor that the times of one nominal time may span; where reads follow more densely, decades are cut evenly into such parts."""


@dataclass(frozen=True)
class Histories:
    """Conductance of C cells at T nominal times after programming; NaN where a cell was not read.

    Attributes:
        g: (C, T) siemens. t: (C, T) seconds, own times; NaN as g. nominal: (T,) seconds, ascending, the first may be 0.
        target: (C,) siemens the cells were programmed to; NaN when unknown.
        cell: (C,) sequence numbers.
    """

    g: F64
    t: F64
    nominal: F64
    target: F64
    cell: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.g)

    def take(self, chosen: npt.NDArray[np.int64]) -> "Histories":
        """Return some cells."""
        return Histories(self.g[chosen], self.t[chosen], self.nominal, self.target[chosen], self.cell[chosen])

    @staticmethod
    def joined(parts: "Sequence[Histories]") -> "Histories":
        """Return the cells of several parts that were read at the same nominal times."""
        return Histories(
            np.concatenate([part.g for part in parts]),
            np.concatenate([part.t for part in parts]),
            parts[0].nominal,
            np.concatenate([part.target for part in parts]),
            np.concatenate([part.cell for part in parts]),
        )

    @property
    def initial(self) -> F64:
        """(C,) siemens: the first read of every cell."""
        return self.g[:, 0]


def histories_of(table: MeasurementTable, log: ReadLog) -> Histories:
    """Sort reads into cells and nominal times; times are grouped where a gap wider than a factor of 1.5 separates them, and a
    dense series is cut into groups a factor of 2 wide. Of several reads of a cell in one group of a dense series the mean is taken, and of
    its times, but in the first group, where the first read is the state as written. Where several reads stand alone at one time, which
    may be different conditions, the first is taken.

    Cells without a first read, or with only one, hold no change: they are counted and left out.
    Raises MeasurementError when the table has no times or no cell with two of them.
    """
    good = ((table.flag & UNFIT) == 0) & np.isfinite(table.t_s)
    untimed = int((~np.isfinite(table.t_s)).sum())
    if untimed == len(table):
        raise MeasurementError(
            "the retention measurement has no times: name the column t, or give times or sample_time"
        )
    if untimed:
        log.note(f"{untimed} retention read(s) without a time are not fitted")
    t = table.t_s[good]
    nominal, group, dense = _nominal_times(t)
    if len(nominal) < 2:
        raise MeasurementError(
            "the retention measurement has a single time since programming: no change to fit; allowed: two or more"
        )
    g_all, sequence = table.conductance()[good], table.sequence[good]
    parts = list(runs(sequence))
    g, own = np.full((len(parts), len(nominal)), np.nan), np.full((len(parts), len(nominal)), np.nan)
    target = np.full(len(parts), np.nan)
    targets = table.target_S[good]
    owner = np.repeat(np.arange(len(parts)), [part.stop - part.start for part in parts])
    again = _repeated(owner, np.where(dense[group], t, nominal[group]))
    place = (owner * len(nominal) + group)[~again]
    reads = np.bincount(place, minlength=g.size).reshape(g.shape)
    some = reads > 0
    for matrix, values in ((g, g_all), (own, t)):
        total = np.bincount(place, weights=values[~again], minlength=g.size).reshape(g.shape)
        matrix[some] = total[some] / reads[some]
    _keep_first(g, own, g_all, t, owner, group)
    for c, part in enumerate(parts):
        known = targets[part][np.isfinite(targets[part])]
        target[c] = known[0] if len(known) else np.nan
    _say_what_is_joined(int(again.sum()), reads, log)
    usable = np.isfinite(g[:, 0]) & (np.isfinite(g).sum(axis=1) >= 2)
    if not usable.all():
        log.note(
            f"{int((~usable).sum())} of {len(parts)} cells have no first read or only one read: they hold no change to fit"
        )
    if not usable.any():
        raise MeasurementError("no cell of the retention measurement has a first and a later read")
    names = np.array([int(sequence[part.start]) for part in parts], np.int64)
    return Histories(g[usable], own[usable], nominal, target[usable], names[usable])


def _keep_first(
    g: F64, own: F64, read: F64, t: F64, owner: npt.NDArray[np.int64], group: npt.NDArray[np.int64]
) -> None:
    """Put the first read of every cell in the first group, in siemens and seconds, in place of the group's mean."""
    early = np.flatnonzero(group == 0)
    early = early[np.lexsort((early, t[early], owner[early]))]
    first = np.concatenate(([True], owner[early[1:]] != owner[early[:-1]])) if len(early) else np.empty(0, bool)
    at = early[first]
    g[owner[at], 0], own[owner[at], 0] = read[at], t[at]


def _repeated(owner: npt.NDArray[np.int64], t: F64) -> npt.NDArray[np.bool_]:
    """(N,) reads of a cell at a time (seconds) at which an earlier row has one."""
    order = np.lexsort((np.arange(len(t)), t, owner))
    again = np.zeros(len(t), bool)
    again[order[1:]] = (owner[order[1:]] == owner[order[:-1]]) & (t[order[1:]] == t[order[:-1]])
    return again


def _say_what_is_joined(again: int, reads: npt.NDArray[np.int64], log: ReadLog) -> None:
    """Note reads that are not fitted, or not by themselves.

    Args:
        again: reads at a time at which their cell had one. reads: (C, T) that were averaged. log: for the sentences.
    """
    if again:
        log.note(
            f"{again} retention read(s) at a time at which their cell had one already: the first is fitted. Other conditions, such as"
            " a temperature? choose one with only: {column: value}"
        )
    joined = int(reads[reads > 1].sum())
    if joined:
        log.note(
            f"{joined} retention reads follow one another more closely than the times that are fitted, a factor of {SPAN:g} apart:"
            f" the mean of up to {int(reads.max())} of a cell is one value ({int((reads > 1).sum())} of them; of the first, the first"
            " read), so the scatter of single reads is not in the retention; read them as role: noise to have it on the card"
        )


def _nominal_times(t: F64) -> tuple[F64, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Nominal times (T,) in seconds, the index of that of every read, and (T,) whether it is a part of a dense series."""
    unique = np.unique(t)
    positive = unique[unique > 0]
    starts = np.concatenate(([True], positive[1:] > SAME_TIME * positive[:-1])) if len(positive) else np.empty(0, bool)
    parts = [_even_parts(run) for run in (np.split(positive, np.flatnonzero(starts)[1:]) if len(positive) else [])]
    groups = [part for own in parts for part in own]
    zero = [0.0] if unique[0] == 0 else []
    weights = dict(zip(*np.unique(t, return_counts=True), strict=True))
    nominal = [float(np.average(part, weights=[weights[x] for x in part])) for part in groups]
    edges = [0.0 if zero else -1.0] + [float(part[-1]) for part in groups]
    index = np.searchsorted(np.array(edges[1:]), t, side="left") + len(zero)
    if zero:
        index[t == 0] = 0
    dense = [False] * len(zero) + [len(own) > 1 for own in parts for _ in own]
    return np.array(zero + nominal), index.astype(np.int64), np.array(dense)


def _even_parts(times: F64) -> list[F64]:
    """Ascending times without gaps, cut into parts of one nominal time each: even in log time, none wider than `SPAN`."""
    count = int(np.ceil(np.log(times[-1] / times[0]) / np.log(SPAN) - 1e-9))
    if count < 2:
        return [times]
    edges = np.geomspace(times[0], times[-1], count + 1)[1:-1]
    return [part for part in np.split(times, np.searchsorted(times, edges, side="right")) if len(part)]
