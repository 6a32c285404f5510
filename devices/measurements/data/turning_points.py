"""Where a series of reads turns from rising to falling and back, in spite of noise. Never a pulse, and never a table."""

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

TURN, CLEAR_TURN = 0.25, 5.0
"""A rise has ended where a fall of this share of the range follows, if it is also this many standard errors of the noise."""
MEDIAN = 3
"""Reads whose median is taken before turns are looked for: a single outlier is no turn."""
MOST_SMOOTHED = 20
"""A running mean spans at most one of so many parts of a series."""


def turning_points(g: F64) -> tuple[I64, int]:
    """Where reads that first rise begin to fall, and so on: indices of the extremes, and the direction of the first leg.

    Reads are averaged over as many as their noise asks for, so that noise makes no turns and short cycles still show; what does not
    come back is one leg.

    Args:
        g: (N,) siemens.
    """
    if len(g) < 2:
        return np.empty(0, np.int64), 1
    net = 1 if g[-1] >= g[0] else -1
    noise = 1.4826 * float(np.median(np.abs(np.diff(g, 2)))) / np.sqrt(6.0) if len(g) > 2 else 0.0
    width = _width(g, noise)
    smooth = _averaged(g, width)
    clear = CLEAR_TURN * noise / np.sqrt(width)
    enough = max(TURN * float(np.ptp(smooth)), clear)
    if enough <= 0.0:
        return np.empty(0, np.int64), net
    turns, side = _extremes(smooth, enough, clear)
    if not turns:
        return np.empty(0, np.int64), net
    first = side * (-1) ** len(turns)
    sharp = _averaged(g, max(1, width // 2)) if width > 1 else g
    for k, turn in enumerate(turns):
        near = slice(max(0, turn - width), turn + width + 1)
        turns[k] = near.start + int(np.argmax(first * (-1) ** k * sharp[near]))
    return _regular(g, np.array(turns, np.int64), first, width), first


def _width(g: F64, noise: float) -> int:
    """Reads to average, a twentieth of them at most, until the noise of their mean is small against what counts as a turn.

    Args:
        g: (N,) siemens. noise: standard deviation of a read, siemens.
    """
    width, most = 1, max(1, len(g) // MOST_SMOOTHED)
    while width < most and CLEAR_TURN * noise / np.sqrt(width) > TURN * float(np.ptp(_averaged(g, width))):
        width = min(2 * width, most)
    return width


def _extremes(smooth: F64, enough: float, clear: float) -> tuple[list[int], int]:
    """Indices of the extremes from which a series comes back by more than `enough`, and the direction of the last leg, 0 without any.

    The first extreme counts only where it lies `clear` of the first value: else the series began there.
    """
    turns: list[int] = []
    high, low, side = 0, 0, 0
    for k, value in enumerate(smooth):
        high, low = (k if value > smooth[high] else high), (k if value < smooth[low] else low)
        if side >= 0 and value < smooth[high] - enough:
            turns += [high] if side > 0 or smooth[high] - smooth[0] > clear else []
            side, low = -1, k
        elif side <= 0 and value > smooth[low] + enough:
            turns += [low] if side < 0 or smooth[0] - smooth[low] > clear else []
            side, high = 1, k
    return turns, side


def _regular(g: F64, turns: I64, first: int, width: int) -> I64:
    """The turns of cycles of one length, when that is what they are but for what noise moved them: then at the ends of the mean cycle."""
    if len(turns) < 4:
        return turns
    result = turns.copy()
    period = int(np.rint(np.median(turns[2:] - turns[:-2])))
    for side, part in ((first, result[::2]), (-first, result[1::2])):
        number = period * np.arange(len(part))
        part[:] = number + int(np.rint(np.median(part - number)))
        moved = range(max(-width, -int(part[0])), min(width, len(g) - 1 - int(part[-1])) + 1)
        part += max(moved, key=lambda by: side * float(g[part + by].mean()), default=0)
    return result if np.abs(result - turns).max() <= 3 * width + 1 and (np.diff(result) > 0).all() else turns


def _averaged(g: F64, width: int) -> F64:
    """Running mean over `width` reads of their running median, which single outliers do not move."""
    if len(g) >= 10 * MEDIAN:
        padded = np.pad(g, MEDIAN // 2, mode="edge")
        g = np.median(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN), axis=1)
    padded = np.pad(g, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(padded, np.ones(width) / width, "valid")
