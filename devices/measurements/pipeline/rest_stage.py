"""The parts of the pipeline for cells that are not pulsed: programming, ageing, read noise. It never writes the user's card."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from analog_sim.cells.cell_model import CellModel
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import Histories
from devices.measurements.data.split import folds_of
from devices.measurements.fit.ageing.fit import AgeingFit, fit_ageing
from devices.measurements.fit.noise.fit import NoiseFit, fit_noise
from devices.measurements.fit.programming.fit import ProgrammingFit, fit_programming
from devices.measurements.proof.ageing import ageing_proof
from devices.measurements.proof.delivered import ageing_differences, noise_differences
from devices.measurements.proof.noise import halves, noise_proof
from devices.measurements.proof.proof import Proof
from devices.measurements.table.sink import UNFIT
from devices.measurements.table.table import MeasurementTable
from devices.measurements.text.problems import MeasurementError
from devices.window import Window

Say = Callable[[str], None]

FEWEST_CELLS = 10
"""Cells from which on some are held out."""


def programmed(
    tables: object, histories: Histories | None, window: Window
) -> tuple[ProgrammingFit | None, list[str], Histories | None]:
    """Programming error from programming rows or from the first reads of retention; cells that missed by far leave the histories."""
    fit, notes = None, []
    if isinstance(tables, dict) and "programming" in tables:
        table: MeasurementTable = tables["programming"]
        good = (table.flag & UNFIT) == 0
        fit = fit_programming(table.target_S[good], table.conductance()[good], window)
        if fit is None:
            raise MeasurementError(
                "the programming measurement has fewer than three pairs of target and result: name the column target"
            )
    elif histories is not None and np.isfinite(histories.target).any():
        fit = fit_programming(histories.target, histories.initial, window)
        if fit is not None and len(fit.stuck):
            histories = histories.take(np.setdiff1d(np.arange(len(histories)), fit.stuck))
    if fit is not None and len(fit.stuck):
        notes.append(
            f"{len(fit.stuck)} of {len(fit.stuck) + fit.cells} cells missed their target by far: taken as stuck, not fitted"
        )
    return fit, notes, histories


def age(
    config: MeasurementConfig, histories: Histories, window: Window, trial: Path, say: Say
) -> tuple[tuple[AgeingFit, ...], Proof]:
    """Fit ageing laws to a part of the cells and choose one; prove it on every fold of the cells; then fit it to all."""
    held = config.held_out
    if held.by == "none" or len(histories) < FEWEST_CELLS:
        fits = _preferred(config, fit_ageing(histories, None, window, seed=held.seed))
        return fits, Proof("ageing", "nothing is held out: too few cells, so the fit is not proven", ())
    parts = folds_of(len(histories), held.fraction, np.random.default_rng(held.seed))
    parts = parts if held.refit else parts[:1]
    rest = [histories.take(own) for own in parts]
    fitted = [histories.take(np.setdiff1d(np.arange(len(histories)), own)) for own in parts]
    fits = _preferred(config, fit_ageing(fitted[0], rest[0], window, seed=held.seed))
    proven = [fits[0]]
    for number, part in enumerate(fitted[1:], start=2):
        say(f"fold {number} of {len(parts)}: fitting ageing to {len(part)} cells")
        proven += fit_ageing(part, None, window, kinds=(fits[0].kind,), seed=held.seed, errors=False)
    say("letting emulated cells age as the held-out cells did")
    cells = [_aged_card(fit, window, trial) for fit in proven]
    how = f"{len(histories)} cells in {len(parts)} folds, drawn at random, each held out in turn"
    if not held.refit:
        how = f"{len(parts[0])} of {len(histories)} cells held out, drawn at random"
        return fits, ageing_proof(cells, rest, how=how, seed=held.seed)
    proof = ageing_proof(cells, rest, how=how, seed=held.seed)
    say(f"fitting ageing to all {len(histories)} cells")
    (again,) = fit_ageing(histories, None, window, kinds=(fits[0].kind,), seed=held.seed)
    fits = (replace(again, held_out=fits[0].held_out), *fits[1:])
    differs = ageing_differences(_aged_card(again, window, trial), cells, histories, held.seed)
    return fits, replace(proof, differs=differs)


def _aged_card(fit: AgeingFit, window: Window, trial: Path) -> CellModel:
    """A compiled card of nothing but a fitted ageing law."""
    card = CardParts("ageing", "", window)
    card.measured("drift", fit.tables)
    return load_card(write_card(trial, card, {})).compile()


def _preferred(config: MeasurementConfig, fits: tuple[AgeingFit, ...]) -> tuple[AgeingFit, ...]:
    return fits if config.ageing == "auto" else tuple(sorted(fits, key=lambda fit: fit.kind != config.ageing))


def resting_noise(config: MeasurementConfig, series: list, window: Window, trial: Path) -> tuple[NoiseFit, Proof]:
    """Fit read noise to the series and prove it on the later part of each."""
    held = config.held_out
    noise = fit_noise(series, window)
    if held.by == "none":
        return noise, Proof("read noise", "nothing is held out, so the fit is not proven", ())
    first, second = halves(series, held.fraction)
    if not first:
        return noise, Proof("read noise", "the series are too short to hold a part out, so the fit is not proven", ())
    part = fit_noise(first, window)
    card = CardParts("noise", "", window)
    card.measured("read_noise", {"white": part.white, "flicker": part.flicker, "t_read": part.t_read})
    cell = load_card(write_card(trial, card, {})).compile()
    proof = noise_proof(
        cell, first, second, how=f"the last {held.fraction:.0%} of every series held out", seed=held.seed
    )
    if not held.refit:
        return part, proof
    return noise, replace(proof, differs=noise_differences(noise, part))
