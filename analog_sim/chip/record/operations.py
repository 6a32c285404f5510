"""One operation on an array as a value: what was asked and what came back, to be written, compared and done again. Never a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analog_sim.chip.crossbar import Crossbar
from analog_sim.pulses.plans import PulseCounts, PulseTrain

Arrays = dict[str, np.ndarray]
_STRENGTH = ("amplitude", "width")
"""Settings of a pulse that is not the nominal one."""
_MOST = 32767
_TRAIN = ("row_bits", "col_bits", "row_sign", "col_sign")


@dataclass(frozen=True)
class Request:
    """What was asked of an array.

    Attributes:
        array: its name. kind: "crossbar" (it was made), "mvm", "mvm_transposed", "read_conductance", "program", "pulse", "wait".
        settings: plain values. arrays: inputs by name. plan: of pulses, what settings and arrays say, where it is at hand; no part of what
            is compared or written.
    """

    array: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    plan: PulseCounts | PulseTrain | None = field(default=None, compare=False)

    def digest(self) -> str:
        """Of all that it says, to tell without sending it whether two are the same."""
        said = hashlib.sha256(json.dumps([self.array, self.kind, self.settings], sort_keys=True).encode())
        for name in sorted(self.arrays):
            array = self.arrays[name]
            said.update(f"{name}{array.dtype.kind}{array.dtype.itemsize}{array.shape}".encode())
            said.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        return said.hexdigest()

    def difference(self, other: Request) -> str | None:
        """In words, where this request, the recorded one, differs from another; None when they are the same to the bit."""
        if (self.array, self.kind) != (other.array, other.kind):
            return f"recorded: {self.kind} on '{self.array}', asked: {other.kind} on '{other.array}'"
        where = f"{self.kind} on '{self.array}'"
        for name in sorted({*self.settings, *other.settings}):
            mine, theirs = self.settings.get(name), other.settings.get(name)
            if mine != theirs:
                return f"{where}: {name} was {mine}, asked: {theirs}"
        for name in sorted({*self.arrays, *other.arrays}):
            text = _array_difference(self.arrays.get(name), other.arrays.get(name))
            if text is not None:
                return f"{where}: {name}: {text}"
        return None


def _array_difference(mine: np.ndarray | None, theirs: np.ndarray | None) -> str | None:
    if mine is None or theirs is None:
        return f"{'not recorded' if mine is None else 'recorded'}, {'given' if theirs is not None else 'not given'} now"
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return f"recorded {mine.dtype} {mine.shape}, asked: {theirs.dtype} {theirs.shape}"
    differs = mine != theirs
    if not differs.any():
        return None
    first = tuple(int(i) for i in np.argwhere(differs)[0])
    return f"{int(differs.sum())} of {mine.size} values differ, first at {first}: recorded {mine[first]}, asked: {theirs[first]}"


def mvm(array: str, v: np.ndarray, transpose: bool) -> Request:
    """A read of vectors."""
    return Request(array, "mvm_transposed" if transpose else "mvm", arrays={"v": np.asarray(v, np.float32)})


def pulse(array: str, plan: PulseCounts | PulseTrain) -> Request:
    """Pulses, by counts or as a train. Raises ValueError for more pulses of a cell than a record can say."""
    strength = {name: float(value) for name in _STRENGTH if (value := getattr(plan, name)) is not None}
    if isinstance(plan, PulseCounts):
        counts = np.asarray(plan.counts)
        if counts.dtype != np.int16:
            most = max(int(counts.max(initial=0)), -int(counts.min(initial=0)))
            if most > _MOST:
                raise ValueError(f"pulse: at most {_MOST} pulses of a cell are recorded at once (got {most})")
        return Request(array, "pulse", strength, {"counts": counts.astype(np.int16, copy=False)}, plan)
    # Bits in the narrowest words that hold a train: less to copy and to compress.
    word = next(np.dtype(f"u{size}") for size in (1, 2, 4, 8) if plan.length <= 8 * size)
    arrays = {"row_bits": plan.row_bits.astype(word), "col_bits": plan.col_bits.astype(word)}
    arrays |= {"row_sign": plan.row_sign, "col_sign": plan.col_sign}
    return Request(array, "pulse", {"length": int(plan.length), "mode": plan.mode, **strength}, arrays, plan)


def plan_of(request: Request) -> PulseCounts | PulseTrain:
    """The plan of a "pulse"."""
    if request.plan is not None:
        return request.plan
    strength = {name: request.settings.get(name) for name in _STRENGTH}
    if "counts" in request.arrays:
        return PulseCounts(request.arrays["counts"], **strength)
    row_bits, col_bits, row_sign, col_sign = (request.arrays[name] for name in _TRAIN)
    row_bits, col_bits = row_bits.astype(np.uint64), col_bits.astype(np.uint64)
    length, mode = request.settings["length"], request.settings["mode"]
    return PulseTrain(row_bits, col_bits, row_sign, col_sign, length, mode, **strength)


def execute(request: Request, on: Crossbar) -> Arrays:
    """Do what was asked; what came back, by name."""
    kind, arrays = request.kind, request.arrays
    if kind in ("mvm", "mvm_transposed"):
        return {"i": on.mvm(arrays["v"], transpose=kind == "mvm_transposed")}
    if kind == "read_conductance":
        rows, cols = request.settings["rows"], request.settings["cols"]
        return {"g": on.read_conductance(slice(*rows), slice(*cols))}
    if kind == "program":
        mask = arrays.get("mask")
        on.program(arrays["target"], None if mask is None else mask.astype(np.bool_))
    elif kind == "pulse":
        on.pulse(plan_of(request))
    elif kind == "wait":
        on.wait(request.settings["seconds"])
    else:
        raise ValueError(f"not an operation on an array: {kind}")
    return {}
