"""Tables of measured step distributions, one per device. Never a law: a distribution holds no single steps."""

from collections.abc import Sequence

import numpy as np

from devices.measurements.data.read_noise import NO_READ_NOISE
from devices.measurements.fit.pulse.comparison_of_laws import NoiseEvidence
from devices.measurements.fit.pulse.fit import PulseFit
from devices.measurements.fit.pulse.quantiles import distribution_table
from devices.measurements.fit.pulse.tables import PulseTables, nominal_window, window_note
from devices.measurements.table.distribution import StepDistribution
from devices.measurements.text.problems import MeasurementError
from devices.window import Window


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
        window=nominal,
        tables=tables,
        start=None,
        laws=(),
        noise=NO_READ_NOISE,
        evidence=NoiseEvidence("none", 0.0, 0.0),
        scatter=None,
        gains=None,
        stuck=None,
        devices=len(pairs),
        notes=tuple(dict.fromkeys(notes)),
        measured=(-1 in sides_measured, 1 in sides_measured),
    )
