"""Held-out stretches of noise series against reads of an emulated cell that rested as long. It never fits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analog_sim.cells.cell_model import CellModel, constant_table
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Streams
from devices.measurements.fit.noise.fit import FEWEST, Series
from devices.measurements.proof.proof import Proof, compare

BLOCKS = 12
"""Pieces that a series is resampled in: long ones, as 1/f noise hangs together for long."""
MOST = 6000
"""Reads that are compared at most; longer samples are thinned evenly."""


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
    quiet = replace(
        cell, program_std=constant_table(0.0), drift=None, relaxation=None, levels=None, verify=None, pulse=None
    )
    for k, (one, other) in enumerate(zip(held_out, fitted, strict=True)):
        count = 64
        crossbar = EmulatedCrossbar(quiet, 1, count, pair=False, streams=Streams(seed).child("noise proof", k))
        level = float(np.clip(one.g.mean(), cell.g_min, cell.g_max))
        crossbar.program(np.full((1, 1, count), level, np.float32))
        span = len(one.g) * one.interval
        reads = []
        for _ in range(int(np.clip(4096 // count, 1, 64))):
            crossbar.wait(span / 64)
            reads.append(crossbar.read_conductance()[0, 0] - level)
        emulated = np.concatenate(reads)
        # Stretches of the fitted part as long as the held-out one, each about its own mean.
        length = min(len(one.g), len(other.g))
        pieces = [other.g[a : a + length] for a in range(0, len(other.g) - length + 1, max(1, length // 2))]
        reference = np.concatenate([piece - piece.mean() for piece in pieces])
        about = one.g - one.g.mean()
        thin = max(1, (len(about) + len(reference)) // MOST)
        block = max(1, (len(about) + len(reference)) // BLOCKS)
        own_cluster = np.arange(len(about)) // block
        ref_cluster = own_cluster[-1] + 1 + np.arange(len(reference)) // block
        label = f"series {k + 1} at {1e6 * float(one.g.mean()):.4g} uS"
        bins.append(
            compare(
                about[::thin],
                emulated,
                reference[::thin],
                label=label,
                measured_cluster=own_cluster[::thin],
                reference_cluster=ref_cluster[::thin],
                rng=rng,
            )
        )
        facts[f"{label}: standard deviation of the reads"] = (float(about.std()), float(emulated.std()), "S")
    return Proof("noise", how, tuple(bins), (), facts)
