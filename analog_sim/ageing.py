"""What the conductances of a crossbar are at a given chip time: drift, relaxation and the age-dependent part of read noise.

Evaluated on demand from the state as written; never changes the state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.cell import CellModel, ReadNoiseModel
from analog_sim.kernels import ageing as kernels
from analog_sim.rng import Streams
from analog_sim.state import CellState

F32 = npt.NDArray[np.float32]
_NO_FAULTS = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Ageing:
    """The time laws of one chip.

    Attributes:
        cell: the compiled card.
        streams: the chip's identity; the drift exponents are drawn again from it at every evaluation instead of being stored.
    """

    cell: CellModel
    streams: Streams

    def conductance(self, state: CellState, now: float) -> F32:
        """Conductance of every cell at chip time `now`, siemens (planes, rows, cols); `state.g` itself when nothing ages."""
        if state.t_written is None or not self.cell.ages:
            return state.g
        g = state.g
        if self.cell.drift is not None:
            g = self._drift(g, state, now)
        if self.cell.relaxation is not None:
            g = self._relax(g, state, now)
        healthy = state.healthy()
        return g if healthy is None else np.where(healthy, g, state.g)

    def read_variance(self, g: F32, state: CellState, now: float) -> F32 | float:
        """Variance of one read of every cell with present conductances g, siemens squared; a number when all cells share it."""
        noise = self.cell.read
        if noise.silent:
            return 0.0
        if _uniform(noise) and state.fault is None:
            return float(noise.white[0, 0]) ** 2
        out = np.empty_like(g)
        fault = _NO_FAULTS if state.fault is None else state.fault.ravel()
        factor = self._flicker_factor(state, now)
        tables = interleave(noise.white, noise.flicker)
        kernels.read_variance(g.ravel(), factor, tables, *self._state_scale(), fault, out.ravel())
        return out

    def _flicker_factor(self, state: CellState, now: float) -> F32:
        """f(t)**2 = log((t + t_read) / (2 t_read)), at least 0."""
        if state.t_written is None:
            return np.zeros(1, np.float32)
        age = _ages(state.t_written, now)
        t_read = self.cell.read.t_read
        return np.log(np.maximum((age + t_read) / (2.0 * t_read), 1.0)).astype(np.float32)

    def _drift(self, g: F32, state: CellState, now: float) -> F32:
        law = self.cell.drift
        assert law is not None
        assert state.t_written is not None
        age = _ages(state.t_written, now)
        if age.max() <= law.t_ref:
            return g
        key0, key1, _ = self.streams.stream("fabrication.drift").reserve(0)
        out = np.empty_like(g)
        limits = np.float32(law.nu_low), np.float32(law.nu_high)
        tables = interleave(law.nu_mean, law.nu_std)
        kernels.drift_cells(g.ravel(), age, tables, *limits, *self._state_scale(), law.t_ref, key0, key1, out.ravel())
        return out

    def _relax(self, g: F32, state: CellState, now: float) -> F32:
        law = self.cell.relaxation
        assert law is not None
        assert state.t_written is not None
        path, decades, out = np.empty(g.size, np.float32), np.empty(g.size, np.float32), np.empty_like(g)
        key0, key1, _ = self.streams.stream("relaxation").reserve(0)
        kernels.brownian_paths(state.t_written.ravel(), now, law.t_0, key0, key1, path, decades)
        tables = interleave(law.mean, law.std)
        kernels.relax_cells(g.ravel(), path, decades, tables, *self._state_scale(), out.ravel())
        return out

    def _state_scale(self) -> tuple[np.float32, np.float32]:
        return np.float32(self.cell.g_min), np.float32(1.0 / self.cell.window)


def interleave(a: F32, b: F32) -> F32:
    """Two tables (1, K) as (K, 2), the shorter one resampled to the nodes of the longer, which is exact when one grid refines the other."""
    nodes = max(a.shape[1], b.shape[1])
    u = np.linspace(0.0, 1.0, nodes)
    columns = [t[0] if t.shape[1] == nodes else np.interp(u, np.linspace(0.0, 1.0, t.shape[1]), t[0]) for t in (a, b)]
    return np.stack(columns, axis=1).astype(np.float32)


def _uniform(noise: ReadNoiseModel) -> bool:
    return not noise.flicker.any() and bool((noise.white == noise.white[0, 0]).all())


def _ages(t_written: npt.NDArray[np.float64], now: float) -> npt.NDArray[np.float64]:
    """Seconds since each cell was written, flat; one element when all cells were written at once."""
    first = t_written.flat[0]
    if (t_written == first).all():
        return np.array([now - first])
    return np.asarray(now - t_written).ravel()
