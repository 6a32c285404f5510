"""The experiment of some traces done again on an emulated chip: same starting states, same pulses, reads included. It never fits."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel
from analog_sim.cells.state import MEMORY_UNIT
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.pulses.plans import PulseCounts
from analog_sim.random.streams import Streams
from devices.measurements.data.read_noise import NO_READ_NOISE, ReadNoise
from devices.measurements.data.start_states import StartStates
from devices.measurements.data.stop_rule import StopRule
from devices.measurements.data.traces import Traces
from devices.measurements.proof.cell_assignment import KnownDevices, assign_cells

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Row = tuple[F64, I64, npt.NDArray[np.int8]]
"""One trace as played: reads in siemens, pulses before each, their direction."""

ERRORS = 7
"""Distinguishes the stream of read errors that are drawn here."""
EXTRA = 1.25
"""A ramp that stops at a level may take this many times the measured pulses to get there."""
_NOTHING: Row = (np.empty(0), np.empty(0, np.int64), np.empty(0, np.int8))


def replay(
    cell: CellModel,
    traces: Traces,
    begin: StartStates,
    *,
    replicas: int = 1,
    seed: int = 0,
    stop: StopRule | None = None,
    noise: ReadNoise = NO_READ_NOISE,
    known: KnownDevices | None = None,
) -> Traces:
    """Pulse and read fabricated cells as the traces were, all traces of a device on one cell (see `assign_cells`).

    Ageing is left out: successive pulses are assumed close in time. Faults are left out: the traces are of healthy cells.

    Args:
        cell: the compiled card.
        traces: R traces of N reads: which pulses, in which order.
        begin: where each begins; a cell that plays all traces of a device goes on where it is when the device did.
        replicas: independent repetitions, each on cells of their own.
        seed: of fabrication and noise.
        stop: when a ramp ends before, or after, its measured number of pulses.
        noise: of the reads, in place of the card's when it is correlated, because the emulator draws every read independently.
        known: what the card was fitted to know of the traces' devices; None: they are new to it.

    Returns:
        replicas * R traces, replica by replica, as read.
    """
    bare = replace(cell, drift=None, relaxation=None, faults=type(cell.faults)())
    if noise.correlated > 0:
        bare = replace(bare, read=ReadNoiseModel())
    streams = Streams(seed).child("replay")
    played = assign_cells(bare, traces, replicas, streams, known)
    crossbar = EmulatedCrossbar(bare, 1, replicas * len(played.trace), pair=False, streams=streams)
    crossbar.cells = played.state
    errors = np.random.default_rng([seed, ERRORS]) if noise.correlated > 0 else None
    replica = np.repeat(np.arange(replicas), len(played.trace))
    rows: list[Row] = [_NOTHING] * (replicas * len(traces))
    for turn in played.trace.T:
        trace = np.tile(turn, replicas)
        active = np.flatnonzero(trace >= 0)
        _set_out(crossbar, begin, traces, trace, active, anew=played.trace.shape[1] == 1)
        for lane, row in zip(active, _play(crossbar, traces, trace, active, stop, noise, errors), strict=True):
            rows[replica[lane] * len(traces) + trace[lane]] = row
    return _joined(rows, traces, replicas)


def _set_out(
    crossbar: EmulatedCrossbar, begin: StartStates, traces: Traces, trace: I64, active: I64, *, anew: bool
) -> None:
    """Bring each active cell to where its trace begins; one whose device went on goes on where it is, unless all begin anew.

    Args:
        crossbar: L cells. begin: of all traces. traces: all of them. trace: (L,) index of each cell's. active: of the cells that have one.
        anew: every trace has a cell of its own.
    """
    now = crossbar.conductance_now()[0, 0].astype(np.float64)
    goes_on = active[:0] if anew else active[np.isfinite(begin.jump[trace[active]])]
    wanted = now.copy()
    wanted[active] = begin.state[trace[active]]
    wanted[goes_on] = now[goes_on] + begin.jump[trace[goes_on]]
    before = crossbar.cells.memory
    before = None if before is None else before.copy()
    crossbar.add_ideal((wanted - now).astype(np.float32)[None, :])
    if before is not None and crossbar.cells.memory is not None:
        # A trace is taken to begin after a complete reversal, as by the fit; a cell that goes on remembers its last pulses.
        first = traces.direction[np.minimum(traces.start[trace[active]] + 1, traces.start[trace[active] + 1] - 1)]
        memory = before.copy()
        memory[0, 0, active] = np.where(first > 0, 0, MEMORY_UNIT)
        memory[0, 0, goes_on] = before[0, 0, goes_on]
        crossbar.cells.memory[...] = memory


def _joined(rows: Sequence[Row], traces: Traces, replicas: int) -> Traces:
    """What was played, as traces with the labels of those that it repeats."""
    owner = np.tile(np.arange(len(traces)), replicas)
    return Traces(
        np.concatenate([g for g, _, _ in rows]),
        np.concatenate([pulses for _, pulses, _ in rows]),
        np.concatenate([directions for _, _, directions in rows]),
        np.concatenate(([0], np.cumsum([len(g) for g, _, _ in rows]))).astype(np.int64),
        traces.cell[owner],
        traces.sequence[owner],
        traces.amplitude[owner],
        traces.width[owner],
    )


def _play(
    crossbar: EmulatedCrossbar,
    traces: Traces,
    trace: I64,
    active: I64,
    stop: StopRule | None,
    noise: ReadNoise,
    errors: np.random.Generator | None,
) -> Iterator[Row]:
    """Play one trace on each active cell; yield its reads, pulses and directions.

    Args:
        crossbar: the cells, in the states where their traces begin. traces: all of them.
        trace: (L,) index of each cell's. active: of the cells that have one. stop: when ramps end.
        noise, errors: correlated noise of the reads and what draws it, None when the crossbar's own is right.
    """
    own = trace[active]
    first, measured = traces.start[own], np.diff(traces.start)[own]
    level = np.full(len(own), np.nan) if stop is None else stop.level[own]
    side = np.zeros(len(own)) if stop is None else stop.direction[own]
    ruled = np.isfinite(level)
    length = np.where(ruled, np.ceil(EXTRA * measured), measured).astype(np.int64)
    reads = np.full((len(own), int(length.max())), np.nan)
    slow = np.zeros(reads.shape) if errors is None else noise.draw(errors, *reads.shape)
    pulses = np.zeros(reads.shape, np.int64)
    directions = np.zeros(reads.shape, np.int8)
    alive = np.ones(len(own), bool)
    for k in range(reads.shape[1]):
        alive &= k < length
        if not alive.any():
            break
        if k > 0:
            # Beyond the measured ramp its last pulse is repeated.
            at = first[alive] + np.minimum(k, measured[alive] - 1)
            pulses[alive, k], directions[alive, k] = traces.pulses[at], traces.direction[at]
            counts = np.zeros(len(trace), np.int32)
            counts[active] = pulses[:, k] * directions[:, k]
            if counts.any():
                crossbar.pulse(PulseCounts(counts[None, None, :]))
        reads[alive, k] = crossbar.read_conductance()[0, 0, active[alive]] + slow[alive, k]
        if k > 0:
            with np.errstate(invalid="ignore"):
                alive &= ~(ruled & (side * (reads[:, k] - level) >= 0))
    for row in range(len(own)):
        done = np.isfinite(reads[row])
        yield reads[row, done], pulses[row, done], directions[row, done]
