"""Quantile tables of one or several devices on windows, measured or of step distributions. It never fits a law."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.quantiles import STATES, QuantileTable, fitted_table
from devices.measurements.fit.pulse.statespace import StepTables, run_filter
from devices.measurements.text.problems import MeasurementError
from devices.window import Window

F64 = npt.NDArray[np.float64]

STEPS_PER_TABLE = 200
"""Steps in each measured direction from which on a device gets a table of its own."""
MOST_TABLES = 256


@dataclass(frozen=True)
class PulseTables:
    """What a measured card holds: quantiles (T, K, Z) siemens both ways, own windows (T, 2) or None, nominal window.

    `cells`, (T,): numbers of the devices whose own tables these are; None for one table of all, or of step distributions.
    """

    up: F64
    down: F64
    windows: F64 | None
    window: Window
    cells: npt.NDArray[np.int64] | None = None


def tables_of_groups(
    groups: Sequence[Traces],
    law: StepTables,
    noise: ReadNoise,
    own: Window,
    several: bool,
    gain: F64 | None,
    notes: list[str],
) -> PulseTables:
    """One pair of tables per group; own windows when each group's range is to count."""
    windows, ups, downs, cells = [], [], [], []
    hidden, thin = False, False
    for traces in groups:
        local, window = law, own
        if several:
            window = range_of(run_filter(traces, law, noise).filtered)
            grid = np.linspace(0.0, 1.0, law.mean.shape[1])
            u = np.clip((window.grid(len(grid)) - law.g_min) / (law.g_max - law.g_min), 0.0, 1.0)
            local = StepTables(
                np.stack([np.interp(u, grid, row) for row in law.mean]),
                np.stack([np.interp(u, grid, row) for row in law.std]),
                window.g_min,
                window.g_max,
                law.hard,
            )
        up, down = (fitted_table(traces, local, noise, direction, gain=gain) for direction in (True, False))
        for table in (up, down):
            hidden |= table is not None and table.normal_shape
            thin |= table is not None and table.steps < STEPS_PER_TABLE
        pair = _both_directions(up, down)
        if pair is None:
            continue
        ups.append(pair[0])
        downs.append(pair[1])
        cells.append(int(traces.cell[0]))
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
        notes.append(window_note(own_windows, nominal))
    owners = np.array(cells, np.int64) if len(groups) > 1 else None
    return PulseTables(np.stack(ups), np.stack(downs), own_windows if several else None, nominal, owners)


def _both_directions(up: QuantileTable | None, down: QuantileTable | None) -> tuple[F64, F64] | None:
    """Quantiles up and down; a direction that was not measured is the mirror image of the other. None when neither was."""
    if up is None:
        return None if down is None else (-down.q[::-1, ::-1], down.q)
    return up.q, -up.q[::-1, ::-1] if down is None else down.q


def enough_for_several(traces: Traces, devices: npt.NDArray[np.int64], measured: tuple[bool, bool]) -> bool:
    """Whether each device has enough steps in every measured direction for tables of its own."""
    if not 2 <= len(devices) <= MOST_TABLES:
        return False
    _, at, direction = traces.changes()
    cell = traces.cell[traces.trace_of()[at]]
    sides = [side for side, there in zip((-1, 1), measured, strict=True) if there]
    return all(((cell == c) & (direction == side)).sum() >= STEPS_PER_TABLE for c in devices for side in sides)


def nominal_window(windows: F64) -> Window:
    """Window that three quarters of the devices reach at either end, so that weights are mapped to what most cells can hold."""
    low, high = float(np.quantile(windows[:, 0], 0.75)), float(np.quantile(windows[:, 1], 0.25))
    if high - low < 0.2 * float(np.median(windows[:, 1] - windows[:, 0])):
        low, high = float(np.median(windows[:, 0])), float(np.median(windows[:, 1]))
    window = Window(low, high)
    if (misfit := window.misfit) is not None:
        raise MeasurementError(f"window: the range of the reads {misfit}; check columns and units, or give a window")
    return window


def window_note(windows: F64, nominal: Window) -> str:
    """Sentence on the devices' own windows (T, 2) and the nominal one."""
    return (
        f"{len(windows)} devices with windows of their own, from {1e6 * windows[:, 0].min():.3g} to {1e6 * windows[:, 0].max():.3g} uS"
        f" at the low end and {1e6 * windows[:, 1].min():.3g} to {1e6 * windows[:, 1].max():.3g} uS at the high end; weights are mapped"
        f" to {1e6 * nominal.g_min:.3g} ... {1e6 * nominal.g_max:.3g} uS, which three quarters of them reach at either end"
    )


def window_span_note(g: F64, window: Window) -> str:
    """A sentence when a quarter of the reads lie within the lowest of the tables' evenly spaced nodes."""
    node = window.width / (STATES - 1)
    low = float(np.mean(g < window.g_min + node))
    if low < 0.25:
        return ""
    return (
        f"{low:.0%} of the reads lie below {1e6 * (window.g_min + node):.3g} uS, the lowest {1 / (STATES - 1):.0%} of the window: the"
        " emulator's states are evenly spaced, so it cannot tell these apart; for a card of the low states give a window"
    )


def range_of(values: F64) -> Window:
    """Window from the least to the largest of some conductances. Raises MeasurementError when no card can have it."""
    low, high = max(0.0, float(values.min())), float(values.max())
    if high <= low:
        raise MeasurementError(
            f"all {len(values)} reads are {low:g} S: no window and no step can be found; check columns and units"
        )
    window = Window(low, high)
    if (misfit := window.misfit) is not None:
        raise MeasurementError(f"window: the range of the reads {misfit}; check columns and units, or give a window")
    return window
