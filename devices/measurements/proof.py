"""How well an emulated device does what the measured one did: distances per state with the data's own scatter as yardstick.

It never judges by one number alone: a distance that the data show against themselves is no fault of the emulator, and a distance
that is significant but small is called small.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.table import runs
from devices.measurements.traces import Traces

F64 = npt.NDArray[np.float64]

BINS = 8
SMALL, TOLERABLE = 0.15, 0.35
"""Wasserstein distances, in standard deviations of the measured steps, up to which a fit is called good and fair."""
WIDE, TOO_WIDE = 1.5, 5.0
"""Factors by which the spread over ramps may be off for a fit to be called good and fair."""
RESAMPLES = 200
SHORTEST_RAMP = 5
"""Pulses of the median ramp from which on a curve over pulses makes sense."""

Verdict = Literal["good", "fair", "bad", "unproven"]


@dataclass(frozen=True)
class Bin:
    """Comparison of two samples in one bin.

    Attributes:
        label: of the bin in words. direction: +1, -1, or 0. low, high: edges (siemens of the state, or seconds).
        measured, emulated: sizes. mean, std: (measured, emulated) siemens.
        wasserstein: siemens. ks: Kolmogorov-Smirnov distance. band, ks_band: their 95 % quantiles for the data against themselves.
        scale: siemens, standard deviation of the measured sample.
        wrong_sign: (measured, emulated) share of changes against the direction; NaN for samples that are not steps.
    """

    label: str
    direction: int
    low: float
    high: float
    measured: int
    emulated: int
    mean: tuple[float, float]
    std: tuple[float, float]
    wasserstein: float
    ks: float
    band: float
    ks_band: float
    scale: float
    wrong_sign: tuple[float, float] = (np.nan, np.nan)

    @property
    def relative(self) -> float:
        """Wasserstein distance in standard deviations of the data."""
        return self.wasserstein / self.scale if self.scale > 0 else float(np.inf if self.wasserstein > 0 else 0.0)

    @property
    def inside(self) -> bool:
        """Whether the distance is no larger than the data's from themselves."""
        return self.wasserstein <= self.band

    @property
    def excess(self) -> float:
        """By how many standard deviations the distance leaves the band; 0 inside it."""
        return 0.0 if self.inside else self.relative


@dataclass(frozen=True)
class Curve:
    """Mean and spread over pulses (or times): measured and emulated, for one direction.

    Attributes:
        kind: what x is. label: in words. x: pulse numbers or seconds. mean, std: (2, n) siemens, measured and emulated.
        count: (n,) measured traces at each x.
    """

    kind: Literal["pulses", "seconds"]
    label: str
    x: F64
    mean: F64
    std: F64
    count: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Proof:
    """Everything a comparison found.

    Attributes:
        what: the compared quantity. how: what was held out, in a sentence. bins: comparisons. curves: mean and spread.
        facts: name -> (measured, emulated, unit), whole-sample numbers. yardstick: what the band is of.
    """

    what: str
    how: str
    bins: tuple[Bin, ...]
    curves: tuple[Curve, ...] = ()
    facts: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    yardstick: str = "the data against themselves"

    @property
    def spread_off(self) -> tuple[float, Curve | None]:
        """Factor by which the spread over ramps is too large (or, inverted, too small) in the later half of the worst curve.

        1 without curves of at least five ramps. Chance is allowed for: a factor within the 99 % range of an F ratio counts as 1.
        """
        worst, which = 1.0, None
        for curve in self.curves:
            later = curve.count >= 5
            later[: len(later) // 2] = False
            if curve.kind != "pulses" or not later.any():
                continue
            count = int(np.median(curve.count[later]))
            ratio = float(np.median(curve.std[1, later] / np.maximum(curve.std[0, later], 1e-30)))
            chance = float(np.sqrt(stats.f.ppf(0.995, 10 * count, count - 1)))
            if max(ratio, 1.0 / max(ratio, 1e-30)) > max(chance, max(worst, 1.0 / worst)):
                worst, which = ratio, curve
        return worst, which

    @property
    def worst(self) -> Bin | None:
        """The bin whose distance stands out most: the largest relative distance among those outside their band, else of all."""
        if not self.bins:
            return None
        outside = [b for b in self.bins if not b.inside]
        return max(outside or self.bins, key=lambda b: b.relative)

    @property
    def by_chance(self) -> bool:
        """Whether no more bins are outside their bands, and no farther, than chance allows."""
        outside = [b for b in self.bins if not b.inside]
        allowed = int(stats.binom.ppf(0.99, len(self.bins), 0.05))
        return len(outside) <= allowed and all(b.wasserstein <= 1.5 * b.band for b in outside)

    @property
    def verdict(self) -> Verdict:
        """good, fair or bad by the worst bin outside its band; unproven without bins.

        Of many bins one in twenty lies outside its 95 % band by chance: as few as that (99 % quantile), and not by more than half
        the band, count as inside.
        """
        if not self.bins:
            return "unproven"
        worst = 0.0 if self.by_chance else max(b.excess for b in self.bins)
        ratio, _ = self.spread_off
        factor = max(ratio, 1.0 / ratio)
        if worst <= SMALL and factor <= WIDE:
            return "good"
        return "fair" if worst <= TOLERABLE and factor <= TOO_WIDE else "bad"

    def sentence(self) -> str:
        """The first line of a report."""
        worst = self.worst
        if worst is None:
            return f"UNPROVEN {self.what}: {self.how}"
        within = sum(b.inside for b in self.bins)
        name = {"good": "GOOD FIT", "fair": "FAIR FIT", "bad": "BAD FIT"}[self.verdict]
        place = (
            f"worst region: {worst.label}, Wasserstein distance {worst.relative:.2f} standard deviations of the data"
        )
        band = worst.band / worst.scale if worst.scale > 0 else float("nan")
        weak = max((b.band / b.scale for b in self.bins if b.scale > 0), default=0.0)
        doubt = (
            f"; the data differ from themselves by up to {weak:.2f}, so they cannot tell more"
            if weak > TOLERABLE
            else ""
        )
        return (
            f"{name} of {self.what}: {within} of {len(self.bins)} bins within the 95 % band of {self.yardstick}; "
            f"{place} (band {band:.2f}){doubt}{self._shape(worst)}{self._spread()}"
        )

    @staticmethod
    def _shape(worst: Bin) -> str:
        """What is wrong in the worst bin, when it is only the shape."""
        if worst.inside or not worst.emulated or worst.scale <= 0 or worst.std[0] <= 0:
            return ""
        shift = abs(worst.mean[1] - worst.mean[0]) / worst.scale
        if shift < 0.1 and 0.9 < worst.std[1] / worst.std[0] < 1.1:
            return "; its mean and spread agree, the shape of its distribution does not"
        return ""

    def _spread(self) -> str:
        ratio, curve = self.spread_off
        if curve is None or max(ratio, 1.0 / ratio) <= WIDE:
            return ""
        return f"; the spread over {curve.label} ramps is {ratio:.2g} times the measured one: there the cell's history counts"


def two_sample(a: F64, b: F64) -> tuple[float, float]:
    """Wasserstein distance (in the units of the samples) and Kolmogorov-Smirnov distance of two samples."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate((a, b))
    # The statistic alone: scipy's ks_2samp spends most of its time on a p-value that is not wanted here.
    gap = np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
    return float(stats.wasserstein_distance(a, b)), float(np.abs(gap).max())


def compare(
    measured: F64,
    emulated: F64,
    reference: F64,
    *,
    label: str,
    direction: int = 0,
    low: float = np.nan,
    high: float = np.nan,
    measured_cluster: npt.NDArray[np.int64] | None = None,
    reference_cluster: npt.NDArray[np.int64] | None = None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Bin:
    """Compare two samples; the band is how far resamples of the data, as large as the held-out and the fitted part, lie apart.

    Args:
        measured: (n,) held-out values. emulated: (m,). reference: (k,) the fitted values of the same bin.
        label, direction, low, high: of the bin. rng: of the bootstrap, resamples: how many.
        measured_cluster, reference_cluster: (n,), (k,) trace or cell of each value; whole clusters are resampled when there are
            at least eight, so that values that hang together do not make the band too narrow.
    """
    pooled = np.concatenate((measured, reference))
    if measured_cluster is None or reference_cluster is None:
        clusters = np.arange(len(pooled))
    else:
        clusters = np.concatenate((measured_cluster, reference_cluster))
    names, cluster = np.unique(clusters, return_inverse=True)
    by_cluster = len(names) >= 8 and len(names) < len(pooled)
    members = np.split(np.argsort(cluster, kind="stable"), np.cumsum(np.bincount(cluster))[:-1]) if by_cluster else []
    sizes = len(measured), max(len(reference), 1)
    distances = np.empty((resamples, 2))
    for k in range(resamples):
        samples = []
        for size in sizes:
            if by_cluster:
                wanted = max(1, round(size * len(names) / len(pooled)))
                samples.append(pooled[np.concatenate([members[c] for c in rng.integers(0, len(names), wanted)])])
            else:
                samples.append(pooled[rng.integers(0, len(pooled), size)])
        distances[k] = two_sample(samples[0], samples[1])
    band = np.quantile(distances, 0.95, axis=0)
    wrong = (
        (float(np.mean(measured * direction < 0)), float(np.mean(emulated * direction < 0)))
        if direction
        else (np.nan, np.nan)
    )
    return Bin(
        label,
        direction,
        low,
        high,
        len(measured),
        len(emulated),
        (float(measured.mean()), float(emulated.mean())),
        (float(measured.std()), float(emulated.std())),
        *two_sample(measured, emulated),
        float(band[0]),
        float(band[1]),
        float(pooled.std()),
        wrong,
    )


def steps_proof(
    fitted: Traces,
    held_out: Traces,
    emulated: Traces,
    states: tuple[F64, F64, F64],
    *,
    how: str,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Proof:
    """Compare the steps of held-out traces with those of their emulated replay, in bins of the state.

    Args:
        fitted, held_out: the two parts of the data. emulated: replay of the held-out traces.
        states: state before each read, (N,) siemens, of the three, found in the same way for all.
        how: what was held out.
        seed: of the bootstrap. resamples: how many.
    """
    rng = np.random.default_rng(seed)
    bins: list[Bin] = []
    facts: dict[str, tuple[float, float, str]] = {}
    for direction, word in ((1, "potentiation"), (-1, "depression")):
        samples = []
        for part, state in zip((held_out, emulated, fitted), states, strict=True):
            change, at, sides = part.changes()
            own = sides == direction
            samples.append(((change / part.pulses[at])[own], state[at][own], part.trace_of()[at][own]))
        (held, held_state, held_trace), (copy, copy_state, _), (fit, fit_state, fit_trace) = samples
        if len(held) < 2 or not len(copy):
            continue
        facts |= _step_facts(word, direction, held, copy)
        count = int(np.clip(len(held) // 25, 1, BINS))
        edges = np.quantile(held_state, np.linspace(0.0, 1.0, count + 1))
        for k in range(count):
            low, high = float(edges[k]), float(edges[k + 1])
            own, other, reference = ((state >= low) & (state <= high) for state in (held_state, copy_state, fit_state))
            label = f"{word} at {1e6 * low:.4g} to {1e6 * high:.4g} uS"
            if own.sum() < 2:
                continue
            if not other.any():
                bins.append(_never_reached(label, direction, low, high, held[own]))
                continue
            bins.append(
                compare(
                    held[own],
                    copy[other],
                    fit[reference],
                    label=label,
                    direction=direction,
                    low=low,
                    high=high,
                    measured_cluster=held_trace[own],
                    reference_cluster=fit_trace[reference] + len(held_out),
                    rng=rng,
                    resamples=resamples,
                )
            )
    curves, more = ramp_curves(held_out, emulated)
    return Proof("the pulse response", how, tuple(bins), curves, facts | more)


def _never_reached(label: str, direction: int, low: float, high: float, held: F64) -> Bin:
    spread = float(held.std()) or abs(float(held.mean())) or 1e-12
    return Bin(
        f"{label} (never reached by the emulator)",
        direction,
        low,
        high,
        len(held),
        0,
        (float(held.mean()), np.nan),
        (float(held.std()), np.nan),
        spread,
        1.0,
        0.0,
        0.0,
        spread,
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


def _ramps(traces: Traces, direction: int) -> Iterator[tuple[npt.NDArray[np.int64], F64]]:
    """Yield pulse numbers and reads of every run of pulses in one direction, from the read before it."""
    for r in range(len(traces)):
        first, last = int(traces.start[r]), int(traces.start[r + 1])
        sides = np.where(traces.pulses[first + 1 : last] > 0, traces.direction[first + 1 : last], 0)
        for run in runs(sides):
            if sides[run.start] == direction:
                a, b = first + run.start, first + run.stop + 1
                yield np.concatenate(([0], np.cumsum(traces.pulses[a + 1 : b]))), traces.g[a:b]


def ramp_curves(held_out: Traces, emulated: Traces) -> tuple[tuple[Curve, ...], dict[str, tuple[float, float, str]]]:
    """Mean and spread over ramps against the pulse number, and the ramps' end points and lengths."""
    curves: list[Curve] = []
    facts: dict[str, tuple[float, float, str]] = {}
    for direction, word in ((1, "potentiation"), (-1, "depression")):
        grids = [list(_ramps(part, direction)) for part in (held_out, emulated)]
        if not grids[0] or not grids[1]:
            continue
        longest = int(np.median([x[-1] for x, _ in grids[0]]))
        if longest < SHORTEST_RAMP:
            continue
        pulse = np.unique(np.linspace(0, longest, min(longest + 1, 101)).astype(int))
        mean, std, counts = (
            np.full((2, len(pulse)), np.nan),
            np.full((2, len(pulse)), np.nan),
            np.zeros(len(pulse), np.int64),
        )
        for k, rows in enumerate(grids):
            values = np.full((len(rows), len(pulse)), np.nan)
            for j, (x, g) in enumerate(rows):
                reached = pulse <= x[-1]
                values[j, reached] = np.interp(pulse[reached], x, g)
            some = np.isfinite(values).any(axis=0)
            mean[k, some] = np.nanmean(values[:, some], axis=0)
            std[k, some] = np.nanstd(values[:, some], axis=0)
            if k == 0:
                counts = np.isfinite(values).sum(axis=0)
        curves.append(Curve("pulses", word, pulse.astype(np.float64), mean, std, counts))
        ends = [np.array([g[-1] for _, g in rows]) for rows in grids]
        lengths = [np.array([x[-1] for x, _ in rows], np.float64) for rows in grids]
        facts |= {
            f"{word}: end of a ramp, mean": (float(ends[0].mean()), float(ends[1].mean()), "S"),
            f"{word}: end of a ramp, spread": (float(ends[0].std()), float(ends[1].std()), "S"),
            f"{word}: pulses to the end, mean": (float(lengths[0].mean()), float(lengths[1].mean()), ""),
            f"{word}: pulses to the end, spread": (float(lengths[0].std()), float(lengths[1].std()), ""),
        }
    return tuple(curves), facts
