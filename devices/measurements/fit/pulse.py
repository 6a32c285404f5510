"""The whole fit of a pulse measurement: laws, read noise, device spread, stuck cells, quantile tables. Never a card or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from devices.measurements.distribution import StepDistribution
from devices.measurements.fit.comparison_of_laws import fit_laws, tables_on, with_gains
from devices.measurements.fit.families import LawFamily, Start
from devices.measurements.fit.history import history_note
from devices.measurements.fit.laws import LawFit
from devices.measurements.fit.moments import first_look
from devices.measurements.fit.pulse_tables import (
    MOST_TABLES,
    PulseTables,
    enough_for_several,
    nominal_window,
    range_of,
    tables_of_groups,
    window_note,
)
from devices.measurements.fit.quantiles import distribution_table
from devices.measurements.fit.spread import FEWEST_DEVICES, Gains
from devices.measurements.fit.statespace import run_filter
from devices.measurements.fit.stuck import StuckReport, find_stuck
from devices.measurements.problems import MeasurementError
from devices.measurements.split import Split
from devices.window import Window


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
    fits, read_std, noise_gain = fit_laws(parts.held_out, traces, start, laws, separate_read_noise)
    best, hard = fits[0], start.hard
    law = tables_on(best, own, hard)
    if read_std > 0:
        filtered = run_filter(traces, law, read_std)
        if window is None:  # reads overshoot the states by their noise
            own = range_of(filtered.filtered)
            law = tables_on(best, own, hard)
        notes.append(
            f"successive reads show a read noise of {1e6 * read_std:.3g} uS (AIC better by {noise_gain:.0f}): it is taken out of the"
            " steps and given to the card's read noise; with the instrument's own noise in it, it is an upper bound of the cell's"
        )
    if not any(fit.adequate for fit in fits):
        notes.append(
            "no pulse law fits: even the best is off by more than a quarter of the mean step somewhere; use the tables"
        )
    history = history_note(traces, law, read_std)
    if history:
        notes.append(history)
    devices = np.unique(traces.cell)
    several = (
        enough_for_several(traces, devices, start.measured)
        if tables_per_device is None
        else tables_per_device and len(devices) > 1
    )
    gains, gain = None, None
    if not several and len(devices) >= FEWEST_DEVICES:
        fits, gains, gain = with_gains(fits, traces, start, own, read_std)
        law, read_std = tables_on(fits[0], own, hard), fits[0].read_std if read_std > 0 else 0.0
    groups = (
        [traces.take(np.flatnonzero(traces.cell == cell)) for cell in devices[:MOST_TABLES]] if several else [traces]
    )
    if several and len(devices) > MOST_TABLES:
        notes.append(f"{len(devices)} devices: the card holds the tables of the first {MOST_TABLES}")
    tables = tables_of_groups(groups, law, read_std, own, several and window is None, gain, notes)
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
        notes.append(window_note(own_windows, nominal))
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
