"""Distances of two samples, and of very many resamples at once by counting values in bins. It never judges."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

F64 = npt.NDArray[np.float64]

MOST_BINS = 1024
"""That the values of a bootstrap are counted in."""


def two_sample(a: F64, b: F64) -> tuple[float, float]:
    """Wasserstein distance (in the units of the samples) and Kolmogorov-Smirnov distance of two samples."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate((a, b))
    # The statistic alone: scipy's ks_2samp spends most of its time on a p-value that is not wanted here.
    gap = np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
    return float(stats.wasserstein_distance(a, b)), float(np.abs(gap).max())


@dataclass(frozen=True)
class Binned:
    """Values counted between their own quantiles, so that resamples are rows of counts and their distances sums over bins.

    Attributes:
        bin: (n,) of every value. centre: (B,) mean of each bin. counts: (B,) values in it.
    """

    bin: npt.NDArray[np.int64]
    centre: F64
    counts: F64

    @staticmethod
    def of(values: F64) -> "Binned":
        """Count values: each in a bin of its own while they are few, else in `MOST_BINS` bins."""
        edges = np.unique(values)
        if len(edges) > MOST_BINS:
            edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, MOST_BINS + 1))[:-1])
        own = np.searchsorted(edges, values, side="right") - 1
        counts = np.bincount(own, minlength=len(edges)).astype(np.float64)
        centre = np.bincount(own, values, len(edges)) / np.maximum(counts, 1.0)
        return Binned(own, np.where(counts > 0, centre, edges), counts)

    def by_cluster(self, cluster: npt.NDArray[np.int64], clusters: int) -> F64:
        """(clusters, B) counts of every cluster."""
        cells = np.bincount(cluster * len(self.centre) + self.bin, minlength=clusters * len(self.centre))
        return cells.reshape(clusters, -1).astype(np.float64)

    def distances(self, one: F64, other: F64) -> F64:
        """(K, 2) Wasserstein and Kolmogorov-Smirnov distances of K pairs of samples, given as counts (K, B)."""
        a, b = (np.cumsum(part, axis=1) / np.maximum(part.sum(axis=1, keepdims=True), 1e-300) for part in (one, other))
        gap = np.abs(a - b)
        return np.stack((gap[:, :-1] @ np.diff(self.centre), gap.max(axis=1)), axis=1)


def times_drawn(drawn: npt.NDArray[np.int64], devices: int) -> F64:
    """(K, devices) how often each was drawn, of (K, n) draws."""
    times = np.zeros((len(drawn), devices))
    np.add.at(times, (np.arange(len(drawn))[:, None], drawn), 1.0)
    return times


def drawn_clusters(count: npt.NDArray[np.int64], size: int, resamples: int, rng: np.random.Generator) -> F64:
    """(resamples, C) how often each cluster is drawn until there are `size` values, so that small ones do not make small samples."""
    most = len(count) + int(np.ceil(size / count.mean())) + int(np.ceil(size / count.min()) if count.min() else 0)
    most = min(most, 4 * (len(count) + int(np.ceil(size / count.mean()))))
    drawn = rng.integers(0, len(count), (resamples, most))
    before = np.cumsum(count[drawn], axis=1) - count[drawn]
    weight = np.zeros((resamples, len(count)))
    np.add.at(weight, (np.arange(resamples)[:, None], drawn), (before < size).astype(np.float64))
    return weight


def widened(clusters: float) -> float:
    """Factor by which the 95 % band of so few clusters is too narrow, as Student's t is wider than a normal."""
    return float(stats.t.ppf(0.975, clusters - 1.0) / stats.norm.ppf(0.975))
