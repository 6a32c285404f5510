"""Times and memory of every point of an axis. It never fits and never draws."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analog_sim.threads import thread_policy
from learning.experiments.commands.growth.axes import GrowthAxis

ROUNDS, SECONDS = 5, 0.4
"""A point is timed so often at least, and for so long."""


@dataclass(frozen=True)
class GrowthPoint:
    """What was measured.

    Attributes:
        value: of the axis. seconds: the least time of one call: what others do on the machine only ever adds to it.
        bytes: most memory that NumPy and Python held while it was made and called once, less what they held before.
    """

    value: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class GrowthSeries:
    """An axis with its points."""

    name: str
    of: str
    wall: bool
    points: tuple[GrowthPoint, ...]

    def row(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)


def measure(axes: Sequence[GrowthAxis], *, quick: bool, say: Callable[[str], None]) -> list[GrowthSeries]:
    """Measure all points, the small ones first; quick: few small ones, each called twice."""
    found = []
    for axis in axes:
        points = []
        for value in axis.quick if quick else axis.values:
            points.append(_point(axis, value, quick=quick))
            say(f"{axis.name}: {value} {axis.of}: {points[-1].seconds * 1e3:.3f} ms")
        found.append(GrowthSeries(axis.name, axis.of, axis.wall, tuple(points)))
    return found


def _point(axis: GrowthAxis, value: int, *, quick: bool) -> GrowthPoint:
    """One point: once for the memory, which is followed at the cost of time, then for the time."""
    now = time.perf_counter if axis.wall else time.thread_time
    with thread_policy(1):  # what asks for more threads asks for itself
        gc.collect()
        tracemalloc.start()
        try:
            work = axis.make(value)
            work()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        times: list[float] = []
        until = time.perf_counter() + (0.0 if quick else SECONDS)
        while len(times) < (2 if quick else ROUNDS) or time.perf_counter() < until:
            start = now()
            work()
            times.append(now() - start)
    return GrowthPoint(value, max(min(times), 1e-9), peak)
