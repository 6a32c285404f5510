"""Part of a weight matrix: its array (or the arrays of its bit slices) with converters on both sides.

Knows no weight scale, nor what is behind an array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from analog_sim.chip.clock import Clock
from analog_sim.chip.cost import ConversionCounter
from analog_sim.chip.crossbar import Crossbar, Inspectable
from analog_sim.chip.operation_log import LogState
from analog_sim.random.streams import StreamState
from analog_sim.reads.converters import Adc, Dac
from analog_sim.saved_state import State, taken
from analog_sim.threads import one_blas_thread

F32 = npt.NDArray[np.float32]


class SealedState(TypedDict):
    """Of an array that keeps its own state: the account of what it was asked to do."""

    log: LogState


class ArrayGroupState(TypedDict):
    """Arrays of a group, ranges and noise of its converters (forward, transposed)."""

    arrays: list[State]
    ranges: list[F32]
    noise: list[StreamState]


@dataclass
class ArrayGroup:
    """Part of a matrix on arrays of its own.

    Attributes:
        arrays: one crossbar, or one for each bit slice. coefficients: what each counts for.
        rows: inputs that drive it. cols: outputs that it makes.
        reference: the last column of the array holds the reference cells, subtracted from the others before the converter.
        dac, adc: converters forward; dac_back, adc_back: for the transposed read. clock: chip time.
    """

    arrays: tuple[Crossbar, ...]
    coefficients: tuple[float, ...]
    rows: slice
    cols: slice
    reference: bool
    dac: Dac
    adc: Adc
    dac_back: Dac
    adc_back: Adc
    clock: Clock

    @property
    def crossbar(self) -> Crossbar:
        """The only array. Raises ValueError for bit slices, which lie on several."""
        if len(self.arrays) > 1:
            raise ValueError(
                "a weight in bit slices lives on several arrays; it can be programmed, not updated in place"
            )
        return self.arrays[0]

    @property
    def inspectable(self) -> bool:
        """Whether the truth of all cells can be seen."""
        return all(array.inside is not None for array in self.arrays)

    def net_now(self) -> F32:
        """Net conductance of the cells now, slices combined, siemens (rows, cols), without wires; with read noise from a sealed chip."""
        return self._combine([_seen(array) for array in self.arrays])

    def net_read(self) -> F32:
        """The same, read from the cells one by one with their read noise."""
        return self._combine([_net(array.read_conductance()) for array in self.arrays])

    def _combine(self, nets: list[F32]) -> F32:
        total = (
            nets[0] if len(nets) == 1 else sum(np.float32(c) * n for c, n in zip(self.coefficients, nets, strict=True))
        )
        assert not isinstance(total, int)
        return total[:, :-1] - total[:, -1:] if self.reference else total

    def forward(
        self, x: F32, scale: F32, row_gain: F32, out: F32, counter: ConversionCounter, *, accumulate: bool
    ) -> None:
        """Read the arrays for inputs x (B, n_in), in their part of it, of full scales (B,); ``row_gain_b * current`` into out (B, cols)."""
        self._read(
            self.dac,
            self.adc,
            self._read_forward,
            x,
            scale,
            row_gain,
            out,
            lines=self.rows,
            counter=counter,
            accumulate=accumulate,
        )

    def backward(
        self, d: F32, scale: F32, row_gain: F32, out: F32, counter: ConversionCounter, *, accumulate: bool
    ) -> None:
        """Transposed read for inputs d (B, n_out), in their part of it; put ``row_gain_b * current`` into out (B, rows)."""
        self._read(
            self.dac_back,
            self.adc_back,
            self._read_back,
            d,
            scale,
            row_gain,
            out,
            lines=self.cols,
            counter=counter,
            accumulate=accumulate,
        )

    def _read(
        self,
        dac: Dac,
        adc: Adc,
        read: Callable[[Crossbar, F32, F32 | None], tuple[F32, F32 | None]],
        x: F32,
        scale: F32,
        row_gain: F32,
        out: F32,
        *,
        lines: slice,
        counter: ConversionCounter,
        accumulate: bool,
    ) -> None:
        """Bit planes one after the other, bit slices at the same time."""

        def read_one(array: Crossbar, volts: F32, share: float, *, accumulate: bool) -> None:
            current, variance = read(array, volts, None if accumulate else out)
            gain = row_gain if share == 1.0 else row_gain * np.float32(share)
            adc.convert(current, gain, out, accumulate=accumulate, variance=variance)
            counter.dac += volts.size
            counter.adc += current.size

        if len(self.arrays) == 1 and not dac.spec.bit_serial:
            volts = dac.convert(x, scale, lines.start)
            read_one(self.arrays[0], volts, self.coefficients[0], accumulate=accumulate)
            return
        for volts, weight in self._drive(dac, np.ascontiguousarray(x[:, lines]), scale):
            with self.clock.parallel():
                for array, coefficient in zip(self.arrays, self.coefficients, strict=True):
                    read_one(array, volts, coefficient * weight, accumulate=accumulate)
                    accumulate = True

    def _read_forward(self, array: Crossbar, volts: F32, room: F32 | None) -> tuple[F32, F32 | None]:
        """Currents and the variance of noise not yet drawn, see `Inspectable.sense`."""
        if not self.reference:
            inside = array.inside
            return (array.mvm(volts), None) if inside is None else inside.sense(volts, out=room)
        current = array.mvm(
            volts
        )  # all columns share the noise of the reference, so it is drawn before the subtraction
        return np.subtract(current[:, :-1], current[:, -1:], out=room), None

    def _read_back(self, array: Crossbar, volts: F32, room: F32 | None) -> tuple[F32, F32 | None]:
        if not self.reference:
            inside = array.inside
            return (
                (array.mvm(volts, transpose=True), None)
                if inside is None
                else inside.sense(volts, transpose=True, out=room)
            )
        # The reference column cannot take minus the sum of all inputs within the voltage limits: it is read by itself at full
        # voltage and subtracted digitally in proportion.
        full = np.float32(self.dac_back.v_full)
        padded = np.pad(volts, ((0, 1), (0, 1)))
        padded[-1, -1] = full
        current = array.mvm(padded, transpose=True)
        return current[:-1] - current[-1] * (volts.sum(axis=1, keepdims=True) / full), None

    @staticmethod
    def _drive(dac: Dac, x: F32, scale: F32) -> list[tuple[F32, float]]:
        if not dac.spec.bit_serial:
            return [(dac.convert(x, scale), 1.0)]
        planes, weights = dac.bit_planes(x, scale)
        return [(plane, float(w)) for plane, w in zip(planes, weights, strict=True)]

    def calibrate(self, x: F32, scale: F32) -> None:
        """Set the range of the forward converters to the largest current that inputs x (B, rows) make."""
        if self.adc.exact:
            return
        largest = np.zeros(self.cols.stop - self.cols.start, np.float32)
        for volts, _ in self._drive(self.dac, x, scale):
            for array in self.arrays:
                largest = np.maximum(largest, np.abs(self._currents(array, volts)).max(axis=0))
        self.adc.set_range(largest)

    def auto_range(self) -> None:
        """Set the ranges from the conductances: inputs of half the full scale (rms), four standard deviations of their sum."""
        if self.adc.exact:
            return
        for adc, sums, v_full in (
            (self.adc, "ij,ij->j", self.dac.v_full),
            (self.adc_back, "ij,ij->i", self.dac_back.v_full),
        ):
            nets = [self._seen(array, transpose=adc is self.adc_back) for array in self.arrays]
            norms = np.max([np.sqrt(np.einsum(sums, net, net)) for net in nets], axis=0)
            nodes, weights = _normal_inputs()
            steepness = self._steepness(0.5 * v_full * nodes, weights)
            adc.set_range(np.float32(2.0 * v_full * steepness) * norms.astype(np.float32))

    def line_range(self, net_window: float) -> None:
        """Set the range of the forward converters to the current of one row at full voltage into net_window siemens."""
        full = self.dac.v_full
        self.adc.set_range(np.full_like(self.adc.full_range, full * self._steepness(np.array([full])) * net_window))

    def _steepness(self, v: npt.NDArray[np.floating], weights: npt.NDArray[np.float64] | float = 1.0) -> float:
        """Ratio of the root mean squares of f(v) and of v, for cells with I = g f(v); 1 for ohmic ones and those of a sealed chip."""
        inside, volts = self.arrays[0].inside, v.astype(np.float32)
        if inside is None:
            return 1.0
        bent = inside.bent(volts)
        return float(np.sqrt((weights * bent**2.0).sum() / (weights * volts**2.0).sum()))

    def _currents(self, array: Crossbar, volts: F32) -> F32:
        """What the outputs sense for volts (B, rows): without noise where the cells can be seen, else by a read."""
        if array.inside is None:
            current = array.mvm(volts)
            return current[:, :-1] - current[:, -1:] if self.reference else current
        with one_blas_thread():  # BLAS adds up in another order on several threads, and a range must not depend on that
            if self.reference and _ohmic(array.inside, volts):  # it is subtracted before the product
                return np.asarray(volts @ self._seen(array), np.float32)
            current = array.inside.currents_now(volts)
        return current[:, :-1] - current[:, -1:] if self.reference else current

    def _seen(self, array: Crossbar, transpose: bool = False) -> F32:
        """What a read multiplies with, (rows, cols) siemens, as truly as the chip shows it; wires included where it can be seen."""
        net = _seen(array) if array.inside is None else array.inside.effective_now(transpose=transpose)
        return net[:, :-1] - net[:, -1:] if self.reference else net

    def state(self, *, cells: bool = True) -> ArrayGroupState:
        """Ranges and noise streams for a checkpoint, and the arrays where they can be put back, as `Inspectable.state`.

        A sealed chip keeps its own state; of it only the account of what it was asked to do.
        """
        return {
            "arrays": [
                SealedState(log=array.log.state()) if array.inside is None else array.inside.state(cells=cells)
                for array in self.arrays
            ],
            "ranges": [self.adc.full_range.copy(), self.adc_back.full_range.copy()],
            "noise": [self.adc.noise.state(), self.adc_back.noise.state()],
        }

    def restore(self, state: State) -> None:
        """Put back what `state` returned."""
        saved = taken(ArrayGroupState, state, "array group")
        for array, held in zip(self.arrays, saved["arrays"], strict=True):
            if array.inside is None:
                array.log.restore(taken(SealedState, held, "crossbar")["log"])
            else:
                array.inside.restore(held)
        for adc, full_range, noise in zip((self.adc, self.adc_back), saved["ranges"], saved["noise"], strict=True):
            adc.full_range = np.array(full_range, np.float32)
            adc.noise.restore(noise)


@lru_cache(maxsize=1)
def _normal_inputs() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sixteen inputs and their weights in a mean over normal ones (Gauss-Hermite)."""
    return np.polynomial.hermite_e.hermegauss(16)


def _ohmic(inside: Inspectable, volts: F32) -> bool:
    """Whether the currents of cells are proportional to these volts."""
    bent = inside.bent(volts)
    return bent is volts or np.array_equal(bent, volts)


def _net(g: F32) -> F32:
    return g[0] - g[1] if len(g) == 2 else g[0]


def _seen(array: Crossbar) -> F32:
    """Net conductance (rows, cols) in siemens, as truly as the chip shows it."""
    return _net(array.read_conductance()) if array.inside is None else array.inside.net_now()
