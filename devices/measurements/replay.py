"""The experiment of some traces done again on an emulated chip: same starting states, same pulses, reads included. It never fits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cell import CellModel, ReadNoiseModel
from analog_sim.chip import PulseCounts
from analog_sim.emulated import EmulatedCrossbar
from analog_sim.rng import Streams
from devices.measurements.read_noise import NO_READ_NOISE, ReadNoise
from devices.measurements.split import sides
from devices.measurements.stand_ins import Known, lanes
from devices.measurements.traces import Traces

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

ERRORS = 7
"""Distinguishes the stream of read errors that are drawn here."""
MOST_READS, LENGTHS, LIMIT = 15, 3.0, 40
"""First reads that a starting state is taken from at most; or so many correlation lengths of the noise, up to a limit."""
JOINED = 0.1
"""Share of a device's range within which a trace begins where the one before ended."""
ALIKE = 0.05
"""Share of a ramp's height within which ramps end that were stopped at a conductance."""
EXTRA = 1.25
"""A ramp that stops at a level may take this many times the measured pulses to get there."""


@dataclass(frozen=True)
class StopRule:
    """Ramps that end at a conductance instead of after a number of pulses.

    Attributes:
        level: (R,) siemens; NaN for traces without the rule. direction: (R,) +1: ends when a read is at or above, -1: at or below.
    """

    level: F64
    direction: npt.NDArray[np.int8]


def stop_rule(traces: Traces) -> StopRule:
    """Guess the rule: ramps of one direction that hold different numbers of pulses were stopped by a conductance, not by a count.

    They then end alike, each device's to a twentieth of a ramp's height, or a step and a half, in the median; ramps cut anywhere do not.
    """
    level = np.full(len(traces), np.nan)
    side = sides(traces)
    lengths = np.diff(traces.start)
    first, last = traces.g[traces.start[:-1]], traces.g[traces.start[1:] - 1]
    for direction in (-1, 1):
        own = np.flatnonzero(side == direction)
        if len(own) < 2 or len(np.unique(lengths[own])) < 2:
            continue
        cell = traces.cell[own]
        off = np.concatenate([np.abs(last[own][cell == c] - np.median(last[own][cell == c])) for c in np.unique(cell)])
        if len(np.unique(cell)) == len(own):  # one ramp each: their ends can only be compared with one another
            off = np.abs(last[own] - np.median(last[own]))
        height = np.abs(last[own] - first[own])
        if np.median(off) <= np.median(height * np.maximum(ALIKE, 1.5 / np.maximum(lengths[own] - 1, 1))):
            level[own] = last[own]
    return StopRule(level, side)


@dataclass(frozen=True)
class Beginnings:
    """Where the traces of a replay begin.

    Attributes:
        state: (R,) siemens, the true state at the first read.
        jump: (R,) siemens between the end of the device's trace before and this one, which goes on from there; NaN: it begins anew.
    """

    state: F64
    jump: F64


def replay(
    cell: CellModel,
    traces: Traces,
    begin: Beginnings,
    *,
    replicas: int = 1,
    seed: int = 0,
    stop: StopRule | None = None,
    noise: ReadNoise = NO_READ_NOISE,
    known: Known | None = None,
) -> Traces:
    """Pulse and read fabricated cells as the traces were, all traces of a device on one cell (see `stand_ins`).

    Ageing is left out: successive pulses are assumed close in time. Faults are left out: the traces are of cells that work.

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
    played = lanes(bare, traces, replicas, streams, known)
    crossbar = EmulatedCrossbar(bare, 1, replicas * len(played.trace), pair=False, streams=streams)
    crossbar.cells = played.state
    errors = np.random.default_rng([seed, ERRORS]) if noise.correlated > 0 else None
    rows: list[tuple[F64, I64, npt.NDArray[np.int8]]] = [_NOTHING] * (replicas * len(traces))
    for turn in played.trace.T:
        trace = np.tile(turn, replicas)
        active = np.flatnonzero(trace >= 0)
        now = crossbar.conductance_now()[0, 0].astype(np.float64)
        goes_on = active[np.isfinite(begin.jump[trace[active]])] if played.trace.shape[1] > 1 else active[:0]
        wanted = now.copy()
        wanted[active] = begin.state[trace[active]]
        wanted[goes_on] = now[goes_on] + begin.jump[trace[goes_on]]
        crossbar.add_ideal((wanted - now).astype(np.float32)[None, :])
        replica = np.repeat(np.arange(replicas), len(turn))
        for lane, row in zip(active, _play(crossbar, traces, trace, active, stop, noise, errors), strict=True):
            rows[replica[lane] * len(traces) + trace[lane]] = row
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


_NOTHING = (np.empty(0), np.empty(0, np.int64), np.empty(0, np.int8))


def _play(
    crossbar: EmulatedCrossbar,
    traces: Traces,
    trace: I64,
    active: I64,
    stop: StopRule | None,
    noise: ReadNoise,
    errors: np.random.Generator | None,
) -> Iterator[tuple[F64, I64, npt.NDArray[np.int8]]]:
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


def beginnings(traces: Traces, noise: ReadNoise, step_std: float) -> Beginnings:
    """Where the traces begin, and which of them go on where the device's trace before ended.

    The states at both ends of a trace are read off lines through as many reads as the noise asks for. A trace goes on when it begins
    within a tenth of the device's range of the end of the one before, and by the difference, when it is more than noise.
    """
    first, last = (_end_states(traces, noise, step_std, at_end) for at_end in (False, True))
    low, high = (extreme.reduceat(traces.g, traces.start[:-1]) for extreme in (np.minimum, np.maximum))
    jump = np.full(len(traces), np.nan)
    order = np.argsort(traces.cell, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(traces.cell[order])) + 1):
        near = JOINED * float(high[own].max() - low[own].min()) + 3.0 * noise.total
        step = first[own[1:]] - last[own[:-1]]
        jump[own[1:]] = np.where(np.abs(step) > near, np.nan, np.where(np.abs(step) > 3.0 * noise.total, step, 0.0))
    return Beginnings(first, jump)


def _end_states(traces: Traces, noise: ReadNoise, step_std: float, at_end: bool) -> F64:
    """(R,) siemens: state at the first, or last, read of each trace, from a line through as many reads as the noise asks for.

    Without read noise it is that read itself; otherwise reads are averaged until the pulses' own scatter outweighs the gain.
    """
    result = traces.g[traces.start[1:] - 1 if at_end else traces.start[:-1]].copy()
    if noise.total <= 0.0:
        return result
    most = int(np.clip(LENGTHS * noise.length, MOST_READS, LIMIT)) if noise.correlated > 0 else MOST_READS
    wanted = int(np.clip(np.ceil(2.0 * noise.total / max(step_std, 1e-3 * noise.total)) + 1, 1, most))
    for r in range(len(traces)):
        own = slice(int(traces.start[r]), int(traces.start[r + 1]))
        order = slice(None, None, -1 if at_end else 1)
        g = traces.g[own][order][:wanted]
        direction = traces.direction[own][1:][order][: len(g) - 1]
        if len(g) >= 4 and (direction == direction[0]).all():
            result[r] = np.polynomial.polynomial.polyfit(np.arange(len(g)), g, 1)[0]
    return result
