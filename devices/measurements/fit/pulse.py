"""The whole fit of a pulse measurement: laws, read noise, device spread, stuck cells, quantile tables. Never a card or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.distribution import StepDistribution
from devices.measurements.fit.laws import Estimate, LawFamily, LawFit, Start, fit_law
from devices.measurements.fit.moments import first_look
from devices.measurements.fit.quantiles import distribution_table, fitted_table
from devices.measurements.fit.spread import FEWEST_DEVICES, Gains, device_gains
from devices.measurements.fit.statespace import StepTables, run_filter
from devices.measurements.fit.stuck import StuckReport, find_stuck
from devices.measurements.problems import MeasurementError
from devices.measurements.split import Split
from devices.measurements.traces import Traces
from devices.window import Window

F64 = npt.NDArray[np.float64]

STEPS_PER_TABLE = 200
"""Steps in each measured direction from which on a device gets a table of its own."""
MOST_TABLES = 256


@dataclass(frozen=True)
class PulseTables:
    """What a measured card holds: quantiles (T, K, Z) siemens both ways, own windows (T, 2) or None, nominal window."""

    up: F64
    down: F64
    windows: F64 | None
    window: Window


@dataclass(frozen=True)
class PulseFit:
    """A fitted pulse measurement.

    Attributes:
        window: nominal, in siemens. tables: for the card. start: moments. laws: every fitted law, best AIC first.
        read_std: siemens, read noise that was taken out of the steps; 0 when there is none. noise_gain: by how much AIC prefers it.
        gains: device-to-device spread, None with too few devices or when every device has its own table.
        stuck: cells that do not move. devices: cells fitted. notes: for the report. measured: directions (down, up) with data.
    """

    window: Window
    tables: PulseTables
    start: Start | None
    laws: tuple[LawFit, ...]
    read_std: float
    noise_gain: float
    gains: Gains | None
    stuck: StuckReport | None
    devices: int
    notes: tuple[str, ...]
    measured: tuple[bool, bool]


def fit_pulses(
    parts: Split,
    *,
    window: Window | None,
    laws: Mapping[str, Sequence[LawFamily]],
    separate_read_noise: bool,
    tables_per_device: bool | None,
) -> PulseFit:
    """Fit traces.

    Args:
        parts: fitted and held-out traces.
        window: given by the user, or None: the range of the states.
        laws: kinds to try, with their variants.
        separate_read_noise: take read noise out of the steps when the data show it.
        tables_per_device: one table per device; None: when there are several devices with enough steps each.
    """
    traces, notes = parts.fit, []
    own = window if window is not None else _range(traces)
    stuck = find_stuck(traces, own)
    if stuck.cells:
        traces = traces.take(np.flatnonzero(~np.isin(traces.cell, stuck.cells)))
        notes.append(
            f"{len(stuck.cells)} of {stuck.tested} cells do not move when pulsed: left out of the fit, reported as stuck"
        )
        own = window if window is not None else _range(traces)
    start = first_look(traces, own, hard=window is not None)
    for k, side in enumerate(("depression", "potentiation")):
        if not start.measured[k]:
            notes.append(f"no {side} was measured: the card's {side} is the mirror image of the other direction")
    fits, read_std, noise_gain = _fit_laws(parts.held_out, traces, start, laws, separate_read_noise)
    best, hard = fits[0], start.hard
    law = _tables_on(best, own, hard)
    if read_std > 0:
        filtered = run_filter(traces, law, read_std)
        if window is None:  # reads overshoot the states by their noise
            own = _range_of(filtered.filtered)
            law = _tables_on(best, own, hard)
        notes.append(
            f"successive reads show a read noise of {1e6 * read_std:.3g} uS (AIC better by {noise_gain:.0f}): it is taken out of the"
            " steps and given to the card's read noise; with the instrument's own noise in it, it is an upper bound of the cell's"
        )
    if not any(fit.adequate for fit in fits):
        notes.append(
            "no pulse law fits: even the best is off by more than a quarter of the mean step somewhere; use the tables"
        )
    history = _history(traces, law, read_std)
    if history:
        notes.append(history)
    devices = np.unique(traces.cell)
    several = (
        _several(traces, devices, start.measured)
        if tables_per_device is None
        else tables_per_device and len(devices) > 1
    )
    gains, gain = None, None
    if not several and len(devices) >= FEWEST_DEVICES:
        fits, gains, gain = _with_gains(fits, traces, start, own, read_std)
        law, read_std = _tables_on(fits[0], own, hard), fits[0].read_std if read_std > 0 else 0.0
    groups = (
        [traces.take(np.flatnonzero(traces.cell == cell)) for cell in devices[:MOST_TABLES]] if several else [traces]
    )
    if several and len(devices) > MOST_TABLES:
        notes.append(f"{len(devices)} devices: the card holds the tables of the first {MOST_TABLES}")
    tables = _tables(groups, law, read_std, own, several and window is None, gain, notes)
    return PulseFit(
        tables.window,
        tables,
        start,
        fits,
        read_std,
        noise_gain,
        gains,
        stuck,
        len(devices),
        tuple(notes),
        start.measured,
    )


def fit_distributions(distributions: Sequence[StepDistribution], *, window: Window | None) -> PulseFit:
    """Make tables of measured step distributions, one per device; a direction that is missing is the mirror image of the other."""
    notes: list[str] = []
    by_device: dict[int, dict[int, StepDistribution]] = {}
    for distribution in distributions:
        sides = by_device.setdefault(distribution.device, {})
        if distribution.direction in sides:
            raise MeasurementError(
                f"{distribution.source}: two step distributions of one device and direction; give device labels"
            )
        sides[distribution.direction] = distribution
    windows, pairs = [], []
    states = max(len(d.g) for d in distributions)
    for sides in by_device.values():
        own = Window(max(d.g[0] for d in sides.values()), min(d.g[-1] for d in sides.values()))
        if own.width <= 0:
            raise MeasurementError(f"{next(iter(sides.values())).source}: the states of both directions do not overlap")
        pair = {side: distribution_table(d, own, states=states).q for side, d in sides.items()}
        for side in (1, -1):
            if side not in pair:
                pair[side] = -pair[-side][::-1, ::-1]
                notes.append("one direction only: the other is its mirror image")
        windows.append((own.g_min, own.g_max))
        pairs.append((pair[1], pair[-1]))
    own_windows = np.array(windows)
    nominal = window or nominal_window(own_windows)
    tables = PulseTables(
        np.stack([up for up, _ in pairs]),
        np.stack([down for _, down in pairs]),
        own_windows if len(pairs) > 1 or window is not None else None,
        nominal,
    )
    if len(pairs) > 1:
        notes.append(_window_note(own_windows, nominal))
    sides_measured = {d.direction for d in distributions}
    return PulseFit(
        nominal,
        tables,
        None,
        (),
        0.0,
        0.0,
        None,
        None,
        len(pairs),
        tuple(dict.fromkeys(notes)),
        (-1 in sides_measured, 1 in sides_measured),
    )


def nominal_window(windows: F64) -> Window:
    """Window that three quarters of the devices reach at either end, so that weights are mapped to what most cells can hold."""
    low, high = float(np.quantile(windows[:, 0], 0.75)), float(np.quantile(windows[:, 1], 0.25))
    if high - low < 0.2 * float(np.median(windows[:, 1] - windows[:, 0])):
        low, high = float(np.median(windows[:, 0])), float(np.median(windows[:, 1]))
    return Window(low, high)


def _window_note(windows: F64, nominal: Window) -> str:
    return (
        f"{len(windows)} devices with windows of their own, from {1e6 * windows[:, 0].min():.3g} to {1e6 * windows[:, 0].max():.3g} uS"
        f" at the low end and {1e6 * windows[:, 1].min():.3g} to {1e6 * windows[:, 1].max():.3g} uS at the high end; weights are mapped"
        f" to {1e6 * nominal.g_min:.3g} ... {1e6 * nominal.g_max:.3g} uS, which three quarters of them reach at either end"
    )


def _range(traces: Traces) -> Window:
    return _range_of(traces.g)


def _range_of(values: F64) -> Window:
    low, high = max(0.0, float(values.min())), float(values.max())
    if high <= low:
        raise MeasurementError(
            f"all {len(values)} reads are {low:g} S: no window and no step can be found; check columns and units"
        )
    return Window(low, high)


def _tables_on(fit: LawFit, window: Window, hard: bool) -> StepTables:
    """Tables of a law on a window that need not be its own."""
    nodes = 129
    u = fit.window.state(window.grid(nodes))
    mean = np.stack([fit.part.step_mean(u, up, fit.window) for up in (False, True)])
    std = np.stack([fit.part.step_std(u, up, fit.window) for up in (False, True)])
    return StepTables(mean, std, window.g_min, window.g_max, hard)


def _fit_laws(
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


def _with_gains(
    fits: tuple[LawFit, ...], traces: Traces, start: Start, window: Window, read_std: float
) -> tuple[tuple[LawFit, ...], Gains | None, F64 | None]:
    """Separate the spread between devices from the scatter of pulses: gains and laws in turn, each given the other.

    A law fitted to all devices as if they were one takes their differences for noise of the pulse, and hides part of the spread.
    The held-out score stays that of the common law: the gains of a device that was held out are not known.
    """
    gains = device_gains(traces, _tables_on(fits[0], window, start.hard), read_std)
    if gains is None or not any(spread.low > 0 for spread in (gains.common, gains.up, gains.down)):
        return fits, gains, None
    gain = None
    best = fits[0]
    for _ in range(2):
        gain = gains.of_traces(traces)
        best = fit_law(best.family, traces, start, None, read_noise=read_std > 0, gain=gain)
        again = device_gains(traces, _tables_on(best, window, start.hard), best.read_std)
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


def _several(traces: Traces, devices: npt.NDArray[np.int64], measured: tuple[bool, bool]) -> bool:
    if not 2 <= len(devices) <= MOST_TABLES:
        return False
    _, at, direction = traces.changes()
    cell = traces.cell[traces.trace_of()[at]]
    sides = [side for side, there in zip((-1, 1), measured, strict=True) if there]
    return all(((cell == c) & (direction == side)).sum() >= STEPS_PER_TABLE for c in devices for side in sides)


def _tables(
    groups: Sequence[Traces],
    law: StepTables,
    read_std: float,
    own: Window,
    several: bool,
    gain: F64 | None,
    notes: list[str],
) -> PulseTables:
    """One pair of tables per group; own windows when each group's range is to count."""
    windows, ups, downs = [], [], []
    hidden, thin = False, False
    for traces in groups:
        local, window = law, own
        if several:
            window = _range_of(run_filter(traces, law, read_std).filtered)
            grid = np.linspace(0.0, 1.0, law.mean.shape[1])
            u = np.clip((window.grid(len(grid)) - law.g_min) / (law.g_max - law.g_min), 0.0, 1.0)
            local = StepTables(
                np.stack([np.interp(u, grid, row) for row in law.mean]),
                np.stack([np.interp(u, grid, row) for row in law.std]),
                window.g_min,
                window.g_max,
                law.hard,
            )
        found = {up: fitted_table(traces, local, read_std, up, gain=gain) for up in (True, False)}
        for table in found.values():
            hidden |= table is not None and table.normal_shape
            thin |= table is not None and table.steps < STEPS_PER_TABLE
        up = found[True].q if found[True] is not None else None  # type: ignore[union-attr]
        down = found[False].q if found[False] is not None else None  # type: ignore[union-attr]
        if up is None and down is None:
            continue
        ups.append(up if up is not None else -down[::-1, ::-1])  # type: ignore[index]
        downs.append(down if down is not None else -up[::-1, ::-1])  # type: ignore[index]
        windows.append((window.g_min, window.g_max))
    if hidden:
        notes.append(
            "read noise or few steps hide the shape of the step's distribution in places: taken as normal there"
        )
    if thin:
        notes.append("fewer than 200 steps in a direction: tails and wrong-sign shares are not known well")
    own_windows = np.array(windows)
    nominal = nominal_window(own_windows) if several else own
    if several:
        notes.append(_window_note(own_windows, nominal))
    return PulseTables(np.stack(ups), np.stack(downs), own_windows if several else None, nominal)


def _history(traces: Traces, law: StepTables, read_std: float, first: int = 5) -> str:
    """A sentence when the first pulses of a run in one direction act differently from later ones at the same state."""
    filtered = run_filter(traces, law, read_std)
    at = np.flatnonzero(traces.inside() & (traces.pulses > 0))
    since = np.zeros(len(at), np.int64)
    run = 0
    for k, read in enumerate(at):
        fresh = k == 0 or at[k - 1] != read - 1 or traces.direction[at[k - 1]] != traces.direction[read]
        run = 0 if fresh else run + 1
        since[k] = run
    innovation = (traces.g - filtered.predicted)[at] / traces.pulses[at] * traces.direction[at]
    step = np.abs(np.median(np.diff(traces.g)[at - 1]))
    early, late = innovation[since < first], innovation[since >= first]
    if len(early) < 30 or len(late) < 30 or step == 0:
        return ""
    test = stats.ttest_ind(early, late, equal_var=False)
    shift = float(early.mean() - late.mean()) / float(np.mean(np.abs(law.mean)))
    if test.pvalue > 1e-3 or abs(shift) < 0.1:
        return ""
    return (
        f"history: the first {first} pulses of a run change the cell by {abs(shift):.0%} of the mean step {'more' if shift > 0 else 'less'}"
        " than later pulses at the same conductance; a response that depends on the conductance alone, as the emulator's, cannot show that"
    )
