"""Changes of cells since their first read, in groups of the state: samples, mean and variance at every time. Never a law."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from devices.measurements.data.histories import Histories
from devices.measurements.fit.ageing.bursts import ChangeCounts, counted
from devices.window import Window

F64 = npt.NDArray[np.float64]

GROUPS = 12
CELLS_PER_GROUP = 40


@dataclass(frozen=True)
class Groups:
    """B groups of cells at T times after the first read.

    Attributes:
        g: (B,) siemens, mean first read; NaN of a group without cells. t: (B, T) seconds, geometric mean of the cells' own.
        count: (B, T) changes; mean: (B, T) siemens and var: (B, T) siemens squared, of these.
        relative: (3, B, T) count, mean and variance of the changes in units of each cell's own first read, of cells that begin above 0 S;
            log_first: (B, T) mean of the logarithm of these first reads over g. What a law states in proportion to the conductance must
            be taken so: in siemens the different first reads of a group would pass for spread.
        samples: of every group, at those times that have any: changes and first reads, (n,) siemens each.
    """

    g: F64
    t: F64
    count: F64
    mean: F64
    var: F64
    relative: F64
    log_first: F64
    samples: tuple[tuple[tuple[F64, F64], ...], ...]

    @cached_property
    def counts(self) -> tuple[tuple[ChangeCounts, ...], ...]:
        """The samples, counted on points: what the likelihood of bursts needs."""
        return tuple(tuple(counted(change, initial) for change, initial in own) for own in self.samples)

    def known(self) -> list[int]:
        """Groups with a change."""
        return np.flatnonzero(np.isfinite(self.g) & (self.count > 0).any(axis=1)).tolist()


def group_edges(histories: Histories, window: Window) -> F64:
    """Edges of groups of the state, in siemens; states are targets where known (free of read noise), else first reads."""
    state = states(histories)
    count = int(np.clip(len(state) // CELLS_PER_GROUP, 1, GROUPS))
    edges = np.unique(np.quantile(state, np.linspace(0.0, 1.0, count + 1)))
    if len(edges) < 2:
        edges = np.array([window.g_min, window.g_max])
    return np.concatenate(([-np.inf], edges[1:-1], [np.inf]))


def states(histories: Histories) -> F64:
    """(C,) siemens: what cells are sorted by."""
    return np.where(np.isfinite(histories.target), histories.target, histories.initial)


def grouped(histories: Histories, edges: F64) -> Groups:
    """Sort cells into the groups between `edges` (siemens, B + 1)."""
    change = histories.g[:, 1:] - histories.g[:, :1]
    group = np.searchsorted(edges[1:-1], states(histories), side="right")
    bins, later = len(edges) - 1, len(histories.nominal) - 1
    g = np.full(bins, np.nan)
    t, count, mean, var, log_first = (np.zeros((bins, later)) for _ in range(5))
    relative = np.zeros((3, bins, later))
    samples: list[tuple[tuple[F64, F64], ...]] = []
    for b in range(bins):
        own = group == b
        kept: list[tuple[F64, F64]] = []
        if own.any():
            g[b] = histories.initial[own].mean()
        for k in range(later):
            known = own & np.isfinite(change[:, k])
            count[b, k] = known.sum()
            if count[b, k]:
                t[b, k] = np.exp(np.log(np.maximum(histories.t[known, k + 1], 1e-30)).mean())
                mean[b, k], var[b, k] = change[known, k].mean(), change[known, k].var()
                kept.append((change[known, k], histories.initial[known]))
            first = histories.initial[known & (histories.initial > 0)]
            if len(first):
                share = change[known & (histories.initial > 0), k] / first
                relative[:, b, k] = len(share), share.mean(), share.var()
                log_first[b, k] = np.log(first / g[b]).mean()
        samples.append(tuple(kept))
    return Groups(g, t, count, mean, var, relative, log_first, tuple(samples))
