"""Read noise and ageing of cells at rest, by moments: seconds where the likelihoods of `devices.measurements` take minutes.

It never reads a chip. The files that it was fitted from stay in the run's folder, for `scripts/fit_device.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from devices.window import Window

F64 = npt.NDArray[np.float64]
NODES, GROUPS = 17, 8
SHOWS = 5.0
"""Standard errors from which ageing is put on the card."""


def read_noise(noise: npt.NDArray[Any], window: Window) -> F64:
    """Standard deviation of one read against the state (K,) siemens, from reads (cells, reads) of resting cells.

    Slow noise within the series is part of it; what is slower is not seen.
    """
    series = np.asarray(noise, np.float64)
    state = np.clip(window.state(series.mean(axis=1)), 0.0, 1.0)
    variance = series.var(axis=1, ddof=1)
    order = np.argsort(state)
    parts = np.array_split(order, min(GROUPS, max(1, len(order) // 10)))
    centres = np.array([state[part].mean() for part in parts])
    means = np.array([variance[part].mean() for part in parts])
    return np.sqrt(np.interp(np.linspace(0.0, 1.0, NODES), centres, means))


@dataclass(frozen=True)
class Aged:
    """Ageing of followed cells.

    Attributes:
        part: the section `drift` of a card; None where nothing shows. law: in words. t: (T,) seconds. mean, std: (T,) siemens, change
            since the first read, the spread freed of read noise. error: (T,) standard error of the mean.
    """

    part: dict[str, Any] | None
    law: str
    t: F64
    mean: F64
    std: F64
    error: F64


def ageing(t: F64, g: F64, noise: F64, window: Window) -> Aged:
    """The law of cells read at times t (T,), g (T, cells) siemens; noise: (cells,) variance of one entry of g.

    Power law: ``ln(g / g_1) = -nu ln(t / t_1)`` for each cell, t_1 the first time after writing; mean and spread of nu straight in
    ``ln(g / g_max)``. Relaxation: the change has mean and variance proportional to the decades ``s = log10(1 + t / t_0)``. Which one the
    card holds is decided by the growth of the spread: with s in a power law, with its root in relaxation.
    """
    change = g - g[0]
    mean = change.mean(axis=1)
    std = np.sqrt(np.maximum(change.var(axis=1, ddof=1) - 2.0 * float(noise.mean()), 0.0))
    error = change.std(axis=1, ddof=1) / np.sqrt(g.shape[1])
    spread_error = 2.0 * float(noise.mean()) * np.sqrt(2.0 / g.shape[1])
    moved = abs(mean[-1]) > SHOWS * error[-1] or std[-1] ** 2 > SHOWS * max(spread_error, 1e-30)
    if not moved or len(t) < 3:
        return Aged(None, "none shows", t, mean, std, error)
    law = _slower(t, std)
    part = _power_law(t, g, noise, window) if law == "power law" else _relaxation(t, g, noise, window)
    return Aged(part, law, t, mean, std, error)


def _slower(t: F64, std: F64) -> str:
    """Which growth of the spread fits better."""
    decades = np.log10(np.maximum(t[1:], t[1]) / t[1]) + 0.3
    misfits = {}
    for law, shape in (("power law", decades), ("relaxation", np.sqrt(decades))):
        scale = float((shape * std[1:]).sum() / np.square(shape).sum())
        misfits[law] = float(np.square(std[1:] - scale * shape).sum())
    return min(misfits, key=lambda law: misfits[law])


def _power_law(t: F64, g: F64, noise: F64, window: Window) -> dict[str, Any]:
    usable = (g > 0.02 * window.g_max).all(axis=0)
    g, noise = g[:, usable], noise[usable]
    x = np.log(t[1:] / t[1])
    x = x - x.mean()
    power = float(np.square(x).sum())
    nu = -(x[:, None] * np.log(g[1:])).sum(axis=0) / power
    of_noise = noise / np.square(g[0]) / power
    state = np.log(np.maximum(g[0] / window.g_max, 0.02))
    level, slope = _straight(state, nu)
    left = np.square(nu - level - slope * state) - of_noise
    spread = float(np.sqrt(max(float(np.average(left, weights=1.0 / (of_noise + 1e-6))), 0.0)))
    return {
        "kind": "power_law",
        "mean": {"level": _digits(level), "slope": _digits(slope)},
        "std": {"level": _digits(spread)},
        "t_ref": f"{t[1]:.6g} s",
    }


def _relaxation(t: F64, g: F64, noise: F64, window: Window) -> dict[str, Any]:
    t_0 = float(t[1])
    s = np.log10(1.0 + t / t_0)
    state = g[0] / window.g_max
    per_decade = ((g - g[0]) * s[:, None]).sum(axis=0) / float(np.square(s).sum())
    level, slope = _straight(state, per_decade)
    last = (g[-1] - g[0]) - s[-1] * (level + slope * state)
    variance = (np.square(last) - 2.0 * noise) / s[-1]
    size, more = _straight(state, variance)
    ends = np.sqrt(np.maximum([size, size + more], 0.0))
    return {
        "kind": "relaxation",
        "mean": [f"{1e6 * level:.6g} uS", f"{1e6 * slope:.6g} uS"],
        "std": [f"{1e6 * ends[0]:.6g} uS", f"{1e6 * (ends[1] - ends[0]):.6g} uS"],
        "reference_g_max": f"{1e6 * window.g_max:.8g} uS",
        "t_0": f"{t_0:.6g} s",
        "state": "written",
    }


def _straight(x: F64, y: F64) -> tuple[float, float]:
    """Level and slope of a straight line."""
    slope, level = np.polyfit(x, y, 1)
    return float(level), float(slope)


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def noise_of(std: F64, g: npt.NDArray[Any], window: Window, averaged: int) -> F64:
    """Variance of means of `averaged` reads of cells at g (cells,), from the table of `read_noise`."""
    u = np.clip(window.state(np.asarray(g, np.float64)), 0.0, 1.0)
    return np.square(np.interp(u, np.linspace(0.0, 1.0, len(std)), std)) / averaged
