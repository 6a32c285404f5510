"""From a measurement configuration to a card with its proof: read, split, fit, emulate, compare. It never draws or prints."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from analog_sim.threads import one_blas_thread
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts, write_card
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import Histories, histories_of
from devices.measurements.data.pulse_kinds import ConditionRow, check_devices, chosen_pulses
from devices.measurements.data.split import Split, folds
from devices.measurements.data.traces import traces_of
from devices.measurements.fit.ageing.fit import AgeingFit, path_memory
from devices.measurements.fit.noise.fit import NoiseFit, series_of
from devices.measurements.fit.pulse.fit import PulseFit, adequacy_notes, fit_distributions
from devices.measurements.fit.pulse.moments import smoothed
from devices.measurements.pipeline.composition import add_writing, compose, write_law_card
from devices.measurements.pipeline.pulse_stage import (
    fit_again,
    fit_folds,
    fit_traces,
    prove_distributions,
    prove_pulses,
)
from devices.measurements.pipeline.reading import read_measurements
from devices.measurements.pipeline.rest_stage import age, programmed, resting_noise
from devices.measurements.pipeline.result import FitResult
from devices.measurements.proof.delivered import pulse_differences
from devices.measurements.proof.programming import programming_pairs, prove_programming
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.pulses import Candidate, replicas_for
from devices.measurements.proof.steps import steps_proof
from devices.measurements.proof.variogram import with_lags
from devices.measurements.table.sink import UNFIT
from devices.measurements.table.table import MeasurementTable
from devices.measurements.text.problems import MeasurementError
from devices.window import Window

Say = Callable[[str], None]


@one_blas_thread()
def fit_measurements(config: MeasurementConfig, folder: Path, say: Say = lambda text: None) -> FitResult:
    """Read, fit, prove and write the card with its tables into a folder.

    Args:
        config: what and how. folder: for the card; made when missing. say: told what is going on.

    Raises MeasurementError (files), ConfigError (keys for the card).
    """
    measured = read_measurements(config, say)
    log = measured.log
    tables = measured.tables
    if "pulses" in tables and measured.distributions:
        raise MeasurementError("pulse rows and step distributions in one configuration: fit them as two cards")
    given = config.window.window if config.window is not None else None
    notes: list[str] = []
    pulse: PulseFit | None = None
    pulse_parts: Split | None = None
    kinds: tuple[ConditionRow, ...] = ()
    if "pulses" in tables:
        table, kinds = chosen_pulses(tables["pulses"], config, log)
        everything = traces_of(tables["pulses"], log, table)
        check_devices(everything, log)
        held = config.held_out
        parts_of_data = folds(everything, by=held.by, fraction=held.fraction, seed=held.seed)
        pulse_parts = parts_of_data[0]
        say(f"fitting {len(config.pulse.laws)} pulse laws to {pulse_parts.fit.steps} steps")
        pulse = fit_traces(config, pulse_parts, given, say=say)
    elif measured.distributions:
        say(f"making tables of {len(measured.distributions)} step distributions")
        pulse = fit_distributions(measured.distributions, window=given)
    histories = histories_of(tables["retention"], log) if "retention" in tables else None
    series = series_of(tables["noise"], measured.sources) if "noise" in tables else []
    window = common_window(given, pulse, histories, series, tables)
    pairs = programming_pairs(tables, histories)
    programming, stuck_text, histories = programmed(tables, histories, window)
    notes += stuck_text
    proofs: list[Proof] = []
    parts = CardParts(config.name, config.reference, window)
    ageing: tuple[AgeingFit, ...] = ()
    noise: NoiseFit | None = None
    with tempfile.TemporaryDirectory() as scratch:  # cards of the fitted part only, to be proven
        trial = Path(scratch)
        if pulse is not None and pulse_parts is not None:
            # Without a fit to all data the first fold's card is the card, and its held-out part alone proves it.
            parts_of_data = parts_of_data if config.held_out.refit else parts_of_data[:1]
            proven = fit_folds(config, pulse, parts_of_data, given, say)
            proofs.append(prove_pulses(config, parts_of_data, proven, everything, trial, window, say))
        elif pulse is not None:
            say("replaying the step distributions on the emulator")
            proofs.append(prove_distributions(config, measured, pulse, trial, window))
        if histories is not None:
            say(f"fitting ageing laws to {len(histories)} cells")
            ageing, proof = age(config, histories, window, trial, say)
            proofs.append(proof)
            memory = path_memory(histories)
            if memory is not None and memory < -0.1:
                notes.append(
                    f"ageing: the last change of a cell correlates with the one before by {memory:.2f} (rank): cells partly return."
                    " The emulator's path has independent increments: single times are as measured, differences between two late"
                    " times of one cell are too large"
                )
        if pairs is not None and programming is not None:
            proofs.append(prove_programming(config, pairs, programming, window, trial))
        if series:
            say(f"fitting the spectra of {len(series)} noise series")
            noise, proof = resting_noise(config, series, window, trial)
            proofs.append(proof)
    if pulse is not None and pulse_parts is not None and config.held_out.refit and pulse_parts.held_out is not None:
        say("fitting the card's tables to all data")
        pulse = fit_again(config, pulse, everything, given, intervals=True)
        window = given or pulse.window
        parts.window = window
        proofs[0] = replace(proofs[0], differs=pulse_differences(pulse, proven))
    compose(parts, config, pulse, programming, ageing, noise)
    notes += (*pulse.notes, *adequacy_notes(pulse.laws)) if pulse is not None else ()
    writing = add_writing(config, parts, pulse, programming)
    if writing is not None:
        notes.append(
            f"programming was not measured: its error is that of write-verify by single pulses on emulated cells, at most"
            f" {writing.max_pulses} of them to within {1e6 * writing.tolerance:.3g} uS"
            f"{'' if writing.reads == 1 else f' by the mean of {writing.reads} reads'}; it leaves"
            f" {1e6 * float(writing.std.min()):.3g} to {1e6 * float(writing.std.max()):.3g} uS"
            f" ({np.mean(writing.reached):.0%} of the cells within tolerance, {np.mean(writing.pulses):.1f} pulses a cell)"
        )
    comments = (
        f"Fitted by scripts/fit_device.py from {len(measured.sources) or 'step distribution'} file(s); tables beside it.",
    )
    card = write_card(folder, parts, config.card, comments)
    notes += load_card(card).cautions()
    law_card = write_law_card(folder, config, pulse, noise, parts)
    replayed, whole = None, None
    if pulse is not None and pulse_parts is not None:
        say("replaying the whole experiment with the final card")
        cell = load_card(card).compile()
        replayed = Candidate(cell, pulse.noise).replayed(everything, config.held_out.seed, replicas_for(everything))
        whole = steps_proof(
            everything,
            everything,
            replayed,
            (smoothed(everything), smoothed(replayed), smoothed(everything)),
            how="all data, which the card was fitted to",
            seed=config.held_out.seed,
            resamples=20,  # the fitted data prove nothing: only the numbers and curves are shown
        )
        whole = with_lags(whole, everything, everything, replayed, seed=config.held_out.seed)
    return FitResult(
        config,
        card,
        law_card,
        window,
        tuple(proofs),
        tuple(dict.fromkeys(notes)),
        tuple(log.lines()),
        pulse,
        ageing,
        programming,
        noise,
        everything if pulse_parts is not None else None,
        replayed,
        whole,
        histories,
        tuple(kinds),
        tuple((str(path), count) for path, count in log.rows.items()),
    )


def common_window(
    given: Window | None,
    pulse: PulseFit | None,
    histories: Histories | None,
    series: list,
    tables: dict[str, MeasurementTable] | object,
) -> Window:
    """Return the card's window: given, or that of the pulses, or the range of all other reads. Raises MeasurementError."""
    if given is not None:
        return given
    if pulse is not None:
        return pulse.window
    values = []
    if histories is not None:
        written = np.concatenate((histories.initial, histories.target[np.isfinite(histories.target)]))
        values.append(
            written if np.ptp(written) > 0 else histories.g.ravel()
        )  # of one cell, where it drifts to as well
    values += [one.g for one in series]
    if isinstance(tables, dict) and "programming" in tables:
        table = tables["programming"]
        values.append(table.conductance()[(table.flag & UNFIT) == 0])
    pooled = np.concatenate(values)
    pooled = pooled[np.isfinite(pooled)]
    low, high = max(0.0, float(pooled.min())), float(pooled.max())
    if high <= low:
        raise MeasurementError(
            f"window: all reads are {low:g} S, so none can be found; give one: window: {{g_min: ..., g_max: ...}}"
        )
    return Window(low, high)
