"""The whole fit of a pulse measurement: laws, read noise, device spread, stuck cells, quantile tables. Never a card or a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from devices.measurements.data.read_noise import NO_READ_NOISE, ReadNoise
from devices.measurements.data.split import Split
from devices.measurements.fit.pulse.comparison_of_laws import (
    CLEAR_CORRELATED,
    NoiseEvidence,
    correlation_within_devices,
    fit_laws,
    tables_on,
    with_errors,
    with_gains,
    without_correlation,
)
from devices.measurements.fit.pulse.device_speeds import device_speeds
from devices.measurements.fit.pulse.families import LawFamily, Start
from devices.measurements.fit.pulse.history import history_note
from devices.measurements.fit.pulse.laws import LawFit
from devices.measurements.fit.pulse.moments import first_look
from devices.measurements.fit.pulse.noise_model import NoiseModel
from devices.measurements.fit.pulse.noise_notes import noise_notes
from devices.measurements.fit.pulse.quantiles import distribution_table
from devices.measurements.fit.pulse.scatter import Scatter, pulse_scatter
from devices.measurements.fit.pulse.spread import FEWEST_DEVICES, Gains
from devices.measurements.fit.pulse.statespace import run_filter
from devices.measurements.fit.pulse.stuck import StuckReport, find_stuck
from devices.measurements.fit.pulse.tables import (
    MOST_TABLES,
    PulseTables,
    enough_for_several,
    nominal_window,
    range_of,
    tables_of_groups,
    window_note,
    window_span_note,
)
from devices.measurements.table.distribution import StepDistribution
from devices.measurements.text.problems import MeasurementError
from devices.window import Window


@dataclass(frozen=True)
class PulseFit:
    """A fitted pulse measurement.

    Attributes:
        window: nominal, in siemens. tables: for the card. start: moments. laws: every fitted law, the best first.
        noise: of the reads, taken out of the steps. evidence: by how much AIC prefers it.
        scatter: of pulses that slow read noise hides, with its interval; None without correlated noise.
        gains: device-to-device spread, None with too few devices or when every device has its own table.
        stuck: cells that do not move. devices: cells fitted. notes: for the report. measured: directions (down, up) with data.
    """

    window: Window
    tables: PulseTables
    start: Start | None
    laws: tuple[LawFit, ...]
    noise: ReadNoise
    evidence: NoiseEvidence
    scatter: Scatter | None
    gains: Gains | None
    stuck: StuckReport | None
    devices: int
    notes: tuple[str, ...]
    measured: tuple[bool, bool]

    @property
    def read_std(self) -> float:
        """Standard deviation of one read, siemens; 0 when the data show no read noise."""
        return self.noise.total


def fit_pulses(
    parts: Split,
    *,
    window: Window | None,
    laws: Mapping[str, Sequence[LawFamily]],
    read_noise: NoiseModel,
    tables_per_device: bool | None,
    intervals: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> PulseFit:
    """Fit traces.

    Args:
        parts: fitted and held-out traces.
        window: given by the user, or None: the range of the states.
        laws: kinds to try, with their variants.
        read_noise: the richest noise that may be taken out of the steps, when the data show it.
        tables_per_device: one table per device; None: when there are several devices with enough steps each.
        intervals: of the laws' parameters, too. say: told what is going on.
    """
    traces = parts.fit
    notes: list[str] = []
    own = window if window is not None else range_of(traces.g)
    stuck = find_stuck(traces, own)
    if stuck.cells:
        traces = traces.take(np.flatnonzero(~np.isin(traces.cell, stuck.cells)))
        notes.append(
            f"{len(stuck.cells)} of {stuck.tested} cells do not move when pulsed: left out of the fit, reported as stuck"
        )
        own = window if window is not None else range_of(traces.g)
    start = first_look(traces, own, hard=window is not None)
    for k, side in enumerate(("depression", "potentiation")):
        if not start.measured[k]:
            notes.append(f"no {side} was measured: the card's {side} is the mirror image of the other direction")
    devices = np.unique(traces.cell)
    several = (
        enough_for_several(traces, devices, start.measured)
        if tables_per_device is None
        else tables_per_device and len(devices) > 1
    )
    differ = not several and len(devices) >= FEWEST_DEVICES  # one law for all, a gain for each
    first_gains = device_speeds(traces).of_traces(traces) if differ else None
    fits, evidence = fit_laws(parts.held_out, traces, start, laws, read_noise, first_gains, say)
    if evidence.model == "correlated" and len(devices) > 1:
        within = correlation_within_devices(fits[0], traces, start, own, several)
        evidence = replace(evidence, correlated_gain=within)
        if within <= CLEAR_CORRELATED:
            evidence = replace(evidence, model="white")
            fits = without_correlation(fits, parts.held_out, traces, start)
    hard = start.hard
    law = tables_on(fits[0], own, hard)
    if evidence.model != "none" and window is None:  # reads overshoot the states by their noise
        own = range_of(run_filter(traces, law, fits[0].noise).filtered)
        law = tables_on(fits[0], own, hard)
    coarse = window_span_note(traces.g, own)
    if coarse:
        notes.append(coarse)
    history = history_note(traces, law, fits[0].noise)
    if history:
        notes.append(history)
    gains, gain = None, None
    if first_gains is not None:
        say(f"fitting the step sizes of {len(devices)} devices and the laws in turn")
        fits, gains, gain = with_gains(fits, parts.held_out, traces, start, own, evidence.model, first_gains)
        law = tables_on(fits[0], own, hard)
    if intervals:
        say("finding the intervals of the parameters")
        fits = with_errors(fits, traces, start, gains, gain)
    noise = fits[0].noise
    scatter = pulse_scatter(traces, law, noise) if evidence.model == "correlated" else None
    law = law if scatter is None else scatter.put_on(law, traces)
    notes = [*noise_notes(noise, evidence, scatter, law), *notes]
    say("making tables of quantiles")
    groups = (
        [traces.take(np.flatnonzero(traces.cell == cell)) for cell in devices[:MOST_TABLES]] if several else [traces]
    )
    if several and len(devices) > MOST_TABLES:
        notes.append(f"{len(devices)} devices: the card holds the tables of the first {MOST_TABLES}")
    tables = tables_of_groups(groups, law, noise, own, several and window is None, gain, notes)
    return PulseFit(
        tables.window,
        tables,
        start,
        fits,
        noise,
        evidence,
        scatter,
        gains,
        stuck,
        len(devices),
        tuple(notes),
        start.measured,
    )


def adequacy_notes(laws: Sequence[LawFit]) -> tuple[str, ...]:
    """A sentence when none of the compared laws describes the cell, else nothing."""
    if not laws or any(law.adequate for law in laws):
        return ()
    return (
        "no pulse law fits: even the best is off by more than a quarter of the mean step somewhere; use the tables",
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
        notes.append(window_note(own_windows, nominal))
    sides_measured = {d.direction for d in distributions}
    return PulseFit(
        nominal,
        tables,
        None,
        (),
        NO_READ_NOISE,
        NoiseEvidence("none", 0.0, 0.0),
        None,
        None,
        None,
        len(pairs),
        tuple(dict.fromkeys(notes)),
        (-1 in sides_measured, 1 in sides_measured),
    )
