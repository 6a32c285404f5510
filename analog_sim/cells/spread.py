"""Draws what makes the cells of one chip differ: bounds, gains of the steps, read noise. Never draws a fault, never pulses.

Each cause has its own named stream, so that switching one spread off leaves every other draw as it was.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, PulseModel
from analog_sim.config import UserError

if TYPE_CHECKING:  # a card asks for symmetric points, and does without the compiler that comes with streams
    from analog_sim.random.streams import Stream, Streams

F32 = npt.NDArray[np.float32]
Shape = tuple[int, int, int]

NARROWEST = 0.05
"""A drawn window keeps at least this share of the nominal one."""
NEAREST = 0.25
"""Where a symmetric point is kept, a drawn bound keeps at least this share of its nominal distance from it."""
NORMAL_FROM = 3.0
"""Lower bounds are normal draws where their mean is so many standard deviations above 0 S, log-normal ones below."""


def symmetric_states(pulse: PulseModel) -> npt.NDArray[np.float64]:
    """State u at which the mean steps up and down cancel, (T,) for T tables.

    Raises ValueError when a table has no such state: its net step never turns from up to down.
    """
    net = (pulse.up_mean + pulse.down_mean).astype(np.float64)
    nodes = np.linspace(0.0, 1.0, net.shape[1])
    states = np.empty(len(net))
    for t, row in enumerate(net):
        turns = np.flatnonzero((row[:-1] > 0.0) & (row[1:] <= 0.0))
        if not len(turns):
            raise ValueError("the steps up and down cancel at no state, so there is no symmetric point to keep")
        k = turns[0]
        states[t] = nodes[k] + (nodes[k + 1] - nodes[k]) * row[k] / (row[k] - row[k + 1])
    return states


def check_kept(pulse: PulseModel, at: float | None) -> None:
    """Whether there are steps that a calibration of every cell could keep: at a state, or where up and down cancel. Raises ValueError."""
    states = symmetric_states(pulse) if at is None else np.full(pulse.tables, at)
    for mean in (pulse.up_mean, pulse.down_mean):
        nodes = np.linspace(0.0, 1.0, mean.shape[1])
        if not all(np.interp(state, nodes, row) for state, row in zip(states, mean, strict=True)):
            raise ValueError("a step is 0 at the state where steps are to be kept")


def _kept_states(cell: CellModel) -> npt.NDArray[np.float64]:
    """Nominal state of every table whose steps are kept, (T,). Raises ValueError as `symmetric_states`, or without a pulse response."""
    if cell.pulse is None:
        raise ValueError("a card without pulse response has no symmetric point to keep")
    at = cell.variation.kept_at
    return symmetric_states(cell.pulse) if at is None else np.full(cell.pulse.tables, at)


def _kept_conductance(cell: CellModel, table: npt.NDArray[np.uint8] | None) -> F32:
    """Nominal conductance of every cell, siemens, at which its mean steps are kept; of the shape of `table`, or one number."""
    states = _kept_states(cell)
    windows = np.array([[cell.g_min, cell.g_max]]) if cell.windows is None else cell.windows
    each = windows[:, 0] + states * (windows[:, 1] - windows[:, 0])
    return each[np.zeros((1, 1, 1), np.uint8) if table is None else table].astype(np.float32)


def draw_bounds(
    cell: CellModel, shape: Shape, table: npt.NDArray[np.uint8] | None, streams: Streams
) -> tuple[F32, F32] | None:
    """Own (lower, upper) bound of every cell in siemens; None when all have the nominal window."""
    spread = cell.variation
    if cell.windows is None and not (spread.g_min or spread.g_max):
        return None
    lo, hi = np.full(shape, cell.g_min, np.float32), np.full(shape, cell.g_max, np.float32)
    if cell.windows is not None:
        index = np.zeros(shape, np.uint8) if table is None else table
        lo, hi = cell.windows[index, 0], cell.windows[index, 1]
    width = hi - lo
    nominal = lo, hi
    if spread.g_min:
        lo = _above_zero(lo, spread.g_min * width, streams.stream("fabrication.g_min"))
    if spread.g_max:
        hi = hi + spread.g_max * width * streams.stream("fabrication.g_max").normals(shape)
    if spread.symmetry == "kept":
        middle = _kept_conductance(cell, table)
        near, far = (np.float32(NEAREST) * (middle - bound) for bound in nominal)
        lo, hi = np.minimum(lo, middle - near), np.maximum(hi, middle - far)
    return lo, np.maximum(hi, lo + np.float32(NARROWEST) * width)


def _above_zero(mean: F32, std: F32, stream: Stream) -> F32:
    """Draws of this mean and standard deviation, siemens, that are not below 0."""
    z = stream.normals(mean.shape)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        sigma2 = np.log1p(np.square(std / mean))
        skewed = mean * np.exp(np.sqrt(sigma2) * z - 0.5 * sigma2)
    # Nothing that stays above 0 S spreads around it: half is cut there, and cards refuse it.
    normal = (mean >= NORMAL_FROM * std) | (mean == 0.0)
    return np.where(normal, np.maximum(mean + std * z, 0.0), skewed).astype(np.float32)


def draw_gains(
    cell: CellModel,
    shape: Shape,
    table: npt.NDArray[np.uint8] | None,
    bounds: tuple[F32, F32] | None,
    streams: Streams,
) -> tuple[F32, F32] | None:
    """Gain of the step up and of the step down of every cell; None when all are 1. bounds: those that the cells have, siemens."""
    spread, pulse = cell.variation, cell.pulse
    kept = spread.symmetry == "kept" and bounds is not None
    drawn = spread.gain_common or spread.asymmetry or spread.gain_up or spread.gain_down
    if pulse is None or not (drawn or kept):
        return None

    def normals(name: str, std: float) -> F32 | np.float32:
        return np.float32(std) * streams.stream(name).normals(shape) if std else np.float32(0.0)

    common = normals("fabrication.gain", spread.gain_common)
    skew = normals("fabrication.asymmetry", spread.asymmetry)
    sides = []
    for sign, share, own, name, means in (
        (1, spread.up_share, spread.gain_up, "fabrication.gain_up", pulse.up_mean),
        (-1, spread.down_share, spread.gain_down, "fabrication.gain_down", pulse.down_mean),
    ):
        shared = np.float32(share) * (common + np.float32(sign) * skew)
        gain = np.maximum(np.float32(1.0) + shared + normals(name, own), np.float32(0.0))
        if kept and bounds is not None:
            gain = gain * _correction(cell, means, table, bounds)
        sides.append(np.broadcast_to(gain, shape).astype(np.float32))
    return sides[0], sides[1]


def draw_read_gains(cell: CellModel, shape: Shape, streams: Streams) -> F32 | None:
    """Read noise of every cell over that of the tables, ``exp(s z - s**2)``: its mean square is 1; None when all are alike."""
    s = np.float32(cell.variation.read_noise)
    if not s or cell.read.silent:
        return None
    return np.exp(s * streams.stream("fabrication.read_noise").normals(shape) - s * s)


def _correction(
    cell: CellModel, means: F32, table: npt.NDArray[np.uint8] | None, bounds: tuple[F32, F32]
) -> F32 | npt.NDArray[np.float64]:
    """Factor that makes the mean step at the kept conductance the nominal one, although the cell's bounds are its own."""
    lo, hi = bounds
    states = _kept_states(cell)
    own = (_kept_conductance(cell, table) - lo) / (hi - lo)
    nodes = np.linspace(0.0, 1.0, means.shape[1])
    factor = np.empty(np.shape(own))
    for t, row in enumerate(means.astype(np.float64)):
        here = np.ones(factor.shape, bool) if table is None else table == t
        factor[here] = np.interp(states[t], nodes, row) / np.interp(own[here], nodes, row)
    if not (math.isfinite(float(factor.min())) and math.isfinite(float(factor.max()))):
        raise UserError(
            f"{cell.name}: variation.symmetry: 'kept' is not possible: a step is 0 at the conductance where steps are to be kept"
        )
    return factor
