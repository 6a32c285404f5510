"""Read noise from long series: the spectrum as white noise, 1/f noise and a random telegraph signal. Never a peak of the mains.

The averaged periodogram of a stationary series is exponentially (after averaging, gamma) distributed around the spectrum, so the
parts are fitted by that likelihood (Whittle), and AIC decides which parts the data need.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, signal, stats

from devices.measurements.fit.noise.below import Below, noise_below
from devices.measurements.fit.noise.series import FEWEST, Series, of_like_states
from devices.measurements.fit.noise.spread import noise_spread
from devices.measurements.fit.parameters import Estimate
from devices.measurements.text.problems import MeasurementError, failure
from devices.window import Window

F64 = npt.NDArray[np.float64]

SEGMENTS = 24
NODES = 33
NEAR = 0.05
"""Share of the window within which the least state measured is its beginning."""
MOST_GROUPS = 9
"""Groups of states between which the tables are interpolated, at most."""
SILENT = 1e-9
"""Relative spread of reads that differ by rounding only."""


@dataclass(frozen=True)
class Spectrum:
    """A fitted series.

    Attributes:
        mean: siemens, of the reads. std: siemens, of the reads.
        f, psd: (F,) hertz, siemens squared per hertz: averaged periodogram. segments: how many were averaged.
        white: S in ``S(f) = white + flicker / f + telegraph / (1 + (f / corner)**2)``, siemens squared per hertz.
        flicker: siemens squared. telegraph: siemens squared per hertz. corner: hertz; 0 without that part.
        exponent, exponent_error: slope of the noise with ``1 / f**exponent`` in place of 1 / f, 1 for pure 1/f noise, and its
            standard error.
        parts: names of the parts AIC keeps. misfit: KS distance of the scaled periodogram from its gamma distribution.
        interval: seconds between reads.
        spans, variances: (L,) seconds and siemens squared: variance of the reads within windows of that length.
        card_white, card_flicker: siemens: ``variance(T) = card_white**2 + card_flicker**2 ln((T + t) / (2 t))``, t the interval.
    """

    mean: float
    std: float
    f: F64
    psd: F64
    segments: int
    white: float
    flicker: float
    telegraph: float
    corner: float
    exponent: float
    exponent_error: float
    parts: tuple[str, ...]
    misfit: float
    interval: float
    spans: F64
    variances: F64
    card_white: float
    card_flicker: float

    def density(self, f: F64) -> F64:
        """Fitted spectrum, siemens squared per hertz."""
        return density(f, self.white, self.flicker, self.telegraph, self.corner)

    @property
    def white_std(self) -> float:
        """Standard deviation of the white part of a read, siemens: density times the bandwidth of half the read rate."""
        return float(np.sqrt(self.white * 0.5 / self.interval))

    @property
    def telegraph_std(self) -> float:
        """Standard deviation of the telegraph signal, siemens: ``sqrt(telegraph corner pi / 2)``; half its amplitude when symmetric."""
        return float(np.sqrt(self.telegraph * self.corner * np.pi / 2.0))

    @property
    def dwell(self) -> float:
        """Mean dwell time of a symmetric telegraph signal, seconds: ``1 / (pi corner)``; 0 without one."""
        return 1.0 / (np.pi * self.corner) if self.corner > 0 else 0.0


@dataclass(frozen=True)
class NoiseFit:
    """Read noise of a card.

    Attributes:
        spectra: one per series. white, flicker: (K,) siemens over the window: white and telegraph variance together, and the
            square root of the 1/f coefficient. t_read: seconds of one read.
        spread: of the cells' noise at equal states, None where the series do not show one; the tables are root mean squares over cells.
        below: the law below the least state measured, None where the window begins there.
    """

    spectra: tuple[Spectrum, ...]
    white: F64
    flicker: F64
    t_read: float
    spread: Estimate | None = None
    below: Below | None = None


def density(f: F64, white: float, flicker: float, telegraph: float, corner: float, exponent: float = 1.0) -> F64:
    """``white + flicker / f**exponent + telegraph / (1 + (f / corner)**2)``."""
    total = white + flicker / f**exponent
    return np.asarray(total + (telegraph / (1.0 + (f / corner) ** 2) if corner > 0 else 0.0), np.float64)


def fit_spectrum(series: Series) -> Spectrum | None:
    """Fit one series; None when it is too short for a spectrum."""
    n = len(series.g)
    if n < FEWEST:
        return None
    rate = 1.0 / series.interval
    length = int(2 ** np.floor(np.log2(n / SEGMENTS))) if n / SEGMENTS >= 64 else 64
    f, psd = signal.welch(series.g, rate, nperseg=length, noverlap=0, detrend="linear", window="hann")
    segments = n // length
    keep = slice(3, -1)  # the lowest frequencies leak through the window and the detrending
    f, psd = f[keep], psd[keep]
    spans, variances, card_white, card_flicker = variance_growth(series)
    mean, std = float(series.g.mean()), float(series.g.std())
    if std <= SILENT * abs(mean):
        return Spectrum(
            mean=mean,
            std=std,
            f=f,
            psd=psd,
            segments=segments,
            white=0.0,
            flicker=0.0,
            telegraph=0.0,
            corner=0.0,
            exponent=1.0,
            exponent_error=np.nan,
            parts=(),
            misfit=0.0,
            interval=series.interval,
            spans=spans,
            variances=variances,
            card_white=card_white,
            card_flicker=card_flicker,
        )
    fits = {parts: _whittle(f, psd, segments, parts) for parts in _MODELS}
    best = min(fits, key=lambda parts: 2.0 * _COUNT[parts] + 2.0 * fits[parts][0])
    white, flicker, telegraph, corner, _ = fits[best][1]
    exponent, error = 1.0, np.nan
    if "flicker" in best:
        value, theta = _whittle(f, psd, segments, best, free_exponent=True)
        exponent = theta[4]
        step = 0.02
        around = [_whittle(f, psd, segments, best, exponent=exponent + d)[0] for d in (-step, step)]
        curvature = (around[0] + around[1] - 2.0 * value) / step**2
        error = float(1.0 / np.sqrt(curvature)) if curvature > 0 else np.nan
    scaled = 2.0 * segments * psd / density(f, white, flicker, telegraph, corner)
    return Spectrum(
        mean=mean,
        std=std,
        f=f,
        psd=psd,
        segments=segments,
        white=white,
        flicker=flicker,
        telegraph=telegraph,
        corner=corner,
        exponent=float(exponent),
        exponent_error=error,
        parts=best,
        misfit=float(stats.kstest(scaled, stats.chi2(2 * segments).cdf).statistic),
        interval=series.interval,
        spans=spans,
        variances=variances,
        card_white=card_white,
        card_flicker=card_flicker,
    )


def variance_growth(series: Series) -> tuple[F64, F64, float, float]:
    """Variance of the reads within windows of 16, 32, ... reads, averaged over the windows, and the emulator's law fitted to it.

    The law is that of 1/f noise seen from the read time to the age of a state. Fitting it to what the reads did, and not to the
    parts of the spectrum, gives the card the right spread at every age even where a telegraph signal rules.
    """
    n, t = len(series.g), series.interval
    spans, variances = [], []
    length = 16
    while length <= n:
        windows = series.g[: n // length * length].reshape(-1, length)
        spans.append(length * t)
        variances.append(float(windows.var(axis=1, ddof=1).mean()))
        length *= 2
    x, y = np.array(spans), np.array(variances)
    scale = np.maximum(y, 1e-6 * max(float(y.max()), 1e-300))
    design = np.stack([np.ones(len(x)), np.log((x + t) / (2.0 * t))], axis=1) / scale[:, None]
    (white, flicker), _ = optimize.nnls(design * scale.mean(), y / scale)
    return x, y, float(np.sqrt(white * scale.mean())), float(np.sqrt(flicker * scale.mean()))


_MODELS: tuple[tuple[str, ...], ...] = (
    ("white",),
    ("white", "flicker"),
    ("white", "telegraph"),
    ("white", "flicker", "telegraph"),
)
_COUNT = {parts: len(parts) + ("telegraph" in parts) for parts in _MODELS}


def _whittle(
    f: F64, psd: F64, segments: int, parts: Sequence[str], *, free_exponent: bool = False, exponent: float = 1.0
) -> tuple[float, tuple[float, float, float, float, float]]:
    """Smallest negative log-likelihood of the averaged periodogram, and white, flicker, telegraph, corner, exponent."""
    level = float(np.exp(np.mean(np.log(psd[-len(psd) // 4 :]))))
    low = float(np.exp(np.mean(np.log(psd[: max(3, len(psd) // 50)]))))
    tiny = 1e-8 * level

    def unpack(x: F64) -> tuple[float, float, float, float, float]:
        values = dict(zip(names, x, strict=True))
        return (
            float(np.exp(values["white"])),
            float(np.exp(values["flicker"])) if "flicker" in values else 0.0,
            float(np.exp(values["telegraph"])) if "telegraph" in values else 0.0,
            float(np.exp(values["corner"])) if "corner" in values else 0.0,
            float(values.get("exponent", exponent)),
        )

    def cost(x: F64) -> float:
        s = density(f, *unpack(x))
        return float(segments * np.sum(np.log(s) + psd / s))

    names = ["white"] + (["flicker"] if "flicker" in parts else [])
    start = [np.log(level)] + ([np.log(max(low * f[0], tiny * f[0]))] if "flicker" in parts else [])
    limits = [(np.log(tiny), np.log(level) + 5.0)] + (
        [(np.log(tiny * f[0]), np.log(low * f[0]) + 8.0)] if "flicker" in parts else []
    )
    starts = [start]
    if "telegraph" in parts:
        names += ["telegraph", "corner"]
        limits += [(np.log(tiny), np.log(low) + 8.0), (np.log(f[0]), np.log(f[-1]))]
        starts = [[*start, np.log(max(0.5 * low, tiny)), np.log(c)] for c in np.geomspace(f[0] * 2.0, f[-1] / 2.0, 4)]
    if free_exponent:
        names.append("exponent")
        limits.append((0.2, 2.5))
        starts = [[*s, 1.0] for s in starts]
    results = [optimize.minimize(cost, np.array(s), method="L-BFGS-B", bounds=limits) for s in starts]
    best = min(results, key=lambda result: result.fun)
    return float(best.fun), unpack(best.x)


def fit_noise(series: Sequence[Series], window: Window) -> NoiseFit:
    """Fit every series and make tables over the state: variances averaged in groups of one state, interpolated between them.

    Raises MeasurementError when every series is too short.
    """
    spectra = [spectrum for spectrum in map(fit_spectrum, series) if spectrum is not None]
    if not spectra:
        if not series:
            raise MeasurementError("the noise measurement holds no series of two reads or more")
        longest = max(series, key=lambda one: len(one.g))
        reason = f"no noise series is long enough for a spectrum: needs {FEWEST} reads (longest: {len(longest.g)})"
        raise MeasurementError(reason) if longest.source is None else failure(longest.source, reason, line=longest.line)
    groups = of_like_states([spectrum.mean for spectrum in spectra], min(MOST_GROUPS, len(spectra)))
    centres = np.array([np.mean([spectra[k].mean for k in part]) for part in groups])
    white = np.array([np.mean([spectra[k].card_white ** 2 for k in part]) for part in groups])
    flicker = np.array([np.mean([spectra[k].card_flicker ** 2 for k in part]) for part in groups])
    grid = window.grid(NODES)
    return NoiseFit(
        tuple(spectra),
        np.sqrt(np.interp(grid, centres, white)),
        np.sqrt(np.interp(grid, centres, flicker)),
        float(np.median([spectrum.interval for spectrum in spectra])),
        noise_spread(series),
        noise_below(centres, white + flicker) if centres[0] > window.g_min + NEAR * window.width else None,
    )
