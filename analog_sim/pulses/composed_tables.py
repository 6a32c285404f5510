"""What n pulses in a row do to a cell, composed from the law of one pulse (Chapman-Kolmogorov). Never draws a number.

From every state of a grid the distribution of the state after n pulses is kept as M levels: M fixed probabilities, finer in the tails,
and the mean state within each. A pulse takes the M levels to M * M weighted states, each held in the window; a fine histogram of them is
cut into M levels again. Wrong-sign steps, skew, several peaks and the bounds of the window are thus inside. What is lost is the spread
within a level, about 5e-4 of the variance of a normal step for each pulse; means are exact. Then the levels are joined to the cells of
probability that `analog_sim.pulses.kernels.composed.merging` draws, with the step in each a line over the probability.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, PulseModel
from analog_sim.pulses.kernels.composed.composing import compose_states
from analog_sim.pulses.kernels.composed.merging import GAIN_UNITS, MOST, PARTS, TABLES, ComposedTables
from analog_sim.pulses.response_tables import grid_of, lines_of, score_weights
from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.threads import in_parts

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

STATES = 64
"""Intervals of the grid of states, at least; each interval of the law's own table has a whole number of them."""

BUCKETS = 4096
"""Bins of the histogram that is cut into levels."""

STILL = 1e-7
"""Share of the window: a state that moves by less counts as standing still."""

ABRUPT = 0.05
"""Share of the window: a law with a median step as large is not composed; a few of its pulses cross the window and are sent one by one."""

ERROR = 0.1
"""Of the spread of one step: what a table may be off between its states, or for another gain where the law bends."""

MOVE, VARIANCE, LARGEST_OFF = 0.05, 0.01, 3.0
"""How far the gain of a cell may be from the table's, see `_even_off`; and in any case."""


def composed_of(cell: CellModel) -> ComposedTables:
    """Tables of up to `MOST` pulses for a card, none for abrupt steps; kept for the last few cards.

    Raises ValueError when they are too many for the index.
    """
    assert cell.pulse is not None
    widths = np.full(cell.pulse.tables, cell.window) if cell.windows is None else np.diff(cell.windows)[:, 0]
    return _composed(cell.pulse, tuple(float(w) for w in widths))


@lru_cache(maxsize=1)
def nothing_composed() -> ComposedTables:
    """No tables, for operations in which nothing is merged by them."""
    none = np.empty(0, np.float32)
    return ComposedTables(np.empty(0, np.uint64), np.uint32(0), 0, none)


@lru_cache(maxsize=8)
def _composed(pulse: PulseModel, widths: tuple[float, ...]) -> ComposedTables:
    intervals = pulse.up_mean.shape[1] - 1
    base, shift = grid_of(intervals)
    doublings = max(0, int(np.ceil(np.log2(STATES / intervals))))
    states = intervals * 2**doublings + 1
    if len(widths) * states * TABLES * PARTS >= 2**32:
        raise ValueError(f"pulse tables: {len(widths)} tables of {intervals + 1} nodes are too many for a 32-bit index")
    both = ((pulse.up_mean, pulse.up_std), (pulse.down_mean, pulse.down_std))
    if max(np.median(np.abs(mean) + std) for mean, std in both) > ABRUPT * min(widths):
        return nothing_composed()
    gains = intervals / np.array(widths)
    steps = (
        np.stack([_steps(pulse, up=True, base=base), _steps(pulse, up=False, base=base)], axis=1)
        * gains[:, None, None, None, None]
    )
    start = base + np.arange(states) / 2**doublings
    middles = np.array([[_compose(side, start, base, intervals) for side in device] for device in steps])
    moves = middles - start[:, None]
    return ComposedTables(
        _packed(moves, start, _largest_off(steps, moves, start, base)),
        np.uint32(shift - doublings),
        states,
        (1 / gains).astype(np.float32),
    )


@cache
def _levels() -> tuple[I64, F64, I64]:
    """Level of every value of 16 random bits (65536,); probability of every level (M,); its cell of the tables (M,).

    The upper bit of a value says on which side of the median it is, the others, i, how far: the probability beyond is
    ``t/2``, ``t = (2 i + 1) 2**-16``. Cells are quarters of the octaves of t; levels are parts of cells, ascending in the step.
    """
    t = 2 * np.arange(2**15) + 1
    octave = np.frexp(t)[1] - 1
    quarter = np.floor(4 * (t / 2.0**octave - 1)).astype(np.int64)
    cell = 4 * octave + quarter
    parts = np.select([octave >= 14, octave >= 12], [4, 2], 1)
    part = np.floor(parts * (4 * (t / 2.0**octave - 1) - quarter)).astype(np.int64)
    left = np.unique(4 * cell + part, return_inverse=True)[1]
    number = int(left.max()) + 1
    which = np.concatenate([left, 2 * number - 1 - left])
    cells = np.concatenate([cell, PARTS - 1 - cell])
    _, first = np.unique(which, return_index=True)
    return which, np.bincount(which) / 2.0**16, cells[first]


def scores_of_halves() -> F64:
    """Normal score of every value of 16 random bits, as `_levels` reads them."""
    from scipy.special import ndtri

    left = ndtri((np.arange(2**15) + 0.5) / 2**16)
    return np.concatenate([left, -left])


def _steps(pulse: PulseModel, *, up: bool, base: int) -> F64:
    """Mean step in every level of the noise, siemens, as intercept and slope in y between two nodes: (T, K - 1, M, 2)."""
    which, probability, _ = _levels()
    quantiles = pulse.up_quantiles if up else pulse.down_quantiles
    z = scores_of_halves()
    if quantiles is not None:
        at_nodes = quantiles.astype(np.float64) @ score_weights(which, z, quantiles.shape[2]).T
    else:
        mean, std = (pulse.up_mean, pulse.up_std) if up else (pulse.down_mean, pulse.down_std)
        score = np.bincount(which, z) / np.bincount(which)
        at_nodes = mean[..., None] + std[..., None] * score / np.sqrt(probability @ score**2)
    return lines_of(at_nodes.swapaxes(1, 2), base).swapaxes(1, 2)[:, :-1]


def _compose(steps: F64, start: F64, base: int, intervals: int) -> F64:
    """Mean of y within each level after 1 ... MOST pulses from the states `start` (Q,): (MOST, Q, M).

    steps: (K - 1, M, 2), grid units. The window is [base, base + intervals].
    """
    if JIT_OFF:
        return compose_in_numpy(steps, start, base, intervals)
    _, p, _ = _levels()
    edges = np.concatenate([[0.0], p.cumsum()])
    steps = np.ascontiguousarray(steps)
    out = np.empty((MOST, len(start), len(p)))

    def part(first: int, last: int) -> None:
        here = np.empty((MOST, last - first, len(p)))
        compose_states(steps, start[first:last], p, edges, float(base), BUCKETS, here)
        out[:, first:last] = here

    in_parts(part, len(start), 4)
    return out


def compose_in_numpy(steps: F64, start: F64, base: int, intervals: int) -> F64:
    """As `_compose`, without the kernel."""
    _, p, _ = _levels()
    out = np.empty((MOST, len(start), len(p)))
    weight = np.outer(p, p).ravel()
    for q, y in enumerate(start):
        now, mass = np.array([y]), p
        for n in range(MOST):
            line = steps[np.minimum((now - base).astype(np.int64), intervals - 1)]
            after = now[:, None] + line[..., 0] + line[..., 1] * now[:, None]
            now = out[n, q] = _cut(np.clip(after, base, base + intervals).ravel(), mass, p)
            mass = weight
    return out


def _cut(values: F64, weights: F64, probability: F64) -> F64:
    """Mean of weighted values within each of the levels of these probabilities, ascending."""
    low, high = values.min(), values.max()
    if high == low:
        return np.full(len(probability), low)
    bucket = ((values - low) * ((BUCKETS - 1) / (high - low))).astype(np.int64)
    mass = np.concatenate([[0.0], np.bincount(bucket, weights, BUCKETS).cumsum()])
    moment = np.concatenate([[0.0], np.bincount(bucket, weights * (values - low), BUCKETS).cumsum()])
    at = np.interp(np.concatenate([[0.0], probability.cumsum()]), mass, moment)
    at[-1] = moment[-1]
    return low + np.diff(at) / probability


def _lines_of_parts(moves: F64) -> F64:
    """Steps of the parts of probability, (..., Q, PARTS, 2): the mean in each and their rise to the end at the median; 0 where never drawn.

    moves: (..., Q, M). The mean over a part is that of its levels; ends are half-way between the means of the outermost levels and
    their neighbours. A part of one value has no rise.
    """
    _, p, parts = _levels()
    between = (moves[..., 1:] + moves[..., :-1]) / 2
    below = np.concatenate([2 * moves[..., :1] - between[..., :1], between], axis=-1)
    above = np.concatenate([between, 2 * moves[..., -1:] - between[..., -1:]], axis=-1)
    lines = np.zeros((*moves.shape[:-1], PARTS, 2))
    for part in np.unique(parts):
        inside = np.flatnonzero(parts == part)
        mean = moves[..., inside] @ p[inside] / p[inside].sum()
        rise = above[..., inside[-1]] - below[..., inside[0]]
        rise *= 0 if min(part, PARTS - 1 - part) < _FIRST_LINE else 1 if part < PARTS // 2 else -1
        lines[..., part, 0] = mean
        lines[..., part, 1] = rise
    return lines


_FIRST_LINE = 12
"""Parts below the fourth octave hold one value of t each, at their outer end."""


def _packed(moves: F64, start: F64, off: I64) -> npt.NDArray[np.uint64]:
    """The words of `ComposedTables` from the moves (T, 2, MOST, Q, M) of the states `start` (Q,) and `_largest_off` (T, 2, MOST, Q)."""
    lines = _lines_of_parts(moves) / np.arange(1, MOST + 1)[:, None, None, None]
    value, rise = lines[..., 0], 4 * lines[..., 1]
    slope = np.zeros_like(value)
    slope[:, :, :, :-1] = np.diff(value, axis=3) / np.diff(start)[:, None]
    middle = (value[:, :, :, :-1] + value[:, :, :, 1:]) / 2
    # Bits first, then the intercept: what they read as is right in the middle of an interval of states and of a cell.
    upper = rise.astype(np.float32).view(np.uint32) + np.uint32(0x8000) >> np.uint32(16)
    lower = _normal(slope).view(np.uint32) & np.uint32(0xFFFF0000) | upper
    slope = lower.view(np.float32).astype(np.float64)
    rise = (upper << np.uint32(16)).view(np.float32).astype(np.float64)
    value[:, :, :, :-1] = middle
    at = np.append((start[:-1] + start[1:]) / 2, start[-1])
    intercept = _normal(value - slope * at[:, None] - 1.125 * rise).view(np.uint32)
    intercept = intercept & np.uint32(0xFFFFFF00) | off[..., None].astype(np.uint32)
    words = intercept.astype(np.uint64) << np.uint64(32) | lower
    up, down = words[:, 0], words[:, 1]  # (T, MOST, Q, PARTS)
    none = np.zeros_like(up[:, :1])
    return np.ascontiguousarray(np.concatenate([down[:, ::-1], none, up], axis=1).swapaxes(1, 2)).ravel()


def _normal(x: F64) -> npt.NDArray[np.float32]:
    """As float32 whose leading bits are never all zero: zero with other bits in its low places would be a denormal, which is slow."""
    return np.where(np.abs(x) < 1e-30, 1e-30, x).astype(np.float32)


def _largest_off(steps: F64, moves: F64, start: F64, base: int) -> I64:
    """GAIN_UNITS (1 + |e|) of the largest e for which cells of (1 + e) times the gain may use a table from each state to the next.

    At least GAIN_UNITS for |e| > 0; 1 where only the table's own gain may (paths touch a bound), 0 where none may: the moves of the states
    between differ from lines by too much. (T, 2, MOST, Q).

    steps: (T, 2, K - 1, M, 2), moves: (T, 2, MOST, Q, M), both in grid units.
    """
    _, p, _ = _levels()
    intervals = steps.shape[2]
    low = np.minimum.accumulate(np.minimum(moves[..., 0], 0), axis=2)
    high = np.maximum.accumulate(np.maximum(moves[..., -1], 0), axis=2)
    # A state that does not move towards a bound does not touch it, be it at the bound.
    still = STILL * intervals
    room = np.minimum(
        np.divide(start - base, -low, where=low < -still, out=np.full(low.shape, np.inf)),
        np.divide(base + intervals - start, high, where=high > still, out=np.full(low.shape, np.inf)),
    )
    error = ERROR * _scale_of_a_step(steps, start, base)[:, :, None] + still
    least = np.minimum(room - 1, _even_off(steps, start + low - base, start + high - base, np.abs(moves @ p), error))
    beside = np.zeros(low.shape)
    beside[..., :-1] = _beside_lines(moves) @ p
    least[..., :-1] = np.minimum(least[..., :-1], least[..., 1:])
    units = np.floor(GAIN_UNITS * (1 + np.minimum(least, LARGEST_OFF))).astype(np.int64)
    return np.where(beside <= error, np.where(units > GAIN_UNITS, units, 1), 0)


def _beside_lines(moves: F64) -> F64:
    """How far moves between two states are off the line, at most, for each level: (..., Q, M) to (..., Q - 1, M).

    A bend at a fraction f of the way has second differences (1 - f) B and f B at the states before and after it, and is off by f (1 - f) B.
    """
    bends = np.zeros_like(moves)
    bends[..., 1:-1, :] = np.diff(moves, 2, axis=-2)
    before, after = bends[..., :-1, :], bends[..., 1:, :]
    product = np.maximum(before * after, 0)
    return np.divide(product, np.abs(before + after), where=product > 0, out=np.zeros_like(product))


def _scale_of_a_step(steps: F64, start: F64, base: int) -> F64:
    """Spread of a step that no bound holds, or a fiftieth of its mean where that is more, grid units, (T, 2, Q)."""
    _, p, _ = _levels()
    interval = np.minimum((start - base).astype(np.int64), steps.shape[2] - 1)
    line = steps[:, :, interval]
    free = line[..., 0] + line[..., 1] * start[:, None]
    mean = free @ p
    return np.maximum(np.sqrt((free - mean[..., None]) ** 2 @ p), np.abs(mean) / 50)


def _even_off(steps: F64, low: F64, high: F64, far: F64, error: F64) -> F64:
    """The largest e at which n pulses on paths from low to high, (T, 2, MOST, Q), are one step as far as the law's change on the way goes.

    With the largest slopes in u of the mean step, e (n - 1) |dm/du| <= MOVE, and of its random part,
    ((1 + e)**2 - 1) (n - 1) var(ds/du) <= VARIANCE; and where the slope of the mean changes by B, e (n - 1) B far/8 <= error.

    far: mean displacement, error: (T, 2, 1, Q), both in grid units.
    """
    _, p, _ = _levels()
    mean = steps[..., 1] @ p
    variances = (steps[..., 1] - mean[..., None]) ** 2 @ p
    last = steps.shape[2] - 1
    first, after = (np.clip(np.floor(y).astype(np.int64), 0, last) for y in (low, high))
    out = np.full(low.shape, np.inf)
    for t, side, k, q in np.ndindex(low.shape):
        if k:
            way = slice(first[t, side, k, q], after[t, side, k, q] + 1)
            slopes = mean[t, side, way]
            by_move = MOVE / max(k * np.abs(slopes).max(), 1e-9)
            by_variance = np.sqrt(1 + VARIANCE / max(k * variances[t, side, way].max(), 1e-9)) - 1
            by_bend = 8 * error[t, side, 0, q] / max(k * np.ptp(slopes) * far[t, side, k, q], 1e-12)
            out[t, side, k, q] = min(by_move, by_variance, by_bend)
    return out
