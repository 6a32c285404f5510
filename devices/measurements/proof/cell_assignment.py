"""Which emulated cells stand for which measured devices in a replay: one cell for all traces of a device. It never replays.

A device's traces hang together. It is as fast in each, and where a trace begins depends on how fast it was in the one before.
Emulated cells that are given the measured start states must therefore rank in their own population as the devices do in theirs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from analog_sim.cells.state import GAIN_UNIT, CellState, codes, fabricate
from analog_sim.random.streams import Streams
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.device_speeds import device_speeds
from devices.measurements.fit.pulse.spread import FEWEST_DEVICES

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CellAssignment:
    """Which traces each emulated cell plays, one after another.

    Attributes:
        trace: (L, T) index of the trace in every turn, -1 for none. state: (1, 1, replicas * L) cells, replica by replica.
    """

    trace: I64
    state: CellState


@dataclass(frozen=True)
class KnownDevices:
    """What a fit says of the devices of R traces, where it was made of other traces of the same devices.

    Attributes:
        gains: (R, 2) factors on the steps (down, up); None when the card holds none. table: (R,) number of the device's own table in
            the card; None when the card has one for all.
    """

    gains: F64 | None
    table: I64 | None


def assign_cells(
    cell: CellModel, traces: Traces, replicas: int, streams: Streams, known: KnownDevices | None = None
) -> CellAssignment:
    """Fabricate the cells of a replay.

    Unknown devices, three or more, have one cell each in every replica: the slowest devices those of the slowest part of the
    population, and so on. Of fewer it cannot be said how fast they are: every trace has a cell of its own, as it has when the
    devices are known.

    Args:
        cell: the card. traces: R of them, measured. replicas: repetitions. streams: of the fabrication.
        known: gains and tables of known devices, which take the place of drawn ones.
    """
    if known is not None or len(np.unique(traces.cell)) < FEWEST_DEVICES:
        state = fabricate(cell, 1, 1, replicas * len(traces), streams)
        if known is not None:
            _identify(cell, state, known, replicas)
        return CellAssignment(np.arange(len(traces))[:, None], state)
    trace = _turns(traces)
    state = fabricate(cell, 1, 1, replicas * len(trace), streams)
    _deal(cell, state, traces, replicas)
    return CellAssignment(trace, state)


def _turns(traces: Traces) -> I64:
    """(D, T) traces of every device, ascending by its number, in the order in which they were measured; -1 for none."""
    _, device = np.unique(traces.cell, return_inverse=True)
    count = np.bincount(device)
    turn = np.empty(len(traces), np.int64)
    turn[np.argsort(device, kind="stable")] = np.concatenate([np.arange(n) for n in count])
    trace = np.full((len(count), int(count.max())), -1, np.int64)
    trace[device, turn] = np.arange(len(traces))
    return trace


def _deal(cell: CellModel, state: CellState, traces: Traces, replicas: int) -> None:
    """Put the fabricated cells, (1, 1, replicas * D), in the order of the devices' speeds: the slowest ones to the slowest device."""
    speed = device_speeds(traces)
    order = np.argsort(_cell_speeds(cell, state, np.asarray(np.isfinite(speed.speed).any(axis=0))), kind="stable")
    rank = np.argsort(np.argsort(speed.overall(), kind="stable"), kind="stable")
    chosen = np.concatenate([order[rank * replicas + k] for k in range(replicas)])
    for values in state.arrays().values():
        values[...] = values[:, :, chosen]


def _identify(cell: CellModel, state: CellState, known: KnownDevices, replicas: int) -> None:
    """Give cells the gains, tables and windows of known devices."""
    if known.gains is not None:
        gains = codes(np.tile(known.gains, (replicas, 1)), 1.0 / GAIN_UNIT)
        state.gain_down, state.gain_up = gains[:, 0][None, None], gains[:, 1][None, None]
    if known.table is not None:
        table = np.tile(known.table, replicas)
        state.table = table.astype(np.uint8)[None, None]
        if cell.windows is not None:
            bounds = codes(cell.windows[table], state.bound_lsb)
            state.lo, state.hi = bounds[:, 0][None, None], bounds[:, 1][None, None]


def _cell_speeds(cell: CellModel, state: CellState, measured: npt.NDArray[np.bool_]) -> F64:
    """(N,) mean step over the directions that were measured, each relative to its mean over the cells."""
    assert cell.pulse is not None
    table = np.zeros(state.g.size, np.int64) if state.table is None else state.table.ravel().astype(np.int64)
    total = np.zeros(state.g.size)
    sides = ((cell.pulse.down_mean, state.gain_down), (cell.pulse.up_mean, state.gain_up))
    for (mean, gain), there in zip(sides, measured, strict=True):
        if there:
            own = np.abs(mean.mean(axis=1))[table] * (1.0 if gain is None else gain.ravel() / GAIN_UNIT)
            total += own / max(float(own.mean()), 1e-300)
    return total
