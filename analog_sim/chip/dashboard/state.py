"""The present state of a served chip as JSON for the page. It only looks: no read is counted, no time passes, no noise is drawn."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import numpy as np

from analog_sim.chip.dashboard.watch import F32, Watch, WatchedArray, WatchedCells
from analog_sim.chip.server.chip import Served, ServedChip

PAGE = 12
"""Arrays that are shown at a time."""
BUSY = 50.0
"""A state is made anew only after so many times the time that making one took: at most 2 % of the server's time."""
LEAST = 0.4
"""Seconds between two states at least."""


class ShownState:
    """The state as bytes, made anew when it is asked for and the last one is old enough, whoever asks and how often.

    Args:
        chip: what is served. watch: told by it. identity: of the instrument.
    """

    def __init__(self, chip: ServedChip, watch: Watch, identity: str) -> None:
        self._chip, self._watch, self._identity = chip, watch, identity
        self._started = time.time()
        self._made: dict[int, tuple[float, bytes]] = {}
        self._pause = 0.0

    def json(self, first: int, clients: int) -> bytes:
        """The state with the arrays from number `first` on. clients: that are connected."""
        first = min(max(first, 0), max(len(self._chip.arrays) - 1, 0))
        begun = time.perf_counter()
        had = self._made.get(first)
        if had is not None and begun - had[0] < max(LEAST, self._pause):
            return had[1]
        data = json.dumps(self._state(first, clients), allow_nan=False).encode()
        ended = time.perf_counter()
        self._pause = BUSY * (ended - begun)
        self._made = {first: (ended, data)}
        return data

    def _state(self, first: int, clients: int) -> dict[str, Any]:
        chip, watch, now = self._chip, self._watch, time.time()
        names = list(chip.arrays)
        return {
            "identity": self._identity,
            "chip_time": chip.fabric.clock.now,
            "real_time": chip.real_time,
            "up": now - self._started,
            "clients": clients,
            "writer": chip.writer is not None,
            "read_only": chip.read_only,
            "done": watch.done,
            "refused": watch.refused,
            "count": len(names),
            "first": first,
            "arrays": [self._array(chip.arrays[name], now) for name in names[first : first + PAGE]],
            "operations": [
                [now - o.wall, o.now, o.array, o.kind, o.units, o.seconds, o.joules] for o in reversed(watch.operations)
            ],
            "errors": [[now - wall, text] for wall, text in reversed(watch.errors)],
        }

    def _array(self, served: Served, now: float) -> dict[str, Any]:
        info, known = served.info, self._watch.arrays.get(served.name) or WatchedArray.of(served)
        shown: dict[str, Any] = {
            "name": served.name,
            "rows": info.rows,
            "cols": info.cols,
            "planes": info.planes,
            "g_min": info.g_min,
            "g_max": info.g_max,
            "steps": list(known.steps),
            "map": _map(served, known, now),
            "totals": {kind: [t.calls, t.units] for kind, t in served.crossbar.log.totals.items()},
        }
        if known.currents is not None and known.volts is not None:
            shown["read"] = {
                "transposed": known.kind == "mvm_transposed",
                "volts": _few(known.volts),
                "amperes": _few(known.currents),
                "lines": len(known.currents),
            }
        return shown


def _map(served: Served, known: WatchedArray, now: float) -> dict[str, Any] | None:
    """Cells as bytes: the truth where the chip shows it, else what was read, else what was written; None when nothing is known."""
    inside = served.crossbar.inside
    if inside is not None:
        return _coded(served, inside.glance(*known.steps), {"source": "now"})
    cells: WatchedCells | None = known.read or known.written
    if cells is None:
        return None
    about = {"source": "read" if cells is known.read else "written", "age": now - cells.wall, "pulses": cells.pulses}
    return _coded(served, cells.siemens, about)


def _coded(served: Served, g: F32, about: dict[str, Any]) -> dict[str, Any]:
    """Conductances as bytes: 0 for unknown, 1 to 255 from g_min to g_max, beyond them the nearest."""
    info = served.info
    scaled = (g - np.float32(info.g_min)) * np.float32(254.0 / ((info.g_max - info.g_min) or 1.0))
    known = np.isfinite(scaled)
    code = np.where(known, np.clip(np.where(known, scaled, 0.0), 0.0, 254.0) + 1.5, 0.0).astype(np.uint8)
    return {**about, "shape": list(g.shape), "cells": base64.b64encode(code.tobytes()).decode()}


def _few(values: F32) -> list[float]:
    """At most 128 of the numbers, evenly."""
    step = -(-len(values) // 128)
    return [float(x) for x in np.nan_to_num(values[::step])]
