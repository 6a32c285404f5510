"""Any card against any measurement: the card's emulated cells do what the measured ones did. It never fits the card."""

from dataclasses import dataclass, replace

import numpy as np

from analog_sim.threads import one_blas_thread
from devices.card import DeviceCard
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import histories_of
from devices.measurements.data.pulse_kinds import chosen_pulses
from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.split import folds as pieces
from devices.measurements.data.traces import Traces, traces_of
from devices.measurements.fit.noise.series import series_of
from devices.measurements.pipeline.pulse_stage import fit_again, fit_traces
from devices.measurements.pipeline.reading import read_measurements
from devices.measurements.proof.ageing import ageing_proof
from devices.measurements.proof.noise import noise_proof
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.pulses import Candidate, Say, prove, replicas_for
from devices.measurements.text.problems import MeasurementError

HOW = "all data of the measurement, none of which the card need know"


@dataclass(frozen=True)
class CardComparison:
    """What was found.

    Attributes:
        proofs: one per kind of measurement. traces, replayed: pulse traces and their replay; None without pulses.
        counted: what the readers handled.
    """

    proofs: tuple[Proof, ...]
    traces: Traces | None
    replayed: Traces | None
    counted: tuple[str, ...]


@one_blas_thread()
def compare_card(
    card: DeviceCard, config: MeasurementConfig, *, seed: int = 0, say: Say = lambda text: None
) -> CardComparison:
    """Replay the pulses, the waiting and the resting of a measurement on emulated cells of a card.

    Args:
        card, config: what is compared. seed: of the emulated cells. say: told what is going on.

    Raises MeasurementError when the measurement holds nothing that the card can be compared with.
    """
    measured = read_measurements(config, say)
    cell = card.compile()
    proofs: list[Proof] = []
    traces: Traces | None = None
    replayed: Traces | None = None
    if "pulses" in measured.tables:
        if cell.pulse is None:
            raise MeasurementError(f"card {card.name}: no pulse law, and the measurement is of pulses")
        keep, _ = chosen_pulses(measured.tables["pulses"], config, measured.log)
        traces = traces_of(measured.tables["pulses"], measured.log, keep)
        candidate = Candidate(cell, _noise_of_reads(card, config, traces, say))
        proofs.append(_prove_card(candidate, config, traces, seed, say))
        replayed = candidate.replayed(traces, seed, replicas_for(traces))
    if "retention" in measured.tables:
        histories = histories_of(measured.tables["retention"], measured.log)
        proofs.append(ageing_proof([cell], [histories], how=HOW, seed=seed))
    if "noise" in measured.tables:
        series = series_of(measured.tables["noise"], measured.sources)
        proofs.append(noise_proof(cell, series, series, how=HOW, seed=seed))
    if not proofs:
        raise MeasurementError("the measurement holds no pulses, retention or noise that a card could be compared with")
    return CardComparison(tuple(proofs), traces, replayed, tuple(measured.log.lines()))


def _prove_card(candidate: Candidate, config: MeasurementConfig, traces: Traces, seed: int, say: Say) -> Proof:
    """The proof of a fit, with the same card in every fold."""
    held = config.held_out
    folds = pieces(traces, by=held.by, fraction=held.fraction, seed=held.seed)
    if folds[0].held_out is None:  # nothing need be held out from a card that was not fitted here
        folds = (replace(folds[0], held_out=traces, place=np.asarray(traces.start[:-1], np.int64)),)
    how = HOW
    noise = candidate.noise
    if noise.correlated > 0:
        how = (
            f"{HOW}; the reads of the measurement are correlated over {noise.length:.3g} reads ({noise.share:.0%} of the variance of"
            " their noise): so are those of the replay, with the size of the card's read noise"
        )
    return prove(folds, [candidate] * len(folds), traces, how=how, seed=seed, several=True, say=say)


def _noise_of_reads(card: DeviceCard, config: MeasurementConfig, traces: Traces, say: Say) -> ReadNoise:
    """Read noise of a card's size, in the middle of its window, with the correlation that a fit of the measurement finds.

    The emulator draws reads independently, so a card says nothing of their correlation; the measurement does. It is found
    as `scripts/fit_device.py` finds that of its card, so that both tools take the same noise.
    """
    total = float(card.read_std(0.5 * (card.g_min + card.g_max), 0.0))
    if total <= 0.0:
        return ReadNoise()
    held = config.held_out
    parts = pieces(traces, by=held.by, fraction=held.fraction, seed=held.seed)[0]
    say(f"looking for correlated noise of the reads in {parts.fit.steps} steps")
    given = config.window.window if config.window is not None else None
    own = fit_again(config, fit_traces(config, parts, given, intervals=False, say=say), traces, given).noise
    return own.scaled_to(total) if own.correlated > 0 else ReadNoise(total)
