"""Folds of a measurement, each held out once: by device, by trace or by stretches of traces. Never a step in both parts."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from devices.measurements.data.traces import Traces

Unit = Literal["device", "trace", "stretch", "none"]

ENOUGH_DEVICES, ENOUGH_TRACES, ENOUGH_READS = 6, 6, 60
"""From how many devices, traces of a direction, or reads of a trace on a split by that unit is made."""
FEWEST_TRACES = 3
"""Traces of a direction that do, where they are too short to be cut."""
MOST_FOLDS = 10
STRETCHES = 10
"""Stretches a trace is cut into when there are too few traces to hold whole ones out."""


@dataclass(frozen=True)
class Split:
    """Two disjoint parts and how they were made.

    Attributes:
        fit, held_out: traces; `held_out` is None when the data are too few to hold any out. by: the unit that was split.
        text: one sentence for the report. place: (R,) where the held-out traces begin in the whole, to put folds back in order.
    """

    fit: Traces
    held_out: Traces | None
    by: Unit
    text: str
    place: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


def sides(traces: Traces) -> npt.NDArray[np.int8]:
    """(R,) direction of traces whose pulses all have one, else 0."""
    result = np.zeros(len(traces), np.int8)
    for r in range(len(traces)):
        directions = traces.direction[traces.start[r] + 1 : traces.start[r + 1]]
        if len(directions) and (directions == directions[0]).all():
            result[r] = directions[0]
    return result


def folds(
    traces: Traces, *, by: Unit | Literal["auto"] = "auto", fraction: float = 0.3, seed: int = 0
) -> tuple[Split, ...]:
    """Cut the data into about ``1 / fraction`` folds and hold each of them out in turn, so that everything is held out once.

    A fold holds some of the devices, else of the traces of each direction, else of the stretches of every trace.

    Args:
        traces: all of them. by: the unit; auto takes the largest of which there are enough.
        fraction: held out at a time. seed: of the draw.

    Returns:
        The folds; one without a held-out part when the data are too few.
    """
    rng = np.random.default_rng(seed)
    side = sides(traces)
    unit = _unit(traces, side) if by == "auto" else by
    count = int(np.clip(round(1.0 / fraction), 2, MOST_FOLDS))
    if unit == "none":
        return (Split(traces, None, unit, "nothing is held out: too few data, so the fit is not proven"),)
    if unit == "stretch":
        return _stretches(traces, count, rng)
    if unit == "device":
        devices = rng.permutation(np.unique(traces.cell))
        count = min(count, len(devices))
        fold = np.empty(int(traces.cell.max()) + 1, np.int64)
        fold[devices] = count - 1 - np.arange(len(devices)) % count  # the first fold holds no more than the others
        fold, total, word = fold[traces.cell], len(devices), "devices"
    else:
        fold = np.empty(len(traces), np.int64)
        for s in np.unique(side):
            own = rng.permutation(np.flatnonzero(side == s))
            fold[own] = count - 1 - np.arange(len(own)) % count
        count, total, word = int(fold.max()) + 1, len(traces), "ramps"
    if count < 2:
        return (Split(traces, None, "none", f"nothing is held out: only one {unit}, so the fit is not proven"),)
    text = f"{total} {word} in {count} folds, drawn at random, each held out in turn"
    held = [np.flatnonzero(fold == k) for k in range(count)]
    return tuple(
        Split(
            traces.take(np.setdiff1d(np.arange(len(traces)), own)), traces.take(own), unit, text, _places(traces, own)
        )
        for own in held
    )


def folds_of(count: int, fraction: float, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], ...]:
    """Numbers 0 to count - 1 in about ``1 / fraction`` random folds, each ascending; of independent cells."""
    order = rng.permutation(count)
    number = int(np.clip(round(1.0 / fraction), 2, MOST_FOLDS))
    return tuple(np.sort(order[k::number]) for k in range(number))


def split(traces: Traces, *, by: Unit | Literal["auto"] = "auto", fraction: float = 0.3, seed: int = 0) -> Split:
    """Return the first of the folds; arguments as theirs."""
    return folds(traces, by=by, fraction=fraction, seed=seed)[0]


def _unit(traces: Traces, side: npt.NDArray[np.int8]) -> Unit:
    """The largest unit of which there are enough."""
    smallest = min((int((side == s).sum()) for s in np.unique(side)), default=0)
    if len(np.unique(traces.cell)) >= ENOUGH_DEVICES:
        return "device"
    if smallest >= ENOUGH_TRACES:
        return "trace"
    if np.median(np.diff(traces.start)) >= ENOUGH_READS:
        return "stretch"
    return "trace" if smallest >= FEWEST_TRACES else "none"


def _places(traces: Traces, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(R,) first reads of some traces: where they stand in the whole."""
    return np.asarray(traces.start[chosen], np.int64)


def _stretches(traces: Traces, count: int, rng: np.random.Generator) -> tuple[Split, ...]:
    """Cut every trace into stretches and hold some out in turn; a stretch begins with the last read of the one before it."""
    edges, fold = [], []
    for r in range(len(traces)):
        first, last = int(traces.start[r]), int(traces.start[r + 1])
        pieces = min(STRETCHES, (last - first) // 6)
        edges.append(np.linspace(first, last - 1, max(pieces, 1) + 1).astype(int))
        fold.append(rng.permutation(pieces) % count if pieces >= 2 else np.full(1, -1))  # -1: always fitted
    total = sum(len(own) for own in fold)
    if not any((own >= 0).any() for own in fold):
        return (Split(traces, None, "none", "nothing is held out: too few data, so the fit is not proven"),)
    text = f"{total} stretches of the traces in {count} folds, drawn at random, each held out in turn"
    parts = (_fold_of_stretches(traces, edges, fold, k, text) for k in range(count))
    return tuple(part for part in parts if part is not None)


def _fold_of_stretches(
    traces: Traces, edges: list[npt.NDArray[np.int64]], fold: list[npt.NDArray[np.int64]], number: int, text: str
) -> Split | None:
    """One fold; None when it would leave one of its parts empty."""
    fit: list[tuple[int, int, int]] = []
    held: list[tuple[int, int, int]] = []
    for r, (edge, own) in enumerate(zip(edges, fold, strict=True)):
        for k, of in enumerate(own):
            stretch = (r, int(edge[k]), int(edge[k + 1]) + 1)
            if of == number:
                held.append(stretch)
            elif k > 0 and own[k - 1] != number:  # neighbours stay one: slow noise shows over long stretches
                fit[-1] = (r, fit[-1][1], stretch[2])
            else:
                fit.append(stretch)
    if not fit or not held:
        return None
    return Split(_cut(traces, fit), _cut(traces, held), "stretch", text, np.array([first for _, first, _ in held]))


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
        factor=None if traces.factor is None else traces.factor[reads],
    )
