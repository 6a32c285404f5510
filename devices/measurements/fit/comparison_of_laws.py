"""All pulse laws fitted to the same traces: which noise the data show, and the devices' own gains. Never a table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from devices.measurements.fit.families import LawFamily, Start
from devices.measurements.fit.laws import LawFit, fit_law
from devices.measurements.fit.parameters import Estimate
from devices.measurements.fit.spread import Gains, device_gains
from devices.measurements.fit.statespace import StepTables
from devices.measurements.traces import Traces
from devices.window import Window

F64 = npt.NDArray[np.float64]


def fit_laws(
    held: Traces | None, traces: Traces, start: Start, laws: Mapping[str, Sequence[LawFamily]], separate: bool
) -> tuple[tuple[LawFit, ...], float, float]:
    """Fit every law with read noise, the best one also without; keep the read noise only when AIC asks for it."""
    fits = []
    for variants in laws.values():
        best: LawFit | None = None
        for family in variants:  # from coarse to fine, as long as AIC gains
            fit = fit_law(family, traces, start, held, read_noise=separate)
            if best is not None and fit.order >= best.order:
                break
            best = fit
        assert best is not None  # every kind has a variant
        fits.append(best)
    fits.sort(key=lambda fit: fit.order)
    read_std = fits[0].read_std
    if not separate:
        return tuple(fits), 0.0, 0.0
    plain = fit_law(fits[0].family, traces, start, held, read_noise=False)
    gain = plain.aic - fits[0].aic
    if gain > 2.0 and read_std > 1e-3 * float(np.nanmedian(start.std)):
        return tuple(fits), read_std, gain
    refitted = [fit_law(fit.family, traces, start, held, read_noise=False) for fit in fits]
    return tuple(sorted(refitted, key=lambda fit: fit.order)), 0.0, gain


def with_gains(
    fits: tuple[LawFit, ...], traces: Traces, start: Start, window: Window, read_std: float
) -> tuple[tuple[LawFit, ...], Gains | None, F64 | None]:
    """Separate the spread between devices from the scatter of pulses: gains and laws in turn, each given the other.

    A law fitted to all devices as if they were one takes their differences for noise of the pulse, and hides part of the spread.
    The held-out score stays that of the common law: the gains of a device that was held out are not known.
    """
    gains = device_gains(traces, tables_on(fits[0], window, start.hard), read_std)
    if gains is None or not any(spread.low > 0 for spread in (gains.common, gains.up, gains.down)):
        return fits, gains, None
    gain = None
    best = fits[0]
    for _ in range(2):
        gain = gains.of_traces(traces)
        best = fit_law(best.family, traces, start, None, read_noise=read_std > 0, gain=gain)
        again = device_gains(traces, tables_on(best, window, start.hard), best.read_std)
        assert again is not None  # there are as many devices as before
        gains = again
    refitted = [
        replace(fit_law(fit.family, traces, start, None, read_noise=read_std > 0, gain=gain), held_out=fit.held_out)
        for fit in fits
    ]
    widened = [replace(fit, estimates=tuple(_widened(e, gains) for e in fit.estimates)) for fit in refitted]
    return tuple(sorted(widened, key=lambda fit: fit.order)), gains, gain


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
