"""The experiment of some traces done again on an emulated chip: same starting states, same pulses, reads included. It never fits."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cell import CellModel, PulseModel, ReadNoiseModel
from analog_sim.chip import PulseCounts
from analog_sim.emulated import EmulatedCrossbar
from analog_sim.rng import Streams
from devices.measurements.read_noise import NO_READ_NOISE, ReadNoise
from devices.measurements.traces import Traces

F64 = npt.NDArray[np.float64]

ERRORS = 7
"""Distinguishes the stream of read errors that are drawn here."""
MOST_READS, LENGTHS, LIMIT = 15, 3.0, 40
"""First reads that a starting state is taken from at most; or so many correlation lengths of the noise, up to a limit."""
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
    """Guess the rule: ramps of one direction that hold different numbers of pulses were stopped by a conductance, not by a count."""
    level = np.full(len(traces), np.nan)
    side = np.zeros(len(traces), np.int8)
    lengths = np.diff(traces.start)
    for r in range(len(traces)):
        directions = traces.direction[traces.start[r] + 1 : traces.start[r + 1]]
        if len(directions) and (directions == directions[0]).all():
            side[r] = directions[0]
    for direction in (-1, 1):
        own = side == direction
        if own.sum() >= 2 and len(np.unique(lengths[own])) > 1:
            level[own] = traces.g[traces.start[1:] - 1][own]
    return StopRule(level, side)


def replay(
    cell: CellModel,
    traces: Traces,
    initial: F64,
    *,
    replicas: int = 1,
    seed: int = 0,
    stop: StopRule | None = None,
    noise: ReadNoise = NO_READ_NOISE,
) -> Traces:
    """Pulse and read fabricated cells as the traces were.

    Ageing is left out: successive pulses are assumed close in time. Faults are left out: the traces are of cells that work.

    Args:
        cell: the compiled card.
        traces: R traces of N reads: which pulses, in which order.
        initial: (R,) siemens, the true state at the first read.
        replicas: independent repetitions, each on cells of their own.
        seed: of fabrication and noise.
        stop: when a ramp ends before, or after, its measured number of pulses.
        noise: of the reads, in place of the card's when it is correlated, because the emulator draws every read independently.

    Returns:
        replicas * R traces, replica by replica, as read.
    """
    bare = replace(cell, drift=None, relaxation=None, faults=type(cell.faults)())
    if noise.correlated > 0:
        bare = replace(bare, read=ReadNoiseModel())
    count = len(traces) * replicas
    crossbar = EmulatedCrossbar(bare, 1, count, pair=False, streams=Streams(seed).child("replay"))
    start = np.tile(np.asarray(initial, np.float32), replicas)
    crossbar.add_ideal(start[None, :] - crossbar.conductance_now()[0])
    measured = np.tile(np.diff(traces.start), replicas)
    level = np.full(count, np.nan) if stop is None else np.tile(stop.level, replicas)
    side = np.zeros(count) if stop is None else np.tile(stop.direction, replicas)
    ruled = np.isfinite(level)
    length = np.where(ruled, np.ceil(EXTRA * measured), measured).astype(np.int64)
    first = np.tile(traces.start[:-1], replicas)
    reads = np.full((count, int(length.max())), np.nan)
    errors = np.zeros(reads.shape)
    if noise.correlated > 0:
        errors = noise.draw(np.random.default_rng([seed, ERRORS]), *reads.shape)
    pulses = np.zeros(reads.shape, np.int64)
    directions = np.zeros(reads.shape, np.int8)
    alive = np.ones(count, bool)
    for k in range(reads.shape[1]):
        alive &= k < length
        if not alive.any():
            break
        if k > 0:
            at = first[alive] + np.minimum(
                k, measured[alive] - 1
            )  # beyond the measured ramp its last pulse is repeated
            pulses[alive, k], directions[alive, k] = traces.pulses[at], traces.direction[at]
            counts = pulses[:, k] * directions[:, k]
            if counts.any():
                crossbar.pulse(PulseCounts(counts[None, None, :].astype(np.int32)))
        reads[alive, k] = crossbar.read_conductance()[0, 0, alive] + errors[alive, k]
        if k > 0:
            with np.errstate(invalid="ignore"):
                alive &= ~(ruled & (side * (reads[:, k] - level) >= 0))
    done = np.isfinite(reads)
    owner = np.tile(np.arange(len(traces)), replicas)
    return Traces(
        reads[done],
        pulses[done],
        directions[done],
        np.concatenate(([0], np.cumsum(done.sum(axis=1)))).astype(np.int64),
        traces.cell[owner],
        traces.sequence[owner],
        traces.amplitude[owner],
        traces.width[owner],
    )


def initial_states(traces: Traces, noise: ReadNoise, step_std: float) -> F64:
    """(R,) siemens: state at the first read of each trace, from a line through as many first reads as the noise asks for.

    Without read noise it is the first read itself; otherwise reads are averaged until the pulses' own scatter outweighs the gain.
    """
    result = traces.g[traces.start[:-1]].copy()
    if noise.total <= 0.0:
        return result
    most = int(np.clip(LENGTHS * noise.length, MOST_READS, LIMIT)) if noise.correlated > 0 else MOST_READS
    wanted = int(np.clip(np.ceil(2.0 * noise.total / max(step_std, 1e-3 * noise.total)) + 1, 1, most))
    for r in range(len(traces)):
        g = traces.g[traces.start[r] : traces.start[r + 1]][:wanted]
        direction = traces.direction[traces.start[r] + 1 : traces.start[r] + len(g)]
        if len(g) >= 4 and (direction == direction[0]).all():
            result[r] = np.polynomial.polynomial.polyfit(np.arange(len(g)), g, 1)[0]
    return result


def one_device(cell: CellModel, table: int) -> CellModel:
    """Return the model of one measured device of a card with several tables."""
    pulse = cell.pulse
    if pulse is None or pulse.tables == 1:
        return cell
    own = slice(table, table + 1)
    single = PulseModel(
        pulse.up_mean[own],
        pulse.up_std[own],
        pulse.down_mean[own],
        pulse.down_std[own],
        None if pulse.up_quantiles is None else pulse.up_quantiles[own],
        None if pulse.down_quantiles is None else pulse.down_quantiles[own],
    )
    return replace(cell, pulse=single, windows=None if cell.windows is None else cell.windows[own])
