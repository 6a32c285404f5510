"""Emulated labs whose cells are known: what they are, and which pulses they get. It never fits or judges."""

from functools import cache

import numpy as np

from analog_sim.cells.cell_model import CellModel
from analog_sim.config import validate
from devices.card import DeviceCard
from devices.measurements.data.traces import Traces

PULSES, READ_STD = 60, 0.05e-6
"""Pulses of a ramp, and read noise in siemens."""


@cache
def cell(states: int, noise: float, spread: float, read_std: float = READ_STD) -> CellModel:
    fields = {
        "name": "known",
        "g_min": 2.0,
        "g_max": 40.0,
        "pulse": {"kind": "soft_bounds", "states": states, "asymmetry": 0.1, "noise": noise},
        "variation": {"step": spread},
        "read_noise": {"kind": "constant", "std": f"{1e6 * read_std} uS"},
    }
    return validate(fields, DeviceCard).compile()


def cut_into_ramps(whole: Traces) -> Traces:
    """Every up and every down a trace of its own, which begins with the last read of the one before."""
    first = np.concatenate([np.arange(a, b - 1, PULSES) for a, b in zip(whole.start, whole.start[1:], strict=False)])
    reads = (first[:, None] + np.arange(PULSES + 1)).ravel()
    owner = whole.trace_of()[first]
    return Traces(
        whole.g[reads],
        whole.pulses[reads],
        whole.direction[reads],
        np.arange(len(first) + 1) * (PULSES + 1),
        whole.cell[owner],
        np.arange(len(first)),
        whole.amplitude[owner],
        whole.width[owner],
    )


def plan(devices: int, cycles: int) -> Traces:
    """One trace for each device: potentiation and depression, some times over."""
    side = np.concatenate(([0], np.tile(np.repeat([1, -1], PULSES), cycles)))
    n, nothing = len(side), np.full(devices, np.nan)
    number = np.arange(devices)
    return Traces(
        np.zeros(n * devices),
        np.tile(np.abs(side), devices),
        np.tile(side, devices).astype(np.int8),
        np.arange(devices + 1) * n,
        number,
        number,
        nothing,
        nothing,
    )
