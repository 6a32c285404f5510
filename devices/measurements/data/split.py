"""Fit and held-out parts of a measurement: by device, by trace or by stretches of traces. Never a step in both."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from devices.measurements.data.traces import Traces

Unit = Literal["device", "trace", "stretch", "none"]

ENOUGH_DEVICES, ENOUGH_TRACES, ENOUGH_READS = 6, 6, 60
"""From how many devices, traces of a direction, or reads of a trace on a split by that unit is made."""
FEWEST_TRACES = 3
"""Traces of a direction that do, where they are too short to be cut."""
STRETCHES = 10
"""Stretches a trace is cut into when there are too few traces to hold whole ones out."""


@dataclass(frozen=True)
class Split:
    """Two disjoint parts and how they were made.

    Attributes:
        fit, held_out: traces; `held_out` is None when the data are too few to hold any out. by: the unit that was split.
        text: one sentence for the report.
    """

    fit: Traces
    held_out: Traces | None
    by: Unit
    text: str


def sides(traces: Traces) -> npt.NDArray[np.int8]:
    """(R,) direction of traces whose pulses all have one, else 0."""
    result = np.zeros(len(traces), np.int8)
    for r in range(len(traces)):
        directions = traces.direction[traces.start[r] + 1 : traces.start[r + 1]]
        if len(directions) and (directions == directions[0]).all():
            result[r] = directions[0]
    return result


def split(traces: Traces, *, by: Unit | Literal["auto"] = "auto", fraction: float = 0.3, seed: int = 0) -> Split:
    """Hold out a fraction of the devices, else of the traces of each direction, else of the stretches of every trace.

    Args:
        traces: all of them. by: the unit; auto takes the largest of which there are enough.
        fraction: held out. seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    devices = np.unique(traces.cell)
    side = sides(traces)
    smallest = min((int((side == s).sum()) for s in np.unique(side)), default=0)
    lengths = np.diff(traces.start)
    if by == "auto":
        if len(devices) >= ENOUGH_DEVICES:
            by = "device"
        elif smallest >= ENOUGH_TRACES:
            by = "trace"
        elif np.median(lengths) >= ENOUGH_READS:
            by = "stretch"
        elif smallest >= FEWEST_TRACES:
            by = "trace"
        else:
            by = "none"
    if by == "none":
        return Split(traces, None, by, "nothing is held out: too few data, so the fit is not proven")
    if by == "stretch":
        return _stretches(traces, fraction, rng)
    if by == "device":
        held = rng.permutation(devices)[: max(1, round(fraction * len(devices)))]
        chosen = np.isin(traces.cell, held)
        text = f"{len(held)} of {len(devices)} devices held out, drawn at random"
    else:
        chosen = np.zeros(len(traces), bool)
        for s in np.unique(side):
            own = np.flatnonzero(side == s)
            chosen[rng.permutation(own)[: max(1, round(fraction * len(own)))]] = True
        text = f"{int(chosen.sum())} of {len(traces)} ramps held out, drawn at random in each direction"
    if chosen.all() or not chosen.any():
        return Split(traces, None, "none", f"nothing is held out: only one {by}, so the fit is not proven")
    return Split(traces.take(np.flatnonzero(~chosen)), traces.take(np.flatnonzero(chosen)), by, text)


def _stretches(traces: Traces, fraction: float, rng: np.random.Generator) -> Split:
    """Cut every trace into stretches and hold some out; a stretch begins with the last read of the one before it."""
    fit: list[tuple[int, int, int]] = []
    held: list[tuple[int, int, int]] = []
    total = 0
    for r in range(len(traces)):
        first, last = int(traces.start[r]), int(traces.start[r + 1])
        count = min(STRETCHES, (last - first) // 6)
        if count < 2:
            fit.append((r, first, last))
            total += 1
            continue
        edges = np.linspace(first, last - 1, count + 1).astype(int)
        out = set(rng.permutation(count)[: max(1, round(fraction * count))].tolist())
        total += count
        for k in range(count):
            own, stretch = held if k in out else fit, (r, int(edges[k]), int(edges[k + 1]) + 1)
            if own is fit and k > 0 and k - 1 not in out:  # neighbours stay one: slow noise shows over long stretches
                fit[-1] = (r, fit[-1][1], stretch[2])
            else:
                own.append(stretch)
    text = f"{len(held)} of {total} stretches of the traces held out, drawn at random"
    return Split(_cut(traces, fit), _cut(traces, held), "stretch", text)


def _cut(traces: Traces, parts: list[tuple[int, int, int]]) -> Traces:
    reads = np.concatenate([np.arange(a, b) for _, a, b in parts])
    owner = np.array([r for r, _, _ in parts])
    start = np.concatenate(([0], np.cumsum([b - a for _, a, b in parts]))).astype(np.int64)
    return Traces(
        traces.g[reads],
        traces.pulses[reads],
        traces.direction[reads],
        start,
        traces.cell[owner],
        traces.sequence[owner],
        traces.amplitude[owner],
        traces.width[owner],
    )
