"""Cells that do not move when they are pulsed. Never a slow cell: it must fall behind the others and behind its own read noise."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from devices.measurements.data.traces import Traces
from devices.window import Window

FEWEST_CELLS = 4
SHARE = 0.05
"""A stuck cell's net change per pulse is below this share of the median cell's."""


@dataclass(frozen=True)
class StuckReport:
    """Which cells are stuck, and what that says of a chip.

    Attributes:
        cells: numbers of the stuck cells, as in `Traces.cell`. levels: their mean conductances in siemens. tested: cells tested.
        low, high, elsewhere: how many are stuck in the lowest and highest tenth of the window, and between.
        interval: 95 % Wilson interval of the stuck share.
    """

    cells: tuple[int, ...]
    levels: tuple[float, ...]
    tested: int
    low: int
    high: int
    elsewhere: int
    interval: tuple[float, float]


def find_stuck(traces: Traces, window: Window) -> StuckReport:
    """Compare the net change per pulse of every cell with the median cell's, in each direction."""
    cells = np.unique(traces.cell)
    change, at, direction = traces.changes()
    of = np.searchsorted(cells, traces.cell[traces.trace_of()[at]])
    moved = np.full((len(cells), 2), np.nan)
    for j, sign in enumerate((-1, 1)):
        own = direction == sign
        pulses = np.bincount(of[own], traces.pulses[at][own], minlength=len(cells))
        net = np.abs(np.bincount(of[own], change[own], minlength=len(cells)))
        moved[pulses > 0, j] = net[pulses > 0] / pulses[pulses > 0]
    stuck: list[int] = []
    if len(cells) >= FEWEST_CELLS:
        with np.errstate(all="ignore"):
            share = moved / np.array(
                [np.nanmedian(column) if np.isfinite(column).any() else np.nan for column in moved.T]
            )
        known = np.isfinite(share)
        dead = known.any(axis=1) & np.where(known, share < SHARE, True).all(axis=1)
        stuck = [int(cell) for cell in cells[dead]]
    reads = traces.trace_of()
    levels = [float(traces.g[traces.cell[reads] == cell].mean()) for cell in stuck]
    u = window.state(np.array(levels)) if levels else np.empty(0)
    interval = stats.binomtest(len(stuck), len(cells)).proportion_ci(method="wilson") if len(cells) else None
    return StuckReport(
        tuple(stuck),
        tuple(levels),
        len(cells),
        int((u <= 0.1).sum()),
        int((u >= 0.9).sum()),
        int(((u > 0.1) & (u < 0.9)).sum()),
        (float(interval.low), float(interval.high)) if interval is not None else (0.0, 1.0),
    )
