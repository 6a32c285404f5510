"""Steps of held-out traces against those of their emulated replay, in bins of the state. It never replays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.data.traces import Traces
from devices.measurements.proof.proof import (
    FEWEST_CLUSTERS,
    FEWEST_DEVICES,
    RESAMPLES,
    Bin,
    Proof,
    compare,
)
from devices.measurements.proof.quantities import shown_by
from devices.measurements.proof.ramp_curves import ramp_curves
from devices.measurements.proof.resampling import Binned, times_drawn, widened

F64 = npt.NDArray[np.float64]

BINS = 8


@dataclass(frozen=True)
class _Compared:
    """Number of a bin, its steps, held-out and fitted, and the device of each."""

    number: int
    steps: F64
    device: npt.NDArray[np.int64]


def steps_proof(
    fitted: Traces,
    held_out: Traces,
    emulated: Traces,
    states: tuple[F64, F64, F64],
    *,
    how: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
    several: bool | None = None,
) -> Proof:
    """Compare the steps of held-out traces with those of their emulated replay, in bins of the state.

    Args:
        fitted, held_out: the two parts of the data; the same object twice when all were held out (in turn, or from a card that was
            fitted to none). emulated: replay of the held-out traces.
        states: state before each read, (N,) siemens, of the three, found in the same way for all.
        how: what was held out.
        seed: of the bootstrap. resamples: how many.
        several: whether devices, and not their traces, are what chance draws; None: as the two parts suggest.
    """
    rng = np.random.default_rng(seed)
    bins: list[Bin] = []
    facts: dict[str, tuple[float, float, str]] = {}
    several = _devices_are_drawn(fitted, held_out) if several is None else several
    alone = fitted is held_out
    compared: list[_Compared] = []
    for direction, word in ((1, "potentiation"), (-1, "depression")):
        (held, held_state, held_unit), (copy, copy_state, _), (fit, fit_state, fit_unit) = (
            _steps(part, state, direction, several)
            for part, state in zip((held_out, emulated, fitted), states, strict=True)
        )
        if len(held) < 2 or not len(copy):
            continue
        facts |= _step_facts(word, direction, held, copy)
        count = int(np.clip(len(held) // 25, 1, BINS))
        edges = np.quantile(held_state, np.linspace(0.0, 1.0, count + 1))
        levelled = _levelled((held, copy, fit), (held_state, copy_state, fit_state), edges)
        ranges = [(float(edges[k]), float(edges[k + 1]), False) for k in range(count)]
        for low, high, whole in [*ranges, (float(edges[0]), float(edges[-1]), True)]:
            own, other, reference = (
                whole | ((state >= low) & (state <= high)) for state in (held_state, copy_state, fit_state)
            )
            steps = levelled if whole else (held, copy, fit)
            place = "all states" if whole else f"{1e6 * max(low, 0.0):.4g} to {1e6 * high:.4g} uS"
            label = f"{word} at {place}"
            if own.sum() < 2:
                continue
            if not other.any():
                bins.append(_never_reached(label, direction, low, high, held[own]))
                continue
            if not whole:
                last = 1 if alone else 2
                both, units = (steps[0][own], steps[2][reference]), (held_unit[own], fit_unit[reference])
                compared.append(_Compared(len(bins), np.concatenate(both[:last]), np.concatenate(units[:last])))
            bins.append(
                compare(
                    steps[0][own],
                    steps[1][other],
                    None if alone else steps[2][reference],
                    label=label,
                    direction=direction,
                    low=low,
                    high=high,
                    measured_cluster=held_unit[own],
                    reference_cluster=None if alone else fit_unit[reference] + (0 if several else len(held_out)),
                    fewest=FEWEST_DEVICES if several else FEWEST_CLUSTERS,
                    whole=whole,
                    rng=rng,
                    resamples=resamples,
                )
            )
    curves, more = ramp_curves(held_out, emulated, rng, several=several)
    together = _together(compared, bins, held_out, fitted, rng, resamples) if several else None
    shown = shown_by(held_out, emulated, (states[0], states[1]), several=several)
    return Proof("pulse", how, tuple(bins), curves, facts | more, together=together, shown=shown)


def _steps(traces: Traces, state: F64, direction: int, several: bool) -> tuple[F64, F64, npt.NDArray[np.int64]]:
    """Steps of one direction, (n,) siemens per pulse, the states before them, and what each is of: its device, or its trace."""
    change, at, sides = traces.changes()
    own = sides == direction
    trace = traces.trace_of()[at][own]
    return (change / traces.pulses[at])[own], state[at][own], traces.cell[trace] if several else trace


def _together(
    compared: Sequence[_Compared],
    bins: Sequence[Bin],
    held_out: Traces,
    fitted: Traces,
    rng: np.random.Generator,
    resamples: int,
) -> float:
    """How many of its bands the farthest bin lies off at most in 99 % of the resamples of whole devices, the same in every bin.

    Args:
        compared: samples of the bins. bins: of which `compared` are those that were compared.
        held_out, fitted: how many devices are drawn. rng: of the bootstrap. resamples: how many.
    """
    names = np.union1d(held_out.cell, fitted.cell)
    draws = [
        times_drawn(rng.integers(0, len(names), (resamples, len(np.unique(part.cell)))), len(names))
        for part in (held_out, fitted)
    ]
    worst = np.ones(resamples)
    for sample in compared:
        band = bins[sample.number].band
        if band <= 0:
            continue
        binned = Binned.of(sample.steps)
        of_device = binned.by_cluster(np.searchsorted(names, sample.device), len(names))
        one, other = (times @ of_device for times in draws)
        enough = (one.sum(axis=1) > 1) & (other.sum(axis=1) > 1)
        distance = widened(len(names)) * binned.distances(one, other)[:, 0] / band
        worst = np.where(enough, np.maximum(worst, distance), worst)
    return float(np.quantile(worst, 0.99))


def _levelled(steps: Sequence[F64], states: Sequence[F64], edges: F64) -> tuple[F64, ...]:
    """Steps about the measured mean step of their state, with the mean of all put on: so that few steps of many states compare.

    Args:
        steps, states: of the held-out, emulated and fitted part. edges: of the bins of the state.
    """
    measured, state = np.concatenate((steps[0], steps[2])), np.concatenate((states[0], states[2]))
    at = np.clip(np.searchsorted(edges, state, side="right") - 1, 0, len(edges) - 2)
    number = np.maximum(np.bincount(at, minlength=len(edges) - 1), 1)
    centre, mean = (np.bincount(at, values, len(edges) - 1) / number for values in (state, measured))
    return tuple(
        own - np.interp(where, centre, mean) + measured.mean() for own, where in zip(steps, states, strict=True)
    )


def _devices_are_drawn(fitted: Traces, held_out: Traces) -> bool:
    """Whether devices, and not their traces, are what a bootstrap must draw: they differ as wholes.

    Not where the same devices are fitted and held out, for then their differences are in both parts.
    """
    shared = np.intersect1d(held_out.cell, fitted.cell)
    devices = np.union1d(held_out.cell, fitted.cell)
    return len(devices) >= FEWEST_DEVICES and (fitted is held_out or not len(shared))


def _never_reached(label: str, direction: int, low: float, high: float, held: F64) -> Bin:
    spread = float(held.std()) or abs(float(held.mean())) or 1e-12
    return Bin(
        label=f"{label} (never reached by the emulator)",
        direction=direction,
        low=low,
        high=high,
        measured=len(held),
        emulated=0,
        mean=(float(held.mean()), np.nan),
        std=(float(held.std()), np.nan),
        wasserstein=spread,
        ks=1.0,
        band=0.0,
        ks_band=0.0,
        scale=spread,
    )


def _step_facts(word: str, direction: int, held: F64, copy: F64) -> dict[str, tuple[float, float, str]]:
    scattered = all(len(part) > 2 and part.std() > 1e-9 * np.abs(part).max() for part in (held, copy))
    skew = (float(stats.skew(held)), float(stats.skew(copy))) if scattered else (0.0, 0.0)
    return {
        f"{word}: mean step": (float(held.mean()), float(copy.mean()), "S"),
        f"{word}: standard deviation of steps": (float(held.std()), float(copy.std()), "S"),
        f"{word}: skewness of steps": (*skew, ""),
        f"{word}: steps of the wrong sign": (
            float(np.mean(held * direction < 0)),
            float(np.mean(copy * direction < 0)),
            "%",
        ),
    }
