"""How fast measured devices are relative to each other, state by state. Never a law, and never a spread of a population."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.measurements.data.traces import Traces
from devices.measurements.fit.pulse.moments import smoothed

F64 = npt.NDArray[np.float64]

STATES, STEPS_PER_STATE = 24, 25
"""States at which devices are compared at most, and steps that each should have."""
ROUNDS = 200
"""Of the alternation, at most; it ends when no speed moves by a millionth."""


@dataclass(frozen=True)
class DeviceSpeeds:
    """Step sizes of D devices relative to their mean, (D, 2) with columns down and up; NaN where a direction was not measured.

    Attributes:
        cells: (D,) numbers of the cells, ascending. speed, std: (D, 2) estimates and their standard errors.
    """

    cells: npt.NDArray[np.int64]
    speed: F64
    std: F64

    def shrunk(self) -> F64:
        """(D, 2) speeds drawn towards 1 by as much as the scatter of the estimates is their own error; 1 where not measured."""
        result = np.ones_like(self.speed)
        for side in (0, 1):
            known = np.isfinite(self.speed[:, side])
            if known.any():
                error = self.std[known, side] ** 2
                spread = max(0.0, float(np.var(self.speed[known, side])) - float(error.mean()))
                result[known, side] += spread / np.maximum(spread + error, 1e-30) * (self.speed[known, side] - 1.0)
        return result

    def of_traces(self, traces: Traces) -> F64:
        """(R, 2) shrunk speeds of the devices of some traces."""
        return self.shrunk()[np.searchsorted(self.cells, traces.cell)]

    def overall(self) -> F64:
        """(D,) mean over the directions that a device was measured in."""
        known = np.isfinite(self.speed)
        return np.asarray(np.where(known, self.speed, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))


def device_speeds(traces: Traces) -> DeviceSpeeds:
    """Least squares of ``step = speed of the device * mean step of the state``, one factor given the other in turn.

    Fast devices reach states that slow ones never see, so that neither a device's mean step nor a state's tells its own factor.
    """
    change, at, direction = traces.changes()
    step, state = change / traces.pulses[at], smoothed(traces)[at]
    cells = np.unique(traces.cell)
    device = np.searchsorted(cells, traces.cell)[traces.trace_of()[at]]
    speed, std = np.full((len(cells), 2), np.nan), np.full((len(cells), 2), np.nan)
    for side, sign in enumerate((-1, 1)):
        own = direction == sign
        if own.any():
            speed[:, side], std[:, side] = _two_factors(step[own], state[own], device[own], len(cells))
    return DeviceSpeeds(cells, speed, std)


def _two_factors(step: F64, state: F64, device: npt.NDArray[np.int64], devices: int) -> tuple[F64, F64]:
    """Factors of the devices, (D,) of mean 1, and their standard errors; NaN for devices without a step.

    Args:
        step: (n,) siemens per pulse. state: (n,) siemens before it. device: (n,) index. devices: D.
    """
    states = int(np.clip(len(step) // STEPS_PER_STATE, 1, STATES))
    edges = np.quantile(state, np.linspace(0.0, 1.0, states + 1))
    at = np.clip(np.searchsorted(edges, state, side="right") - 1, 0, states - 1)
    place = device * states + at
    number, total = (
        np.bincount(place, weights, devices * states).reshape(devices, states) for weights in (np.ones(len(step)), step)
    )
    there = number.sum(axis=1) > 0
    speed = np.ones(devices)
    mean = np.zeros(states)
    variance = float(step.var())
    for _ in range(ROUNDS):
        mean = (speed @ total) / np.maximum((speed**2) @ number, 1e-300)
        variance = float(np.mean((step - speed[device] * mean[at]) ** 2))
        # A spread of 1 beforehand keeps a device whose few steps say nothing near the mean.
        after = (total @ mean + variance) / np.maximum(number @ mean**2 + variance, 1e-300)
        if not after[there].mean() > 0.0:  # steps of 0, or of both signs: no speeds to compare
            break
        after /= after[there].mean()
        if np.abs(after - speed).max() < 1e-6:
            break
        speed = after
    error = np.sqrt(variance / np.maximum(number @ mean**2 + variance, 1e-300))
    return np.where(there, speed, np.nan), np.where(there, error, np.nan)
