"""Held-out stretches of noise series against reads of an emulated cell that rested as long. It never fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, constant_table
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Streams
from devices.measurements.fit.noise.series import FEWEST, Series, of_like_states
from devices.measurements.proof.proof import Proof, compare

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

BLOCKS = 12
"""Pieces that a series is resampled in: long ones, as 1/f noise hangs together for long."""
MOST = 6000
"""Reads that are compared at most; longer samples are thinned evenly."""
CELLS = 64
"""Emulated cells for every series."""
SERIES_PER_GROUP, MOST_GROUPS = 12, 6
"""Series that are compared together where cells differ in their noise, and how many groups of states there are at most."""


def halves(series: Sequence[Series], fraction: float) -> tuple[list[Series], list[Series]]:
    """Cut every series into its beginning, which is fitted, and the rest; series too short for both are left out."""
    first, second = [], []
    for one in series:
        cut = round((1.0 - fraction) * len(one.g))
        if cut >= FEWEST and len(one.g) - cut >= FEWEST:
            first.append(replace(one, g=one.g[:cut]))
            second.append(replace(one, g=one.g[cut:]))
    return first, second


def noise_proof(
    cell: CellModel, fitted: Sequence[Series], held_out: Sequence[Series], *, how: str, seed: int = 0
) -> Proof:
    """Compare the reads about their mean: held-out stretch, emulated reads of the same length, stretches of the fitted part.

    The emulator draws successive reads independently, with the variance that noise since the state's writing adds up to: spread
    and shape are compared, the order of the reads is not.
    """
    rng = np.random.default_rng(seed)
    bins, facts = [], {}
    several = cell.variation.read_noise > 0.0
    for group in _groups(held_out) if several else [[k] for k in range(len(held_out))]:
        parts = [_compared(cell, held_out[k], fitted[k], k, seed) for k in group]
        thin = max(1, sum(len(one.about) + len(one.reference) for one in parts) // MOST)
        label = _label(held_out, group)
        about, about_of = _joined([one.about for one in parts], [one.blocks for one in parts], several)
        reference, reference_of = _joined(
            [one.reference for one in parts], [one.reference_blocks for one in parts], several
        )
        emulated = np.concatenate([one.emulated for one in parts])
        bins.append(
            compare(
                about[::thin],
                emulated,
                reference[::thin],
                label=label,
                measured_cluster=about_of[::thin],
                reference_cluster=reference_of[::thin],
                rng=rng,
            )
        )
        facts[f"{label}: standard deviation of the reads"] = (float(about.std()), float(emulated.std()), "S")
    return Proof("noise", how, tuple(bins), (), facts)


@dataclass(frozen=True)
class _ComparedSeries:
    """Reads about their means, siemens: held-out stretch, stretches of the fitted part, emulated cells; blocks of the first two."""

    about: F64
    reference: F64
    emulated: F64
    blocks: I64
    reference_blocks: I64


def _compared(cell: CellModel, one: Series, other: Series, number: int, seed: int) -> _ComparedSeries:
    """Let emulated cells rest as long as a held-out stretch `one`; `other`: the fitted part of the same series."""
    quiet = replace(
        cell, program_std=constant_table(0.0), drift=None, relaxation=None, levels=None, verify=None, pulse=None
    )
    crossbar = EmulatedCrossbar(quiet, 1, CELLS, pair=False, streams=Streams(seed).child("noise proof", number))
    level = float(np.clip(one.g.mean(), cell.g_min, cell.g_max))
    crossbar.program(np.full((1, 1, CELLS), level, np.float32))
    span = len(one.g) * one.interval
    reads = []
    for _ in range(int(np.clip(4096 // CELLS, 1, 64))):
        crossbar.wait(span / 64)
        reads.append(crossbar.read_conductance()[0, 0] - level)
    # Stretches of the fitted part as long as the held-out one, each about its own mean.
    length = min(len(one.g), len(other.g))
    pieces = [other.g[a : a + length] for a in range(0, len(other.g) - length + 1, max(1, length // 2))]
    reference = np.concatenate([piece - piece.mean() for piece in pieces])
    about = one.g - one.g.mean()
    block = max(1, (len(about) + len(reference)) // BLOCKS)
    own = np.arange(len(about)) // block
    return _ComparedSeries(
        about, reference, np.concatenate(reads), own, own[-1] + 1 + np.arange(len(reference)) // block
    )


def _groups(series: Sequence[Series]) -> list[list[int]]:
    """Series of about one state together, because a cell's noise is its own: at least `SERIES_PER_GROUP` in each."""
    count = int(np.clip(len(series) // SERIES_PER_GROUP, 1, MOST_GROUPS))
    return of_like_states([float(one.g.mean()) for one in series], count)


def _joined(values: Sequence[F64], blocks: Sequence[I64], several: bool) -> tuple[F64, I64]:
    """Reads of a group and what chance draws whole: blocks of one series, or series of several."""
    if not several:
        return values[0], blocks[0]
    return np.concatenate(values), np.repeat(np.arange(len(values)), [len(part) for part in values])


def _label(series: Sequence[Series], group: Sequence[int]) -> str:
    means = [1e6 * float(series[k].g.mean()) for k in group]
    if len(group) == 1:
        return f"series {group[0] + 1} at {means[0]:.4g} uS"
    return f"{len(group)} series at {min(means):.4g} to {max(means):.4g} uS"
