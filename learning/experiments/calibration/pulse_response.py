"""The step of a pulse from ramps of many cells whose read noise is known: tables of every cell, its window and its gains.

The likelihood of `devices.measurements` finds the read noise in the ramps themselves and compares laws, which takes minutes; a calibration
has measured the noise on resting cells, so moments suffice. It never reads a chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import QUANTILE_Z_MAX
from analog_sim.config import UserError

F64 = npt.NDArray[np.float64]
NODES, SCORES = 17, 17
SMOOTH = 2
"""Reads on either side that are averaged for the state at which a step is taken; a single read would bend the curve."""
CUT = 0.04
"""Share of the window before the end that a ramp runs into, where steps are cut short; the tables go on straight there."""
MOVES = 0.1
"""Share of the median width of the windows below which a cell did not answer to pulses: its reads are noise, and have no window."""
ENDS = 8
"""Reads at the end of a ramp whose mean is a cell's own end of the window."""


@dataclass(frozen=True)
class RampTables:
    """Fitted ramps of C cells.

    Attributes:
        up, down: (C, K, Z) siemens per pulse, as `MeasuredPulse`. windows: (C, 2) siemens, own ends.
        mean_up, mean_down, std_up, std_down: (K,) siemens, of the mean cell. gain_up, gain_down: (C,), of every cell. A cell that did not
            answer to pulses has gains of 0 and the median window of the others.
    """

    up: F64
    down: F64
    windows: F64
    mean_up: F64
    mean_down: F64
    std_up: F64
    std_down: F64
    gain_up: F64
    gain_down: F64


def fit_ramps(ramps: Mapping[str, npt.NDArray[Any]], read_std: float) -> RampTables:
    """Tables of the ramps that `stages.ramps` read; read_std: siemens of one read.

    Between reads n pulses apart, ``mean(dg) = n gain_c m(u)`` and ``var(dg) = n s(u)**2 + 2 read_std**2``, u the cell's own state, m and s
    straight between nodes. Raises UserError when no cell answered to pulses.
    """
    cells = int(ramps["cell"].max()) + 1
    g = np.asarray(ramps["g"], np.float64).reshape(-1, cells)
    sequence, n, up = (np.asarray(ramps[key]).reshape(-1, cells)[:, 0] for key in ("sequence", "n", "up"))
    windows, moves = _windows(g, sequence, up, read_std)
    width = windows[:, 1] - windows[:, 0]
    found: dict[bool, tuple[F64, F64, F64]] = {}
    for direction in (True, False):
        steps, states, counts = [], [], []
        for ramp in np.unique(sequence[up == direction]):
            part = sequence == ramp
            smooth = _smoothed(g[part])
            steps.append(np.diff(g[part], axis=0))
            states.append(0.5 * (smooth[1:] + smooth[:-1]))
            counts.append(n[part][1:])
        u = (np.concatenate(states) - windows[:, 0]) / width
        count = np.concatenate(counts)[:, None]
        found[direction] = _moments(
            np.concatenate(steps) / width, np.clip(u, 0.0, 1.0), count * _inside(u, direction) * moves, read_std / width
        )
    (mean_up, std_up, gain_up), (mean_down, std_down, gain_down) = found[True], found[False]
    z = np.linspace(-QUANTILE_Z_MAX, QUANTILE_Z_MAX, SCORES)

    def tables(mean: F64, std: F64, gain: F64) -> F64:
        one = mean[None, :, None] + std[None, :, None] * z
        return one * (gain * width)[:, None, None]

    middle = float(width.mean())
    return RampTables(
        up=tables(mean_up, std_up, gain_up),
        down=tables(mean_down, std_down, gain_down),
        windows=windows,
        mean_up=mean_up * middle,
        mean_down=mean_down * middle,
        std_up=std_up * middle,
        std_down=std_down * middle,
        gain_up=gain_up,
        gain_down=gain_down,
    )


def _inside(u: F64, up: bool) -> npt.NDArray[np.bool_]:
    """Where a step is neither cut short by the end ahead nor begun outside the window."""
    return (u > 0.0) & (u < 1.0 - CUT) if up else (u < 1.0) & (u > CUT)


def _windows(
    g: F64, sequence: npt.NDArray[Any], up: npt.NDArray[Any], read_std: float
) -> tuple[F64, npt.NDArray[np.bool_]]:
    """Own ends of every cell (C, 2), means of the last reads of its ramps, and whether it moved (C,)."""
    low: list[F64] = []
    high: list[F64] = []
    for ramp in np.unique(sequence):
        part = g[sequence == ramp]
        (high if up[sequence == ramp][0] else low).append(part[-min(ENDS, len(part) // 4 + 1) :].mean(axis=0))
    bottom = np.mean(low, axis=0) if low else g.min(axis=0)
    windows = np.stack([np.maximum(bottom, 0.0), np.mean(high, axis=0)], axis=1)
    width = windows[:, 1] - windows[:, 0]
    moves = width > MOVES * np.median(width)
    if not np.median(width) > 2.0 * read_std:
        raise UserError(f"calibrate: {len(width)} cells were pulsed up and down, and most did not move")
    windows[~moves] = np.median(windows[moves], axis=0)
    return windows, moves


def _smoothed(g: F64) -> F64:
    """Running means over 2 SMOOTH + 1 reads, fewer at the ends, (R, C)."""
    total = np.vstack([np.zeros(g.shape[1]), np.cumsum(g, axis=0)])
    k = np.arange(len(g))
    reach = np.minimum(SMOOTH, np.minimum(k, len(g) - 1 - k))
    return (total[k + reach + 1] - total[k - reach]) / (2 * reach + 1)[:, None]


def _moments(steps: F64, u: F64, count: npt.NDArray[Any], read_std: F64) -> tuple[F64, F64, F64]:
    """Mean and standard deviation per pulse (K,) of the mean cell, and the gain of every cell (C,); all relative to its window.

    count: (R, C) pulses of a step, 0 for one that is not used.
    """
    weight = _hats(u) * count[..., None]
    steps = steps * (count > 0)
    moves = np.any(count, axis=0)
    gain = np.asarray(moves, np.float64)
    mean = np.zeros(NODES)
    for _ in range(4):
        design = (weight * gain[None, :, None]).reshape(-1, NODES)
        mean = _solved(design, steps.ravel())
        expected = weight @ mean
        gain = (expected * steps).sum(axis=0) / np.maximum(np.square(expected).sum(axis=0), 1e-30)
        gain = np.where(moves, np.maximum(gain / gain[moves].mean(), 0.05), 0.0)
    left = (np.square(steps - gain * (weight @ mean)) - 2.0 * read_std**2) * (count > 0)
    variance = _solved(weight.reshape(-1, NODES), left.ravel())
    return mean, np.sqrt(np.maximum(variance, 0.0)), gain


def _hats(u: F64) -> F64:
    """Weights of the nodes (..., K) at states u."""
    x = u * (NODES - 1)
    return np.maximum(0.0, 1.0 - np.abs(x[..., None] - np.arange(NODES)))


def _solved(design: F64, values: F64) -> F64:
    """Least squares with a slight pull towards a straight run of the nodes, which decides where no cell has been."""
    normal = design.T @ design
    bend = np.diff(np.eye(NODES), 2, axis=0)
    pull = 1e-3 * np.trace(normal) / NODES
    return np.linalg.solve(normal + pull * bend.T @ bend + 1e-9 * np.trace(normal) * np.eye(NODES), design.T @ values)
