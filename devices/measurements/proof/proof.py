"""How well an emulated device does what the measured one did: distances per state with the data's own scatter as yardstick.

It never judges by one number alone: a distance that the data show against themselves is no fault of the emulator, and a distance
that is significant but small is called small.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.proof.resampling import Binned, drawn_clusters, two_sample, widened
from devices.measurements.proof.shown import Quantity, Shown, words

F64 = npt.NDArray[np.float64]

SMALL, TOLERABLE = 0.15, 0.35
"""Wasserstein distances, in standard deviations of the measured steps, up to which a fit is called good and fair."""
MEAN_STEP_OFF = 0.25
"""Error of the mean step, as a share of it, that a comparison should show."""
SAME_SPREAD = 0.002
"""Share of a ramp's height below which a spread over ramps counts as zero."""
FARTHEST, FARTHEST_WHOLE = 1.5, 1.2
"""Bands that a bin of one state, or of all states together, may lie off by chance."""
WIDE, TOO_WIDE = 1.5, 5.0
"""Factors by which the spread over ramps may be off for a fit to be called good and fair."""
LAG_SMALL, LAG_TOLERABLE = 1.2, 1.41
"""Factors by which the scatter of changes over several reads may be off for a fit to be called good and fair (a variance of twice)."""
RESAMPLES = 200
FEWEST_DEVICES, FEWEST_CLUSTERS = 3, 8
"""Devices, and traces or stretches of a device, from which on whole ones are resampled; of few the band is widened as Student's t is."""
RESOLUTION = 0.02
"""Share of the mean step (or change) below which a difference counts as zero: data without scatter have no yardstick of their own."""

Verdict = Literal["good", "fair", "bad", "unproven"]
ReportKey = Literal["pulse", "ageing", "programming", "noise"]
"""A quantity of the cell that is fitted and proven by itself: by it reports find its sections."""
WORDS: Mapping[ReportKey, str] = MappingProxyType(
    {"pulse": "the pulse response", "ageing": "retention", "programming": "programming", "noise": "read noise"}
)
"""The quantities as sentences name them, in the order of reports."""


@dataclass(frozen=True)
class Bin:
    """Comparison of two samples in one bin.

    Attributes:
        label: of the bin in words. direction: +1, -1, or 0. low, high: edges (siemens of the state, or seconds).
        measured, emulated: sizes. mean, std: (measured, emulated) siemens.
        wasserstein: siemens. ks: Kolmogorov-Smirnov distance. band, ks_band: their 95 % quantiles for the data against themselves.
        scale: siemens, standard deviation of the measured sample, at least the resolution.
        resolution: siemens, below which a distance counts as zero: `RESOLUTION` of the mean.
        whole: whether it is all states of a direction together, where few data tell most.
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
    resolution: float = 0.0
    whole: bool = False

    @property
    def blur(self) -> float:
        """The band, or the resolution where it is the larger, in standard deviations of the data."""
        return max(self.band, self.resolution) / self.scale if self.scale > 0 else 0.0

    @property
    def coarse(self) -> bool:
        """Whether a bad fit would stay inside the band: one off by `TOLERABLE`, and by a quarter of the mean step."""
        step = abs(self.mean[0]) if self.direction else 0.0
        return self.band > max(TOLERABLE * self.scale, MEAN_STEP_OFF * step)

    @property
    def relative(self) -> float:
        """Wasserstein distance in standard deviations of the data."""
        return self.wasserstein / self.scale if self.scale > 0 else float(np.inf if self.wasserstein > 0 else 0.0)

    @property
    def inside(self) -> bool:
        """Whether the distance is no larger than the data's from themselves, or than the resolution."""
        return self.wasserstein <= max(self.band, self.resolution)

    @property
    def excess(self) -> float:
        """By how many standard deviations the distance leaves the band; 0 inside it."""
        return 0.0 if self.inside else self.relative


@dataclass(frozen=True)
class Curve:
    """Mean and spread over pulses (or times): measured and emulated, for one direction.

    Attributes:
        kind: what x is. label: in words. x: pulse numbers or seconds. mean, std: (2, n) siemens, measured and emulated.
        count: (n,) measured traces at each x. chance: factor by which the spread in the later half may differ from itself (99 %).
        direction: of the pulses, +1 or -1; 0 over seconds.
    """

    kind: Literal["pulses", "seconds"]
    label: str
    x: F64
    mean: F64
    std: F64
    count: npt.NDArray[np.int64]
    chance: float = 1.0
    direction: int = 0

    @property
    def later(self) -> npt.NDArray[np.bool_]:
        """(n,) the later half of those x that five traces reach: where a spread over traces is judged."""
        judged = self.count >= 5
        judged[: len(judged) // 2] = False
        return judged


@dataclass(frozen=True)
class Lag:
    """Scatter of the change over several reads about the mean curve.

    Attributes:
        direction: +1 or -1. reads: how many reads lie between. measured, emulated: root mean squares in siemens.
        band: factor by which the data may differ from themselves (99 %).
    """

    direction: int
    reads: int
    measured: float
    emulated: float
    band: float

    @property
    def ratio(self) -> float:
        """Emulated over measured scatter."""
        return self.emulated / self.measured

    @property
    def factor(self) -> float:
        """By how much the scatter is off, in either direction; 1 inside the band."""
        off = max(self.ratio, 1.0 / self.ratio)
        return off if off > self.band else 1.0


@dataclass(frozen=True)
class Proof:
    """Everything a comparison found.

    Attributes:
        key: the compared quantity. how: what was held out, in a sentence. bins: comparisons. curves: mean and spread.
        facts: name -> (measured, emulated, unit), whole-sample numbers. yardstick: what the band is of.
        lags: scatter of changes over several reads, empty where there are no runs long enough.
        together: how many bands the farthest bin of one state may lie off by chance (99 %), where bins hold the same devices and go
            outside together; None where bins are independent.
        shown: ratios of quantities that a good fit must show. differs: sentences on what the delivered card does not share with the
            cards that were proven.
    """

    key: ReportKey
    how: str
    bins: tuple[Bin, ...]
    curves: tuple[Curve, ...] = ()
    facts: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    yardstick: str = "the data against themselves"
    lags: tuple[Lag, ...] = ()
    together: float | None = None
    shown: tuple[Shown, ...] = ()
    differs: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """The compared quantity in words."""
        return WORDS[self.key]

    @property
    def spread_off(self) -> tuple[float, Curve | None]:
        """Factor by which the spread over ramps is too large (or, inverted, too small) in the later half of the worst curve.

        1 without curves of at least five ramps. A factor by which the data may differ from themselves counts as 1.
        """
        worst, which = 1.0, None
        for curve in self.curves:
            later = curve.later
            if curve.kind != "pulses" or not later.any():
                continue
            least = SAME_SPREAD * max(float(np.ptp(curve.mean[0])), 1e-30)
            measured, emulated = np.maximum(curve.std[:, later], least)
            ratio = float(np.median(emulated / measured))
            if max(ratio, 1.0 / max(ratio, 1e-30)) > max(curve.chance, max(worst, 1.0 / worst)):
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
    def cannot_tell(self) -> bool:
        """Whether a bad fit would look good as well: all states of a direction together, else half of the bins, are too coarse."""
        wide = [b for b in self.bins if b.whole] or self.bins
        return bool(wide) and 2 * sum(b.coarse for b in wide) >= len(wide)

    @property
    def by_chance(self) -> bool:
        """Whether no more bins are outside their bands, and no farther, than chance allows; all states together leave it little."""
        outside = [b for b in self.bins if not b.inside]
        allowed = int(stats.binom.ppf(0.99, len(self.bins), 0.05))
        farthest = FARTHEST
        if self.together is not None:  # one more slow device among the held-out ones can put every bin outside at once
            allowed, farthest = len(self.bins), self.together
        return len(outside) <= allowed and all(
            b.wasserstein <= (FARTHEST_WHOLE if b.whole else farthest) * b.band for b in outside
        )

    @property
    def verdict(self) -> Verdict:
        """good, fair or bad by the worst bin outside its band and by refuted ratios; unproven without bins, or when a bad fit would
        look good as well: a required ratio is not shown, or the card that was proven is not the card that is delivered.

        Of many bins one in twenty lies outside its 95 % band by chance: as few as that (99 % quantile), and not by more than half
        the band, count as inside; where all bins hold the same devices, the farthest of all decides (`together`).
        """
        if not self.bins:
            return "unproven"
        worst, factor, lag = self._step_excess, self._spread_factor, self._lag_factor
        if worst > TOLERABLE or factor > TOO_WIDE or lag > LAG_TOLERABLE or any(row.badly for row in self.shown):
            return "bad"
        if worst > SMALL or factor > WIDE or lag > LAG_SMALL or any(row.refuted for row in self.shown):
            return "fair"
        return "unproven" if self.cannot_tell or self.not_shown or self.differs else "good"

    @property
    def not_shown(self) -> tuple[Shown, ...]:
        """What a good fit needs shown and the data do not show."""
        return tuple(row for row in self.shown if row.required and not row.shown)

    @property
    def _step_excess(self) -> float:
        """How far the worst bin is off, standard deviations of the data; 0 when chance explains it."""
        return 0.0 if self.by_chance else max(b.excess for b in self.bins)

    @property
    def _spread_factor(self) -> float:
        """By how much the spread over ramps is off, in either direction."""
        ratio, _ = self.spread_off
        return max(ratio, 1.0 / ratio)

    @property
    def _lag_factor(self) -> float:
        """By how much the scatter over several reads is off."""
        return max((one.factor for one in self.lags), default=1.0)

    def sentence(self) -> str:
        """The first line of a report."""
        worst = self.worst
        if worst is None:
            return f"UNPROVEN {self.what}: {self.how}"
        within = sum(b.inside for b in self.bins)
        name = {
            "good": f"GOOD FIT of {self.what}",
            "fair": f"FAIR FIT of {self.what}",
            "bad": f"BAD FIT of {self.what}",
            "unproven": f"UNPROVEN {self.what}: {self._why_unproven()}",
        }[self.verdict]
        place = (
            f"worst region: {worst.label}, Wasserstein distance {worst.relative:.2f} standard deviations of the data"
        )
        return (
            f"{name}{self._because()}: {within} of {len(self.bins)} bins within the 95 % band of {self.yardstick}{self._others()}; "
            f"{place} (band {worst.blur:.2f}){self._means()}{self._doubt()}{self._shape(worst)}{self._spread()}{self._split()}"
        )

    def _why_unproven(self) -> str:
        """What is not shown."""
        if self.cannot_tell:
            return (
                f"cannot tell, the data are too few or scatter too much ({self.how}; a bad fit would stay within what they differ"
                " from themselves)"
            )
        causes = [
            f"the {row.quantity} is not shown: {row.text()} of the measured one, wanted within {row.margin.low:g} to {row.margin.high:g}"
            for row in self.not_shown
        ]
        return "; ".join((*causes, *self.differs))

    def _means(self) -> str:
        """The mean step with its interval, and what is refuted beside it."""
        mean = words(self.shown, "mean step")
        refuted = [row for row in self.shown if row.refuted and not (row.required and row.quantity == "mean step")]
        more = [f"the {row.quantity} {row.text()} times as measured" for row in refuted]
        return "".join(f"; {clause}" for clause in (mean, *more) if clause)

    def _because(self) -> str:
        """What a fit is fair or bad for, where that is not its single steps alone."""
        if self.verdict not in ("fair", "bad"):
            return ""
        causes = {
            "its single steps": self._step_excess > SMALL,
            "its spread over ramps": self._spread_factor > WIDE,
            "its scatter over several reads": self._lag_factor > LAG_SMALL,
        }
        quantities: tuple[Quantity, ...] = ("mean step", "scatter of steps", "spread between devices")
        for quantity in quantities:
            causes[f"its {quantity}"] = any(row.refuted and row.quantity == quantity for row in self.shown)
        named = [name for name, there in causes.items() if there]
        return "" if named == ["its single steps"] else f", for {' and '.join(named)}"

    def _doubt(self) -> str:
        """Where the data cannot tell, although they can as a whole."""
        weak = max(self.bins, key=lambda b: b.blur)
        if self.cannot_tell:
            return ""
        if any(b.whole and b.band > abs(b.mean[0]) for b in self.bins):
            return "; single steps scatter too much to show their mean: the curves over ramps show whether it is right"
        if not weak.coarse:
            return ""
        return f"; in places the data differ from themselves by up to {weak.blur:.2f}, so they cannot tell more there"

    def _others(self) -> str:
        """Why bins outside their bands do not count, where they do not."""
        outside = [b for b in self.bins if not b.inside]
        if not outside:
            return ""
        if self.by_chance:
            return ", the others no farther outside than chance explains"
        if max(b.excess for b in outside) <= SMALL:
            return f", the others off by less than {SMALL:g} standard deviations of the data, which is too little to matter"
        return ""

    def _split(self) -> str:
        """Whether noise of reads and of pulses are split as in the data."""
        if not self.lags:
            return ""
        worst = max(self.lags, key=lambda lag: lag.factor)
        longest = max(lag.reads for lag in self.lags)
        if worst.factor <= LAG_SMALL:
            return f"; changes over 1 to {longest} reads scatter as measured"
        word = "potentiation" if worst.direction > 0 else "depression"
        return (
            f"; changes over {worst.reads} of 1 to {longest} reads ({word}) scatter {worst.ratio:.2g} times as much as measured: the noise"
            " of reads and that of pulses are not split, or not correlated, as in the data"
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
        if curve is None or self._spread_factor <= WIDE:
            return ""
        return (
            f"; the spread over {curve.label} ramps is {ratio:.2g} times the measured one, because the cells have a history or differences"
            " that the card does not describe"
        )


def compare(
    measured: F64,
    emulated: F64,
    reference: F64 | None,
    *,
    label: str,
    direction: int = 0,
    low: float = np.nan,
    high: float = np.nan,
    measured_cluster: npt.NDArray[np.int64] | None = None,
    reference_cluster: npt.NDArray[np.int64] | None = None,
    fewest: int = FEWEST_CLUSTERS,
    whole: bool = False,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Bin:
    """Compare two samples; the band is how far resamples of the data, as large as the held-out and the fitted part, lie apart.

    Args:
        measured: (n,) held-out values. emulated: (m,). reference: (k,) the fitted values of the same bin; None when all data were held
            out (in turn): two resamples of them are then as large as they.
        label, direction, low, high, whole: of the bin. rng: of the bootstrap, resamples: how many.
        measured_cluster, reference_cluster: (n,), (k,) trace or cell of each value; whole clusters are resampled when there are
            `fewest` of about equal size, so that values that hang together do not make the band too narrow.
    """
    other = measured[:0] if reference is None else reference
    pooled = np.concatenate((measured, other))
    if measured_cluster is None or (reference_cluster is None and reference is not None):
        clusters = np.arange(len(pooled))
    elif reference_cluster is None:
        clusters = measured_cluster
    else:
        clusters = np.concatenate((measured_cluster, reference_cluster))
    names, cluster = np.unique(clusters, return_inverse=True)
    count = np.bincount(cluster)
    equal = len(pooled) ** 2 / float(
        np.sum(count.astype(np.float64) ** 2)
    )  # clusters of one size that would weigh as much
    by_cluster = equal > fewest - 0.5 and len(names) < len(pooled)
    sizes = len(measured), len(measured) if reference is None else max(len(reference), 1)
    binned = Binned.of(pooled)
    if by_cluster:
        of_cluster = binned.by_cluster(cluster, len(names))
        samples = [drawn_clusters(count, size, resamples, rng) @ of_cluster for size in sizes]
    else:
        share = binned.counts / binned.counts.sum()
        samples = [rng.multinomial(size, share, resamples).astype(np.float64) for size in sizes]
    band = np.quantile(binned.distances(samples[0], samples[1]), 0.95, axis=0)
    if by_cluster:
        band *= widened(equal)
    wrong = (
        (float(np.mean(measured * direction < 0)), float(np.mean(emulated * direction < 0)))
        if direction
        else (np.nan, np.nan)
    )
    resolution = RESOLUTION * abs(float(pooled.mean()))
    wasserstein, ks = two_sample(measured, emulated)
    return Bin(
        label=label,
        direction=direction,
        low=low,
        high=high,
        measured=len(measured),
        emulated=len(emulated),
        mean=(float(measured.mean()), float(emulated.mean())),
        std=(float(measured.std()), float(emulated.std())),
        wasserstein=wasserstein,
        ks=ks,
        band=float(band[0]),
        ks_band=float(band[1]),
        scale=max(float(pooled.std()), resolution),
        wrong_sign=wrong,
        resolution=resolution,
        whole=whole,
    )
