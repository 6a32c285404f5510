"""Where traces begin, noise of the first reads taken out, and which go on where the one before ended. Never a replay."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.traces import Traces

F64 = npt.NDArray[np.float64]

MOST_READS, LENGTHS, LIMIT = 15, 3.0, 40
"""First reads that a starting state is taken from at most; or so many correlation lengths of the noise, up to a limit."""
JOINED = 0.1
"""Share of a device's range within which a trace begins where the one before ended."""


@dataclass(frozen=True)
class StartStates:
    """Where the traces of a replay begin.

    Attributes:
        state: (R,) siemens, the true state at the first read.
        jump: (R,) siemens between the end of the device's trace before and this one, which goes on from there; NaN: it begins anew.
    """

    state: F64
    jump: F64


def start_states(traces: Traces, noise: ReadNoise, step_std: float) -> StartStates:
    """Where the traces begin, and which of them go on where the device's trace before ended.

    The states at both ends of a trace are read off lines through as many reads as the noise asks for. A trace goes on when it begins
    within a tenth of the device's range of the end of the one before, and by the difference, when it is more than noise.
    """
    first, last = (_end_states(traces, noise, step_std, at_end) for at_end in (False, True))
    low, high = (extreme.reduceat(traces.g, traces.start[:-1]) for extreme in (np.minimum, np.maximum))
    jump = np.full(len(traces), np.nan)
    order = np.argsort(traces.cell, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(traces.cell[order])) + 1):
        near = JOINED * float(high[own].max() - low[own].min()) + 3.0 * noise.total
        step = first[own[1:]] - last[own[:-1]]
        jump[own[1:]] = np.where(np.abs(step) > near, np.nan, np.where(np.abs(step) > 3.0 * noise.total, step, 0.0))
    return StartStates(first, jump)


def _end_states(traces: Traces, noise: ReadNoise, step_std: float, at_end: bool) -> F64:
    """(R,) siemens: state at the first, or last, read of each trace, from a line through as many reads as the noise asks for.

    Without read noise it is that read itself; otherwise reads are averaged until the pulses' own scatter outweighs the gain.
    """
    result = traces.g[traces.start[1:] - 1 if at_end else traces.start[:-1]].copy()
    if noise.total <= 0.0:
        return result
    most = int(np.clip(LENGTHS * noise.length, MOST_READS, LIMIT)) if noise.correlated > 0 else MOST_READS
    wanted = int(np.clip(np.ceil(2.0 * noise.total / max(step_std, 1e-3 * noise.total)) + 1, 1, most))
    for r in range(len(traces)):
        own = slice(int(traces.start[r]), int(traces.start[r + 1]))
        order = slice(None, None, -1 if at_end else 1)
        g = traces.g[own][order][:wanted]
        direction = traces.direction[own][1:][order][: len(g) - 1]
        if len(g) >= 4 and (direction == direction[0]).all():
            result[r] = np.polynomial.polynomial.polyfit(np.arange(len(g)), g, 1)[0]
    return result
