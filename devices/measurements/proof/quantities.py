"""Mean step, scatter of steps and spread between devices, emulated over measured, each with an interval. It never judges.

Every step is set against the measured mean step of its state, ``mu(state)``, because ramps that saturate end alike whatever the size
of a step: sums of steps over sums of mu tell it at equal states. Clusters (whole devices, ramps, or stretches of ramps) carry the error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.data.traces import Traces
from devices.measurements.proof.shown import Quantity, Shown

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

BINS = 8
"""Of the state, for the mean step."""
LEAST_CLUSTERS, PIECES = 3, 24
"""Clusters that an interval needs; stretches that few ramps are cut into, in all."""
FEWEST_STEPS = 20
"""Steps, in a region that can only refute."""
FLOOR_DEVICES, FLOOR_STEPS = 0.05, 0.02
"""Spread between devices, and scatter of steps, that are none, as shares of the mean step."""
HIDDEN = 0.5
"""Share of read noise in the variance of a change from which on the pulses' own scatter must be shown. There, half of it or half as much
again changes all scatter by a factor of 0.79 or 1.27, which the bins still see (0.15 standard deviations); with more noise they do not."""
MOST = 99.0
"""Half-width that says nothing is known."""


@dataclass(frozen=True)
class Sample:
    """Steps of one direction, measured or emulated.

    Attributes:
        step: (n,) siemens per pulse. state: (n,) siemens before it. cluster: (n,) number of what hangs together, in the order measured.
        device, replica: (n,) of each. turn: (n,) whether the pulse before was of the other direction; joined: whether of the same one.
    """

    step: F64
    state: F64
    cluster: I64
    device: I64
    replica: I64
    turn: npt.NDArray[np.bool_]
    joined: npt.NDArray[np.bool_]

    def take(self, mask: npt.NDArray[np.bool_]) -> "Sample":
        """Return some steps."""
        return Sample(
            self.step[mask],
            self.state[mask],
            self.cluster[mask],
            self.device[mask],
            self.replica[mask],
            self.turn[mask],
            self.joined[mask],
        )


def shown_by(measured: Traces, emulated: Traces, states: tuple[F64, F64], *, several: bool) -> tuple[Shown, ...]:
    """Return the ratios that a verdict rests on.

    Args:
        measured: R traces. emulated: their replay, replica by replica, R traces each.
        states: state before each read of both, siemens, found in the same way.
        several: whether the devices are drawn from a population that the card stands for; else the claim is about these devices.
    """
    rows: list[Shown] = []
    samples: list[tuple[Sample, Sample, F64, F64]] = []
    for direction, word in ((1, "potentiation"), (-1, "depression")):
        held = sample_of(measured, states[0], direction, len(measured), several)
        copy = sample_of(emulated, states[1], direction, len(measured), several)
        if len(held.step) < 2 or not len(copy.step):
            continue
        mu = MeanStep(held.state, held.step)
        own, other = mu(held.state), mu(copy.state)
        samples.append((held, copy, own, other))
        everything = np.ones(len(held.step), bool), np.ones(len(copy.step), bool)
        rows.append(_mean_row(held, copy, own, other, everything, word, True, several))
        rows += _regions(held, copy, own, other, word, several)
        rows += _scatter_rows(held, copy, own, other, word)
    if several and samples:
        rows.append(_device_row(samples))
    return tuple(rows)


def sample_of(traces: Traces, state: F64, direction: int, per_replica: int, several: bool) -> Sample:
    """Steps of one direction with their clusters; `per_replica`: traces of one replica."""
    change, at, side = traces.changes()
    own = side == direction
    read = at[own]
    trace = traces.trace_of()[read]
    before = traces.inside()[read - 1] & (traces.pulses[read - 1] > 0)
    last = traces.direction[read - 1]
    device = traces.cell[trace]
    if several:
        cluster = device
    else:
        pieces = max(1, int(np.ceil(PIECES / per_replica)))
        place = (read - traces.start[trace]) * pieces // np.diff(traces.start)[trace]
        cluster = (trace % per_replica) * pieces + np.minimum(place, pieces - 1)
    return Sample(
        (change / traces.pulses[at])[own],
        state[read],
        np.asarray(cluster, np.int64),
        device,
        trace // per_replica,
        before & (last == -direction),
        before & (last == direction),
    )


class MeanStep:
    """Measured mean step over the state, siemens: means of bins of equal size, as many as its scatter allows, interpolated."""

    def __init__(self, state: F64, step: F64) -> None:
        order = np.argsort(state, kind="stable")
        parts = np.array_split(order, int(np.clip(len(step) // 25, 1, BINS)))
        while len(parts) > 1 and not all(_told(step[part]) for part in parts):
            parts = np.array_split(order, len(parts) // 2)
        centre = np.array([state[part].mean() for part in parts])
        self.centre, same = np.unique(centre, return_inverse=True)
        number = np.bincount(same, [len(part) for part in parts])
        self.mean = np.bincount(same, [step[part].sum() for part in parts]) / number

    def __call__(self, state: F64) -> F64:
        """Mean step at states (n,), siemens."""
        return np.asarray(np.interp(state, self.centre, self.mean), np.float64)


def _told(step: F64) -> bool:
    """Whether the mean of some steps is more than twice its error: else states are not told apart."""
    return len(step) > 1 and abs(float(step.mean())) * np.sqrt(len(step)) > 2.0 * float(step.std(ddof=1))


def _quantiles(clusters: int) -> tuple[float, float]:
    """Student's t of the 95 % and the 99.5 % interval."""
    dof = max(clusters - 1, 1)
    return float(stats.t.ppf(0.975, dof)), float(stats.t.ppf(0.9975, dof))


def _share(step: F64, mu: F64) -> float:
    """Sum of steps over the sum of the measured mean steps at their states."""
    total = float(mu.sum())
    return float(step.sum()) / total if total else np.inf


def _cluster_error(residual: F64, weight: F64, cluster: I64) -> tuple[float, int]:
    """Standard error of ``sum(residual) / sum(weight)`` from clusters, and their number."""
    names, own = np.unique(cluster, return_inverse=True)
    e = np.bincount(own, residual)
    n = len(names)
    if n < LEAST_CLUSTERS:
        return np.inf, n
    return float(np.sqrt(e @ e * n / (n - 1.0)) / max(abs(float(weight.sum())), 1e-300)), n


def _expected(part: Sample, copy: Sample, mu: F64, mu_copy: F64, emulated: float) -> F64:
    """(n,) what the emulated cells do beyond `emulated` mean steps where each measured step was taken, mean of its cluster.

    A stretch that saturates moves less than its state says in the measurement and in the replay alike: that is no scatter.
    """
    names, own = np.unique(part.cluster, return_inverse=True)
    at = np.searchsorted(names, copy.cluster)
    there = (at < len(names)) & (names[np.minimum(at, len(names) - 1)] == copy.cluster)
    rest = copy.step[there] - emulated * mu_copy[there]
    number = np.bincount(at[there], minlength=len(names))
    mean = np.bincount(at[there], rest, len(names)) / np.maximum(number, 1)
    return np.asarray(mean[own], np.float64)


def _mean_row(
    held: Sample,
    copy: Sample,
    own: F64,
    other: F64,
    masks: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    place: str,
    required: bool,
    several: bool,
) -> Shown:
    """Ratio of the mean steps at equal states: one plus the difference, in mean steps."""
    part, other_part = held.take(masks[0]), copy.take(masks[1])
    mu, mu_copy = own[masks[0]], other[masks[1]]
    measured, emulated = _share(part.step, mu), _share(other_part.step, mu_copy)
    with np.errstate(invalid="ignore"):  # where no step was measured the shares are infinite, and nothing is shown
        residual = part.step - measured * mu
        if not several:
            residual = residual - _expected(part, other_part, mu, mu_copy, emulated)
    error, clusters = _cluster_error(residual, mu, part.cluster)
    sums = np.array(
        [
            _share(other_part.step[there], mu_copy[there])
            for there in (other_part.replica == k for k in range(int(copy.replica.max()) + 1))
            if there.any()
        ]
    )
    drawn = float(sums.std(ddof=1)) if len(sums) > 1 else 0.0
    if not several:  # few stretches tell their own error badly: the card's, seen between replicas, is not undercut
        error = max(error, drawn)
    error = float(np.hypot(error, drawn / np.sqrt(max(len(sums), 1))))
    ratio = 1.0 + emulated - measured if measured > 0 else np.inf
    return _row("mean step", place, ratio, error, clusters, required)


def _row(quantity: Quantity, place: str, ratio: float, error: float, clusters: int, required: bool) -> Shown:
    usual, rare = _quantiles(clusters)
    if not np.isfinite(ratio) or not np.isfinite(error):
        return Shown(quantity, place, float(ratio) if np.isfinite(ratio) else 1.0, MOST, MOST, required, clusters)
    return Shown(quantity, place, ratio, min(usual * error, MOST), min(rare * error, MOST), required, clusters)


def _regions(held: Sample, copy: Sample, own: F64, other: F64, word: str, several: bool) -> list[Shown]:
    """Mean step in thirds of the states, after a reversal of the direction and within a run: these can only refute."""
    low, high = np.quantile(held.state, [1.0 / 3.0, 2.0 / 3.0])
    regions: list[tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]] = [
        (f"{word} in the lowest third of states", held.state <= low, copy.state <= low),
        (
            f"{word} in the middle third of states",
            (held.state > low) & (held.state <= high),
            (copy.state > low) & (copy.state <= high),
        ),
        (f"{word} in the highest third of states", held.state > high, copy.state > high),
        (f"{word} right after the other direction", held.turn, copy.turn),
        (f"{word} within a run", held.joined, copy.joined),
    ]
    rows = []
    for place, mine, theirs in regions:
        if mine.sum() < FEWEST_STEPS or theirs.sum() < FEWEST_STEPS:
            continue
        row = _mean_row(held, copy, own, other, (mine, theirs), place, False, several)
        if row.wide < MOST:
            rows.append(row)
    return rows


def _scatter_rows(held: Sample, copy: Sample, own: F64, other: F64, word: str) -> list[Shown]:
    """Ratio of the scatter of steps about the mean of their state; that of the pulses alone too, where read noise hides it."""
    measured, emulated = _share(held.step, own), _share(copy.step, other)
    off, off_copy = held.step - measured * own, copy.step - emulated * other
    rest, rest_copy = off**2, off_copy**2
    floor = (FLOOR_STEPS * float(held.step.mean())) ** 2
    variance = float(rest.mean()) + floor
    ratio = float(np.sqrt((float(rest_copy.mean()) + floor) / max(variance, 1e-300)))
    error, clusters = _cluster_error(rest - rest.mean(), np.full(len(rest), variance), held.cluster)
    rows = [_row("scatter of steps", word, ratio, 0.5 * ratio * error, clusters, True)]
    alone, alone_copy = of_pulses(off, held.joined), of_pulses(off_copy, copy.joined)
    left, left_copy = float(alone.mean()), float(alone_copy.mean())
    if left_copy > (1.0 - HIDDEN) * float(rest_copy.mean()) or float(rest_copy.mean()) <= floor:
        return rows
    variance, place = left + floor, f"{word} beneath the read noise"
    if variance <= 0.0 or left_copy + floor <= 0.0:
        return [*rows, _row("scatter of steps", place, 1.0, np.inf, clusters, True)]
    ratio = float(np.sqrt((left_copy + floor) / variance))
    error, clusters = _cluster_error(alone - left, np.full(len(rest), variance), held.cluster)
    row = _row("scatter of steps", place, ratio, 0.5 * ratio * error, clusters, True)
    return [*rows, replace(row, wide=MOST)]  # its error is that of a small difference, too uncertain to refute


def of_pulses(off: F64, joined: npt.NDArray[np.bool_]) -> F64:
    """What each step contributes to the variance of the pulses alone, (n,) siemens squared: their mean is free of white read noise.

    A read stands at the end of one change and at the start of the next, so that ``cov(off_k, off_k+1) = -r**2`` for noise of
    variance r**2, and ``var(off) + 2 cov = q**2``.

    Args:
        off: (n,) steps about their mean, in the order measured. joined: (n,) whether the step before follows at the same run.
    """
    follows = joined.copy()
    follows[:1] = False
    share = float(follows.mean())
    if share == 0.0:
        return off**2
    return off**2 + np.where(follows, 2.0 / share * off * np.roll(off, 1), 0.0)


def _device_row(samples: Sequence[tuple[Sample, Sample, F64, F64]]) -> Shown:
    """Ratio of the spread, between devices, of the step size over all directions, floored by what is none."""
    held = _sizes([(held, own) for held, _, own, _ in samples])
    copy = [
        _sizes([(copy.take(mask), other[mask]) for (_, copy, _, other), mask in zip(samples, masks, strict=True)])
        for masks in (
            [copy.replica == k for _, copy, _, _ in samples] for k in range(int(samples[0][1].replica.max()) + 1)
        )
    ]
    n = len(held)
    if n < LEAST_CLUSTERS:
        return _row("spread between devices", f"over {n} devices", 1.0, np.inf, n, True)
    variance = float(held.var(ddof=1)) + FLOOR_DEVICES**2
    drawn = np.array([sizes.var(ddof=1) for sizes in copy if len(sizes) > 1]) + FLOOR_DEVICES**2
    ratio = float(np.sqrt(drawn.mean() / variance))
    # Error of the logarithm of a variance, by leaving out one device after another.
    left_out = np.log([np.delete(held, k).var(ddof=1) + FLOOR_DEVICES**2 for k in range(n)])
    error = float(np.sqrt((n - 1.0) / n * ((left_out - left_out.mean()) ** 2).sum()))
    normal = np.sqrt(2.0 / (n - 1.0)) * (1.0 - FLOOR_DEVICES**2 / variance)  # few devices may look too much alike
    return _row("spread between devices", f"over {n} devices", ratio, 0.5 * ratio * max(error, normal), n, True)


def _sizes(parts: Sequence[tuple[Sample, F64]]) -> F64:
    """(D,) size of the step of every device relative to the measured mean at its states, mean of the directions it has."""
    devices = np.unique(np.concatenate([sample.device for sample, _ in parts]))
    total, count = np.zeros(len(devices)), np.zeros(len(devices))
    for sample, mu in parts:
        at = np.searchsorted(devices, sample.device)
        sums = np.bincount(at, sample.step, len(devices)), np.bincount(at, mu, len(devices))
        there = np.bincount(at, minlength=len(devices)) > 0
        total[there] += sums[0][there] / np.where(sums[1] == 0.0, np.nan, sums[1])[there]
        count += there
    sizes = total / np.maximum(count, 1)
    return sizes[np.isfinite(sizes) & (count > 0)]
