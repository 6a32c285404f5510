"""What the backend asks of `pyarc2`, by duck type: cells between channels, a command buffer, silent clamping, errors beside `Exception`."""

from __future__ import annotations

import sys
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

LOW, HIGH, STEP = 1e-6, 11e-6, 2.5e-8
"""Siemens, per pulse."""
WORDS, BITS = [*range(16), *range(32, 48)], [*range(16, 32), *range(48, 64)]


class PanicError(BaseException):
    """As a panic of the driver's Rust code reaches Python."""


class IdleMode(Enum):
    Float, SoftGnd, HardGnd = 1, 2, 3


class FakeArc2:
    """An instrument; made: all that were opened."""

    made: list[FakeArc2] = []  # noqa: RUF012 - the library makes them
    refuses = False

    def __init__(self, port: int, firmware: str, init: bool = True) -> None:
        if FakeArc2.refuses:
            raise PanicError("no device at port")
        self.cells = np.zeros((64, 64))  # [row's channel, column's channel]
        self.cells[np.ix_(WORDS, BITS)] = LOW
        self.volts = np.zeros(64)
        self.queue: list[tuple[int, float, np.ndarray]] = []
        self.grounded, self.waited, self.commands = 0, 0, 0
        self.largest = 0.0
        self.fail: BaseException | None = None
        FakeArc2.made.append(self)

    def _said(self) -> None:
        self.commands += 1
        if self.fail is not None:
            raise self.fail

    def config_channels(self, channels: list[tuple[int, float]], base: float | None) -> FakeArc2:
        self._said()
        if base is not None:
            self.volts[:] = base
        for chan, v in channels:
            self.largest = max(self.largest, abs(v))
            self.volts[chan] = np.clip(v, -10.0, 10.0)
        return self

    def read_slice_open(self, highs: np.ndarray, ground_after: bool) -> np.ndarray:
        self._said()
        assert highs.dtype == np.uint64
        g = self.cells + self.cells.T
        found = np.full(64, np.nan, np.float32)
        found[highs] = [(g[h] * (self.volts[h] - self.volts)).sum() for h in highs]  # what leaves the channel
        if ground_after:
            self.volts[:] = 0.0
        return found

    def pulse_slice_masked(self, chan: int, voltage: float, nanos: int, mask: np.ndarray) -> FakeArc2:
        self._said()
        assert isinstance(chan, int)
        assert isinstance(nanos, int)
        self.queue.append((chan, voltage, mask))
        return self

    def execute(self) -> FakeArc2:
        self._said()
        for chan, voltage, mask in self.queue:
            self.cells[chan, mask] = np.clip(self.cells[chan, mask] + STEP * np.sign(voltage), LOW, HIGH)
        self.queue.clear()
        return self

    def delay(self, nanos: int) -> FakeArc2:
        self._said()
        return self

    def wait(self) -> None:
        self.waited += 1

    def finalise_operation(self, mode: IdleMode) -> None:
        assert mode is IdleMode.SoftGnd
        self.volts[:] = 0.0
        self.queue.clear()
        self.grounded += 1


def install(patch: pytest.MonkeyPatch) -> None:
    """Make `pyarc2` importable for a test."""
    module: Any = ModuleType("pyarc2")
    module.__spec__ = ModuleSpec("pyarc2", None)
    module.Instrument, module.IdleMode, module.find_ids = FakeArc2, IdleMode, lambda: [5]
    patch.setitem(sys.modules, "pyarc2", module)
    patch.setattr(FakeArc2, "refuses", False)
    FakeArc2.made.clear()
