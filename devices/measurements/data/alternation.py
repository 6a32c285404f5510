"""Pulses in turns, SET and RESET one after the other: found from reads that are high and low by turns. Never from a stated direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

CHANCE = 0.553
"""Share of successive curvatures with one sign for white noise: 1/2 + asin(1/6)/pi, since neighbours share a read."""
CLEAR = 4.5
"""Standard errors by which a share must exceed it."""
IN_TURNS, SWINGS = 0.85, 0.75
"""Share from which on a whole sequence is in turns; share of steps against the one before (2/3 for white noise), without which curvatures
of one sign are those of a bent ramp."""
STRETCH = 64
"""Reads of a stretch that is looked at by itself."""


@dataclass(frozen=True)
class Turns:
    """What a set of sequences looks like.

    Attributes:
        share: of successive curvatures with one sign. pairs: how many there are. found: whether the sequences as a whole are in turns.
        partly: whether a stretch of one of them is, and not the whole.
    """

    share: float
    pairs: int
    found: bool
    partly: bool


def agreements(g: F64) -> npt.NDArray[np.bool_]:
    """Whether the curvature g[2k+1] - (g[2k] + g[2k+2]) / 2 has the sign of the one before, (K - 1,); linear trends do not count."""
    side = np.sign(_bend(g))
    return np.asarray((side[1:] == side[:-1]) & (side[1:] != 0))


def _bend(g: F64) -> F64:
    last = (len(g) - 1) // 2 * 2
    return np.asarray(g[1:last:2] - 0.5 * (g[0:last:2] + g[2 : last + 1 : 2])) if last >= 2 else np.empty(0)


def turns_of(sequences: Sequence[F64]) -> Turns:
    """Look at the reads (siemens, NaN for none) of sequences whose pulses state no direction, one read after every pulse."""
    each = [agreements(g) for g in sequences]
    pooled = np.concatenate(each) if each else np.empty(0, bool)
    share = float(pooled.mean()) if len(pooled) else 0.0
    found = share >= IN_TURNS and _clear(pooled) and _swings(sequences)
    partly = not found and any(
        part[k : k + STRETCH // 2].mean() >= IN_TURNS
        and _clear(part[k : k + STRETCH // 2])
        and _swings([g[2 * k :][:STRETCH]])
        for part, g in zip(each, sequences, strict=True)
        for k in range(0, len(part) - STRETCH // 4, STRETCH // 4)
    )
    return Turns(share, len(pooled), found, partly)


def first_of(g: F64) -> int:
    """Direction of the pulse before the first read: +1 where reads 0, 2, 4, ... are the higher ones."""
    bend = _bend(g)
    bend = bend[np.isfinite(bend)]
    if len(bend):
        return -1 if np.median(bend) > 0 else 1
    return -1 if len(g) > 1 and g[1] > g[0] else 1


def _clear(same: npt.NDArray[np.bool_]) -> bool:
    n = len(same)
    return n > 0 and (float(same.mean()) - CHANCE) * np.sqrt(n) > CLEAR * np.sqrt(CHANCE * (1.0 - CHANCE))


def _swings(sequences: Sequence[F64]) -> bool:
    """Whether reads go up and down by turns: a smooth, bent curve has curvatures of one sign as well, but its steps have one direction."""
    steps = [np.diff(g) for g in sequences]
    against = np.concatenate([step[1:] * step[:-1] for step in steps])
    against = against[np.isfinite(against)]
    return len(against) > 0 and float((against < 0).mean()) > SWINGS
