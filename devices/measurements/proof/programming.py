"""Held-out programmed cells against emulated cells programmed to the same targets. It never fits the user's card."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel, ReadNoiseModel
from analog_sim.chip.emulated import EmulatedCrossbar
from analog_sim.random.streams import Streams
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import Histories
from devices.measurements.fit.programming.fit import ProgrammingFit, fit_programming
from devices.measurements.proof.proof import Proof, compare
from devices.measurements.table.sink import UNFIT, Role
from devices.measurements.table.table import MeasurementTable
from devices.window import Window

F64 = npt.NDArray[np.float64]

FEWEST_PAIRS, PAIRS_PER_BIN, MOST_BINS = 40, 25, 6
EMULATED = 4000
WHAT = "programming"


def programming_pairs(tables: Mapping[Role, MeasurementTable], histories: Histories | None) -> tuple[F64, F64] | None:
    """Targets and results, (C,) siemens each, of programming rows or of the first reads of retention; None without targets."""
    if "programming" in tables:
        table = tables["programming"]
        good = (table.flag & UNFIT) == 0
        target, result = table.target_S[good], table.conductance()[good]
    elif histories is not None:
        target, result = histories.target, histories.initial
    else:
        return None
    known = np.isfinite(target) & np.isfinite(result)
    return (target[known], result[known]) if known.any() else None


def prove_programming(
    config: MeasurementConfig, pairs: tuple[F64, F64], whole: ProgrammingFit, window: Window, trial: Path
) -> Proof:
    """Fit a part of the cells again, program emulated cells to the targets of the others, and compare the errors.

    The card holds the spread about the mean error, so both are compared about the mean of their bin: a bias is reported, and
    left to whoever programs the chip.

    Args:
        config: what is held out. pairs: targets and results. whole: the fit of all. window: of the card. trial: scratch folder.
    """
    held = config.held_out
    target, result = (np.delete(values, whole.stuck) for values in pairs)
    if held.by == "none" or len(target) < FEWEST_PAIRS:
        return Proof(WHAT, "nothing is held out: too few cells, so the fit is not proven", ())
    order = np.random.default_rng(held.seed).permutation(len(target))
    count = round(held.fraction * len(target))
    own, rest = np.sort(order[:count]), np.sort(order[count:])
    part = fit_programming(target[rest], result[rest], window)
    if part is None:
        return Proof(WHAT, "nothing is held out: too few cells, so the fit is not proven", ())
    card = CardParts(WHAT, "", window)
    card.measured("programming", {"std": part.table})
    cell = load_card(write_card(trial, card, {})).compile()
    how = f"{count} of {len(target)} programmed cells held out, drawn at random; errors are compared about their means"
    return _compared(cell, (target[own], result[own]), (target[rest], result[rest]), how, held.seed)


def _compared(cell: CellModel, held: tuple[F64, F64], fitted: tuple[F64, F64], how: str, seed: int) -> Proof:
    rng = np.random.default_rng(seed)
    replicas = max(1, EMULATED // len(held[0]))
    wanted = np.clip(np.tile(held[0], replicas), cell.g_min, cell.g_max)
    quiet = replace(cell, read=ReadNoiseModel(), drift=None, relaxation=None)
    crossbar = EmulatedCrossbar(quiet, 1, len(wanted), pair=False, streams=Streams(seed).child("programming proof"))
    crossbar.program(wanted.astype(np.float32)[None, None, :])
    copy = crossbar.conductance_now()[0, 0].astype(np.float64) - wanted
    bins, facts = [], {}
    levels = np.unique(held[0])
    groups = np.array_split(levels, int(np.clip(min(len(levels), len(held[0]) // PAIRS_PER_BIN), 1, MOST_BINS)))
    for group in groups:
        low, high = float(group[0]), float(group[-1])
        inside = [(t >= low) & (t <= high) for t in (held[0], np.tile(held[0], replicas), fitted[0])]
        errors = [(held[1] - held[0])[inside[0]], copy[inside[1]], (fitted[1] - fitted[0])[inside[2]]]
        if min(len(errors[0]), len(errors[2])) < 2:
            continue
        label = f"error at targets of {1e6 * low:.4g} to {1e6 * high:.4g} uS"
        facts[f"{label}: mean"] = (float(errors[0].mean()), float(errors[1].mean()), "S")
        facts[f"{label}: spread"] = (float(errors[0].std()), float(errors[1].std()), "S")
        about = [error - error.mean() for error in errors]
        bins.append(compare(about[0], about[1], about[2], label=label, low=low, high=high, rng=rng))
    return Proof(WHAT, how, tuple(bins), (), facts)
