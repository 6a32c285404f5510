"""Mean and spread of ramps against the pulse number, measured and emulated, with end points and lengths. It never judges."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.data.traces import Traces
from devices.measurements.proof.proof import RESAMPLES, Curve
from devices.measurements.table.table import runs

F64 = npt.NDArray[np.float64]
Ramp = tuple[int, npt.NDArray[np.int64], F64]
"""Cell, pulse numbers and reads (siemens) of one ramp."""

SHORTEST_RAMP = 5
"""Pulses of the median ramp from which on a curve over pulses makes sense."""


def ramps_of(traces: Traces, direction: int) -> Iterator[Ramp]:
    """Yield the cell, pulse numbers and reads of every run of pulses in one direction, from the read before it."""
    for r in range(len(traces)):
        first, last = int(traces.start[r]), int(traces.start[r + 1])
        sides = np.where(traces.pulses[first + 1 : last] > 0, traces.direction[first + 1 : last], 0)
        for run in runs(sides):
            if sides[run.start] == direction:
                a, b = first + run.start, first + run.stop + 1
                number = np.concatenate(([0], np.cumsum(traces.pulses[a + 1 : b])))
                yield int(traces.cell[r]), number, traces.g[a:b]


def ramp_curves(
    held_out: Traces, emulated: Traces, rng: np.random.Generator, *, several: bool = False
) -> tuple[tuple[Curve, ...], dict[str, tuple[float, float, str]]]:
    """Mean and spread over ramps against the pulse number, and the ramps' end points and lengths.

    Args:
        held_out, emulated: measured traces and their replay. rng: of the bootstrap.
        several: whether devices, and not single ramps, are what the bootstrap draws.
    """
    curves: list[Curve] = []
    facts: dict[str, tuple[float, float, str]] = {}
    for direction, word in ((1, "potentiation"), (-1, "depression")):
        ramps = [list(ramps_of(part, direction)) for part in (held_out, emulated)]
        if not ramps[0] or not ramps[1]:
            continue
        longest = int(np.median([x[-1] for _, x, _ in ramps[0]]))
        if longest < SHORTEST_RAMP:
            continue
        pulse = np.unique(np.linspace(0, longest, min(longest + 1, 101)).astype(int))
        measured, copied = (_at_pulses(rows, pulse) for rows in ramps)
        mean, std = np.stack([_mean_and_std(values) for values in (measured, copied)], axis=1)
        counts = np.isfinite(measured).sum(axis=0)
        curve = Curve("pulses", word, pulse.astype(np.float64), mean, std, counts, direction=direction)
        owner = np.array([cell for cell, _, _ in ramps[0]]) if several else np.arange(len(ramps[0]))
        chance = _chance(measured[:, curve.later], owner, len(measured) / len(copied), rng)
        curves.append(replace(curve, chance=chance))
        facts |= _end_facts(word, ramps)
    return tuple(curves), facts


def _at_pulses(ramps: Sequence[Ramp], pulse: npt.NDArray[np.int64]) -> F64:
    """(ramps, n) siemens at n pulse numbers, NaN beyond a ramp's end."""
    values = np.full((len(ramps), len(pulse)), np.nan)
    for j, (_, x, g) in enumerate(ramps):
        reached = pulse <= x[-1]
        values[j, reached] = np.interp(pulse[reached], x, g)
    return values


def _mean_and_std(values: F64) -> F64:
    """(2, n) mean and standard deviation over ramps, NaN where none is left."""
    result = np.full((2, values.shape[1]), np.nan)
    some = np.isfinite(values).any(axis=0)
    result[:, some] = np.nanmean(values[:, some], axis=0), np.nanstd(values[:, some], axis=0)
    return result


def _end_facts(word: str, ramps: Sequence[Sequence[Ramp]]) -> dict[str, tuple[float, float, str]]:
    """End points and lengths of the measured and the emulated ramps."""
    ends = [np.array([g[-1] for _, _, g in rows]) for rows in ramps]
    lengths = [np.array([x[-1] for _, x, _ in rows], np.float64) for rows in ramps]
    return {
        f"{word}: end of a ramp, mean": (float(ends[0].mean()), float(ends[1].mean()), "S"),
        f"{word}: end of a ramp, spread": (float(ends[0].std()), float(ends[1].std()), "S"),
        f"{word}: pulses to the end, mean": (float(lengths[0].mean()), float(lengths[1].mean()), ""),
        f"{word}: pulses to the end, spread": (float(lengths[0].std()), float(lengths[1].std()), ""),
    }


def _chance(values: F64, owner: npt.NDArray[np.int64], share: float, rng: np.random.Generator) -> float:
    """Factor by which the spread over ramps may differ from itself by chance (99 % of two directions), devices or ramps resampled whole.

    Args:
        values: (ramps, n) siemens, NaN beyond a ramp's end. owner: (ramps,) what is drawn. share: measured over emulated ramps.
        rng: of the bootstrap.
    """
    names, unit = np.unique(owner, return_inverse=True)
    spread = np.nanstd(values, axis=0) if values.size else np.empty(0)
    judged = spread > 0
    if len(names) < 2 or not judged.any():
        return 1.0
    members = [np.flatnonzero(unit == k) for k in range(len(names))]
    ratio = np.full(RESAMPLES, np.nan)
    for k in range(RESAMPLES):
        drawn = np.concatenate([members[j] for j in rng.integers(0, len(names), len(names))])
        again = values[drawn][:, judged]
        reached = np.isfinite(again).sum(axis=0) > 1
        if reached.any():
            ratio[k] = np.median(np.nanstd(again[:, reached], axis=0) / spread[judged][reached])
    ratio = ratio[ratio > 0]
    if len(ratio) < 2:
        return 1.0
    fewer = len(names) / (len(names) - 1.0)  # resamples scatter less than samples of so few
    error = float(np.log(ratio).std() * np.sqrt(fewer * (1.0 + share)))
    return float(np.exp(min(float(stats.t.ppf(0.9975, len(names) - 1)) * error, 50.0)))
