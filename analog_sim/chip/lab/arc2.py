"""Cells between two sets of channels of an ArC TWO, through `pyarc2`, which is imported by the backend.

Volts are applied to the channels of the rows with the other sign, as the instrument's own reads do: current that leaves a sensed channel
counts as positive there. It clamps what is beyond 10 V without a word, so limits are kept here before anything is sent; and what its driver
raises may be no `Exception` (a panic of its Rust code), so everything is caught. https://github.com/arc-instruments/pyarc2, commit b06691d.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.chip.checks import check_voltages
from analog_sim.chip.clock import check_seconds
from analog_sim.chip.crossbar import ChipInfo
from analog_sim.chip.lab.bench import Bench
from analog_sim.chip.lab.bench_array import PulsedArray
from analog_sim.chip.lab.write_by_pulses import PulsedWrite
from analog_sim.config import UserError

F32 = npt.NDArray[np.float32]
CLAMP = 10.0
"""Volts beyond which the instrument clamps silently."""
CHANNELS = 64
LONGEST_DELAY = 1.0
"""Seconds that the instrument is told to wait; beyond, this computer sleeps."""


@dataclass(frozen=True)
class Arc2Driver:
    """The instrument and what it is told.

    Attributes:
        arc: a `pyarc2.Instrument`. soft_ground: `IdleMode.SoftGnd`. words, bits: channels of the rows and of the columns.
        v_read: volts of reads of single cells. v_up, v_down: volts of a pulse that potentiates or depresses. width: its nanoseconds.
    """

    arc: Any
    soft_ground: Any
    words: tuple[int, ...]
    bits: tuple[int, ...]
    v_read: float
    v_up: float
    v_down: float
    width: int

    def currents(self, v: npt.NDArray[np.floating], driven: tuple[int, ...], sensed: tuple[int, ...]) -> list[float]:
        """Amperes of the sensed channels while the driven ones are at v volts; all channels are grounded afterwards."""
        if not np.abs(v).max(initial=0.0) <= CLAMP:  # never by our own callers
            raise UserError(f"ArC TWO: volts must be within +-{CLAMP:g} (got {np.abs(v).max():g})")
        self.arc.config_channels([(chan, -float(x)) for chan, x in zip(driven, v, strict=True)], 0.0)
        found = np.asarray(self.arc.read_slice_open(np.array(sensed, np.uint64), True), np.float64)
        if found.shape != (CHANNELS,) or not np.isfinite(found[list(sensed)]).all():
            raise UserError(
                f"ArC TWO: currents of {len(sensed)} channels were asked for (got {found.shape}, or not finite)"
            )
        return [float(i) for i in found[list(sensed)]]

    def cells(self, rows: slice, cols: slice) -> F32:
        """Siemens of some cells, a row at a time."""
        found = []
        for row in self.words[rows]:
            currents = self.currents(np.array([self.v_read]), (row,), self.bits[cols])
            found.append([i / self.v_read for i in currents])
        return np.array(found, np.float32)

    def pulse(self, counts: npt.NDArray[np.int64]) -> None:
        """Signed pulses (rows, cols): at every pass of a row, all cells that want one more of the same sign."""
        for i in np.flatnonzero(counts.any(axis=1)):
            for sign, volts in ((1, self.v_up), (-1, self.v_down)):
                wanted = np.maximum(sign * counts[i], 0)
                for done in range(int(wanted.max())):
                    mask = np.array([self.bits[j] for j in np.flatnonzero(wanted > done)], np.uint64)
                    self.arc.pulse_slice_masked(self.words[i], volts, self.width, mask)
                if wanted.any():
                    self.arc.execute()
                    self.arc.wait()
        self.off()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        if seconds > LONGEST_DELAY:
            time.sleep(seconds)
        elif seconds > 0.0:
            self.arc.delay(max(int(seconds * 1e9), 1))
            self.arc.execute()
            self.arc.wait()

    def off(self) -> None:
        """All channels to 0 V."""
        self.arc.finalise_operation(self.soft_ground)


class Arc2Array(PulsedArray):
    """The cells between the channels, without pairs.

    Args:
        info: of the array. driver: of the instrument. bench: times and counts. write: how cells are programmed.
    """

    def __init__(self, info: ChipInfo, driver: Arc2Driver, bench: Bench, write: PulsedWrite) -> None:
        super().__init__(info, bench, write)
        self._driver = driver

    def mvm(self, v: F32, *, transpose: bool = False) -> F32:
        """Read currents, one vector after the other, all lines at once."""
        check_voltages(self.info, v, transpose)
        driven, sensed = self._driver.words, self._driver.bits
        if transpose:
            driven, sensed = sensed, driven
        with self._bench.operation("mvm_transposed" if transpose else "mvm", len(v)):
            found = [self._driver.currents(vector, driven, sensed) for vector in v]
            return np.array(found, np.float32).reshape(len(v), len(sensed))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        check_seconds(seconds)
        with self._bench.operation("wait", 1, seconds):
            self._driver.wait(seconds)

    def flush(self) -> None:
        """Wait until the instrument has done all that it was sent."""
        with self._bench.operation("flush", 0):
            self._driver.arc.wait()

    def _cells(self, r: slice, c: slice) -> F32:
        return self._driver.cells(r, c)

    def _send(self, counts: npt.NDArray[np.int64]) -> None:
        self._driver.pulse(counts)
