"""First look at the steps: mean and spread against the state, and the read noise that successive steps betray. Never a model."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.families import Start
from devices.window import Window

F64 = npt.NDArray[np.float64]


def first_look(traces: Traces, window: Window, *, hard: bool = True, states: int = 9) -> Start:
    """Moments of the steps in bins of the smoothed state, and the read noise from the covariance of successive steps.

    Two successive differences share one read with opposite signs, so their covariance is minus the variance of the read noise
    when pulses are independent.
    """
    change, at, direction = traces.changes()
    per_pulse = change / traces.pulses[at]
    state = window.state(smoothed(traces)[at])
    mean, std = np.full((2, states), np.nan), np.full((2, states), np.nan)
    grid = np.linspace(0.0, 1.0, states)
    covariance, pairs = 0.0, 0
    measured = []
    for k, side in enumerate((-1, 1)):
        own = direction == side
        measured.append(bool(own.any()))
        if not own.any():
            continue
        for j, u in enumerate(grid):
            near = own & (np.abs(state - u) <= 0.75 / (states - 1))
            if near.sum() >= 3:
                mean[k, j] = stats.trim_mean(per_pulse[near], 0.02)
                std[k, j] = per_pulse[near].std(ddof=1)
        known = np.isfinite(mean[k])
        if not known.any():
            mean[k], std[k] = per_pulse[own].mean(), per_pulse[own].std() if own.sum() > 1 else 0.0
        else:
            mean[k] = np.interp(grid, grid[known], mean[k][known])
            std[k] = np.interp(grid, grid[known], std[k][known])
        rest = np.where(own, change - traces.pulses[at] * np.interp(state, grid, mean[k]), np.nan)
        joined = (np.diff(at) == 1) & own[1:] & own[:-1]
        covariance += float((rest[1:][joined] * rest[:-1][joined]).sum())
        pairs += int(joined.sum())
    for k in (0, 1):
        if not measured[k]:
            mean[k], std[k] = -mean[1 - k][::-1], std[1 - k][::-1]
    noise = float(np.sqrt(max(0.0, -covariance / pairs))) if pairs else 0.0
    return Start(mean, std, noise, window, (measured[0], measured[1]), hard)


def smoothed(traces: Traces, half: int = 10) -> F64:
    """(N,) siemens: state before each read's pulses, from the reads before the last one: a line through up to `half` of them.

    It shares no read noise with the step that follows, as the last read would. The first reads of a trace have themselves.
    """
    result = traces.g.copy()
    result[1:] = traces.g[:-1]
    result[traces.start[:-1]] = traces.g[traces.start[:-1]]
    x = np.arange(half) - 0.5 * (half - 1)
    # Weights that give the value of the fitted line one read after the last of its `half` reads.
    weights = 1.0 / half + x * (x[-1] + 1.0) / (x @ x)
    for r in range(len(traces)):
        g = traces.g[traces.start[r] : traces.start[r + 1]]
        if len(g) > half + 1:
            line = np.correlate(g[:-2], weights, "valid")  # line[k]: from g[k : k + half], the state at read k + half
            result[traces.start[r] + half + 1 : traces.start[r + 1]] = line
    return result
