"""All pulse laws fitted to the same traces: which noise the data show, and the devices' own gains. Never a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from devices.measurements.data.traces import Traces
from devices.measurements.fit.parameters import Estimate
from devices.measurements.fit.pulse.families import LawFamily, Start
from devices.measurements.fit.pulse.laws import LawFit, fit_law, with_intervals
from devices.measurements.fit.pulse.noise_model import NoiseModel
from devices.measurements.fit.pulse.spread import Gains, device_gains, likeliest_gains
from devices.measurements.fit.pulse.statespace import StepTables, run_filter
from devices.window import Window

F64 = npt.NDArray[np.float64]


CLEAR_WHITE, CLEAR_CORRELATED = 2.0, 10.0
"""By how much AIC must prefer white noise to none, and correlated noise to white alone."""
LEAST_WHITE = 1e-3
"""Share of a step's scatter below which white noise counts as zero."""
MOST_LOST = 3.0
"""Nats that a law, or correlated noise, may lose on the held-out reads, in all: as much as chance takes on a few hundred reads."""
DEVICES_CHECKED = 4
"""Devices with a law each, among which correlated noise must show as well."""
TURNS = 3
"""Laws and gains fitted in turn."""
LONG_ENOUGH = 24
"""Reads of the longest trace from which on correlated noise is looked for."""


@dataclass(frozen=True)
class NoiseEvidence:
    """Which read noise the data show, and by how much AIC prefers white noise to none, and correlated noise to white alone."""

    model: NoiseModel
    white_gain: float
    correlated_gain: float


def fit_laws(
    held: Traces | None,
    traces: Traces,
    start: Start,
    laws: Mapping[str, Sequence[LawFamily]],
    most: NoiseModel,
    gain: F64 | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[tuple[LawFit, ...], NoiseEvidence]:
    """Fit every law with the simplest read noise that the data ask for.

    Args:
        held, traces: held-out and fitted. start: moments. laws: kinds with their variants. most: the richest noise to consider.
        gain: (R, 2) first estimate of the gains of the traces' devices. Without it the differences of devices pass for pulses that
            scatter, which hides the noise of the reads.
        say: told what is going on.
    """
    fits = _every_law(held, traces, start, laws, "none" if most == "none" else "white", say)
    if most == "none":
        return fits, NoiseEvidence("none", 0.0, 0.0)
    better, white = _white_noise(fits[0], traces, start, gain)
    if not (better > CLEAR_WHITE and white > LEAST_WHITE * float(np.nanmedian(start.std))):
        refitted = [fit_law(fit.family, traces, start, held, noise="none", intervals=False) for fit in fits]
        return best_first(refitted, held), NoiseEvidence("none", better, 0.0)
    slow_gain = 0.0
    if most == "correlated":
        say("looking for read noise that is correlated from read to read")
    if most == "correlated" and int(np.diff(traces.start).max()) >= LONG_ENOUGH:
        slow = fit_law(fits[0].family, traces, start, held, noise="correlated", begin=fits[0], intervals=False)
        slow_gain = fits[0].score.aic - slow.score.aic
        if shows_correlation(fits[0], slow, held):
            others = [
                fit_law(fit.family, traces, start, held, noise="correlated", begin=fit, intervals=False)
                for fit in fits[1:]
            ]
            return best_first([slow, *others], held), NoiseEvidence("correlated", better, slow_gain)
    return fits, NoiseEvidence("white", better, slow_gain)


def _white_noise(best: LawFit, traces: Traces, start: Start, gain: F64 | None) -> tuple[float, float]:
    """By how much AIC prefers white noise to none, whether devices are alike or have first gains, and its size in siemens."""
    exact = fit_law(best.family, traces, start, None, noise="none", begin=best, intervals=False)
    better = exact.score.aic - best.score.aic
    if gain is None:
        return better, best.noise.white
    models: tuple[NoiseModel, ...] = ("white", "none")
    white, plain = (
        fit_law(best.family, traces, start, None, noise=model, gain=gain, intervals=False) for model in models
    )
    return max(better, plain.score.aic - white.score.aic), white.noise.white


def shows_correlation(white: LawFit, slow: LawFit, held: Traces | None) -> bool:
    """Whether correlated noise is clearly better by AIC, and not clearly worse on the held-out reads.

    Its length means nothing where its size is 0, so that chance gains more by these two parameters than AIC's own count allows for.
    """
    lost = 0.0 if held is None else float(white.score.held_out - slow.score.held_out) * int(held.inside().sum())
    return white.score.aic - slow.score.aic > CLEAR_CORRELATED and lost <= MOST_LOST


def correlation_within_devices(best: LawFit, traces: Traces, start: Start, window: Window, one_by_one: bool) -> float:
    """By how much AIC prefers correlated noise once devices may differ: slow ones drift off a common law as slow noise does.

    Args:
        best: a fit of all devices. traces, start, window: as it was fitted to.
        one_by_one: whether devices have traces enough for a law each (up to `DEVICES_CHECKED` are tried); else each has a gain.
    """
    groups: list[tuple[Traces, F64 | None]]
    if one_by_one:
        chosen = np.unique(traces.cell)[:DEVICES_CHECKED]
        groups = [(traces.take(np.flatnonzero(traces.cell == cell)), None) for cell in chosen]
    else:
        gains = device_gains(traces, tables_on(best, window, start.hard), best.noise)
        groups = [(traces, None if gains is None else gains.of_traces(traces))]
    total = 0.0
    for own, gain in groups:
        white = fit_law(best.family, own, start, None, gain=gain, intervals=False)
        slow = fit_law(best.family, own, start, None, noise="correlated", begin=white, gain=gain, intervals=False)
        total += white.score.aic - slow.score.aic
    return total


def without_correlation(
    fits: tuple[LawFit, ...], held: Traces | None, traces: Traces, start: Start
) -> tuple[LawFit, ...]:
    """Return the same laws fitted with white read noise."""
    return best_first([fit_law(fit.family, traces, start, held, begin=fit, intervals=False) for fit in fits], held)


def _every_law(
    held: Traces | None,
    traces: Traces,
    start: Start,
    laws: Mapping[str, Sequence[LawFamily]],
    noise: NoiseModel,
    say: Callable[[str], None],
) -> tuple[LawFit, ...]:
    """Fit every kind by its best variant, the best kind first."""
    fits = []
    for kind, variants in laws.items():
        say(f"fitting the law {kind}")
        best: LawFit | None = None
        for family in variants:  # from coarse to fine, as long as the finer is better
            fit = fit_law(family, traces, start, held, noise=noise, intervals=False)
            if best is not None and best_first([best, fit], held)[0] is best:
                break
            best = fit
        assert best is not None  # every kind has a variant
        fits.append(best)
    return best_first(fits, held)


def best_first(fits: Sequence[LawFit], held: Traces | None) -> tuple[LawFit, ...]:
    """Sort laws by AIC, those last that predict the held-out reads clearly worse than the best does, the more the later."""
    reads = 0 if held is None else int(held.inside().sum())
    most = max(fit.score.held_out for fit in fits)

    def key(fit: LawFit) -> tuple[float, float, int]:
        lost = reads * float(most - fit.score.held_out) if reads else 0.0
        return (lost if lost > MOST_LOST else 0.0), *fit.score.order

    return tuple(sorted(fits, key=key))


def with_gains(
    fits: tuple[LawFit, ...],
    held: Traces | None,
    traces: Traces,
    start: Start,
    window: Window,
    model: NoiseModel,
    gain: F64,
) -> tuple[tuple[LawFit, ...], Gains | None, F64 | None]:
    """Separate the spread between devices from the scatter of pulses: gains and laws in turn, each given the other.

    A law fitted to all devices as if they were one takes their differences for noise of the pulse, and hides part of the spread:
    the turns begin with the first estimate of the gains, (R, 2), which knows no law.
    Held-out reads are scored with the gains of their devices, for each law the likeliest ones: two numbers a device, from the held-out
    reads themselves. With one law for all, the differences between devices decide which law seems best.
    """

    def refit(fit: LawFit, gain: F64) -> LawFit:
        return fit_law(fit.family, traces, start, None, noise=model, begin=fit, gain=gain, intervals=False)

    best, gains = fits[0], None
    for _ in range(TURNS):
        best = refit(best, gain)
        gains = device_gains(traces, tables_on(best, window, start.hard), best.noise)
        if gains is None or not any(spread.low > 0 for spread in (gains.common, gains.up, gains.down)):
            return fits, gains, None
        gain = gains.of_traces(traces)
    assert gains is not None  # there was a turn
    refitted = [refit(fit, gain) for fit in fits]
    if held is not None:
        scores = [_held_out_score(fit, held, gains, tables_on(fit, window, start.hard)) for fit in refitted]
        refitted = [
            replace(fit, score=replace(fit.score, held_out=score)) for fit, score in zip(refitted, scores, strict=True)
        ]
    return best_first(refitted, held), gains, gain


def with_errors(
    fits: Sequence[LawFit], traces: Traces, start: Start, gains: Gains | None, gain: F64 | None
) -> tuple[LawFit, ...]:
    """Return the laws with intervals; where devices have gains, a step's holds the error of the mean over the devices too."""
    known = [with_intervals(fit, traces, start, gain) for fit in fits]
    if gains is None or gain is None:
        return tuple(known)
    return tuple(replace(fit, estimates=tuple(_widened(e, gains) for e in fit.estimates)) for fit in known)


def _held_out_score(fit: LawFit, held: Traces, gains: Gains, law: StepTables) -> float:
    """Mean log density of a held-out read, nats, with the gains of its device: those of the fit, or the likeliest of a new device."""
    if np.isin(held.cell, gains.cells).all():
        factors = gains.of_traces(held)
    else:
        cells, gain, _ = likeliest_gains(held, law, fit.noise)
        factors = np.nan_to_num(gain, nan=1.0)[np.searchsorted(cells, held.cell)]
    return float(run_filter(held, law, fit.noise, factors).loglik.sum() / held.inside().sum())


def _widened(estimate: Estimate, gains: Gains) -> Estimate:
    """Interval of a step size with the error of the mean over the measured devices, which is that of a population."""
    side = (
        1 if estimate.name.startswith(("s_up", "up[")) else 0 if estimate.name.startswith(("s_down", "down[")) else None
    )
    if side is None or estimate.fixed:
        return estimate
    own = gains.up if side else gains.down
    relative = float(np.hypot(gains.common.value, own.value)) / np.sqrt(len(gains.cells))
    half = 0.5 * np.log(estimate.high / estimate.low)
    wider = float(np.hypot(half, 1.959963984540054 * relative))
    middle = float(np.sqrt(estimate.high * estimate.low))
    std = float(np.hypot(estimate.std, relative * estimate.value))
    return replace(estimate, std=std, low=middle * np.exp(-wider), high=middle * np.exp(wider))


def tables_on(fit: LawFit, window: Window, hard: bool) -> StepTables:
    """Tables of a law on a window that need not be its own."""
    nodes = 129
    u = fit.window.state(window.grid(nodes))
    mean = np.stack([fit.part.step_mean(u, up, fit.window) for up in (False, True)])
    std = np.stack([fit.part.step_std(u, up, fit.window) for up in (False, True)])
    return StepTables(mean, std, window.g_min, window.g_max, hard)
