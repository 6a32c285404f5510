"""Held-out programmed cells against emulated cells programmed to the same targets. It never fits the user's card."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Streams
from devices.measurements.card_files.card_file import CardParts
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.split import folds_of
from devices.measurements.fit.programming.fit import fit_programming
from devices.measurements.proof.proof import Proof, compare
from devices.window import Window

F64 = npt.NDArray[np.float64]

FEWEST_PAIRS, PAIRS_PER_BIN, MOST_BINS = 40, 25, 6
EMULATED = 4000


def prove_programming(config: MeasurementConfig, target: F64, result: F64, window: Window) -> Proof:
    """Leave out every fold of the cells in turn, program emulated cells of the others' fit to its targets, and compare the errors.

    The card holds the spread about the mean error, so both are compared about the mean of their bin: a bias is reported, and
    left to whoever programs the chip.

    Args:
        config: what is held out. target, result: (C,) siemens, of cells that are not stuck. window: of the card.
    """
    held = config.held_out
    if held.by == "none" or len(target) < FEWEST_PAIRS:
        return Proof("programming", "nothing is held out: too few cells, so the fit is not proven", ())
    parts = folds_of(len(target), held.fraction, np.random.default_rng(held.seed))
    copies, order = [], []
    for number, own in enumerate(parts):
        rest = np.setdiff1d(np.arange(len(target)), own)
        part = fit_programming(target[rest], result[rest], window)
        if part is None:
            return Proof("programming", "nothing is held out: too few cells, so the fit is not proven", ())
        card = CardParts("programming", "", window)
        card.measured("programming", {"std": part.table})
        copies.append(_programmed(card.compile(), target[own], max(1, EMULATED // len(target)), held.seed + number))
        order.append(own)
    at = np.concatenate(order)
    copy = np.concatenate(copies, axis=1)
    how = (
        f"{len(target)} programmed cells in {len(parts)} folds, drawn at random, each held out in turn; errors are compared about"
        " their means"
    )
    return _compared(target[at], result[at] - target[at], copy, how, held.seed)


def _programmed(cell: CellModel, target: F64, replicas: int, seed: int) -> F64:
    """(replicas, C) siemens: errors of emulated cells programmed to targets (C,)."""
    wanted = np.clip(np.tile(target, replicas), cell.g_min, cell.g_max)
    quiet = replace(cell, read=ReadNoiseModel(), drift=None, relaxation=None)
    crossbar = EmulatedCrossbar(quiet, 1, len(wanted), pair=False, streams=Streams(seed).child("programming proof"))
    crossbar.program(wanted.astype(np.float32)[None, None, :])
    error = crossbar.conductance_now()[0, 0].astype(np.float64) - wanted
    return np.asarray(error.reshape(replicas, -1), np.float64)


def _compared(target: F64, measured: F64, emulated: F64, how: str, seed: int) -> Proof:
    """Compare errors in groups of the target: measured (C,), emulated (replicas, C)."""
    rng = np.random.default_rng(seed)
    bins, facts = [], {}
    levels = np.unique(target)
    groups = np.array_split(levels, int(np.clip(min(len(levels), len(target) // PAIRS_PER_BIN), 1, MOST_BINS)))
    for group in groups:
        low, high = float(group[0]), float(group[-1])
        inside = (target >= low) & (target <= high)
        if inside.sum() < 2:
            continue
        own, copy = measured[inside], emulated[:, inside].ravel()
        label = f"error at targets of {1e6 * low:.4g} to {1e6 * high:.4g} uS"
        facts[f"{label}: mean"] = (float(own.mean()), float(copy.mean()), "S")
        facts[f"{label}: spread"] = (float(own.std()), float(copy.std()), "S")
        bins.append(compare(own - own.mean(), copy - copy.mean(), None, label=label, low=low, high=high, rng=rng))
    return Proof("programming", how, tuple(bins), (), facts)
