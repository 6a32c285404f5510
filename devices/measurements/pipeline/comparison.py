"""Any card against any measurement: the card's emulated cells do what the measured ones did. It never fits the card."""

from dataclasses import dataclass

from devices.card import DeviceCard
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import histories_of
from devices.measurements.data.pulse_kinds import chosen_pulses
from devices.measurements.data.read_noise import ReadNoise
from devices.measurements.data.split import Split
from devices.measurements.data.start_states import start_states
from devices.measurements.data.stop_rule import stop_rule
from devices.measurements.data.traces import Traces, traces_of
from devices.measurements.fit.noise.fit import series_of
from devices.measurements.fit.pulse.families import families
from devices.measurements.fit.pulse.fit import fit_pulses
from devices.measurements.fit.pulse.moments import smoothed
from devices.measurements.pipeline.reading import read_measurements
from devices.measurements.proof.ageing import ageing_proof
from devices.measurements.proof.noise import noise_proof
from devices.measurements.proof.proof import Proof
from devices.measurements.proof.replay import replay
from devices.measurements.proof.steps import steps_proof
from devices.measurements.proof.variogram import with_lags
from devices.measurements.text.problems import MeasurementError

REPLICAS = 5
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


def compare_card(card: DeviceCard, config: MeasurementConfig, *, seed: int = 0) -> CardComparison:
    """Replay the pulses, the waiting and the resting of a measurement on emulated cells of a card.

    Raises MeasurementError when the measurement holds nothing that the card can be compared with.
    """
    measured = read_measurements(config, lambda text: None)
    cell = card.compile()
    proofs: list[Proof] = []
    traces: Traces | None = None
    replayed: Traces | None = None
    if "pulses" in measured.tables:
        if cell.pulse is None:
            raise MeasurementError(f"card {card.name}: no pulse law, and the measurement is of pulses")
        keep, _ = chosen_pulses(measured.tables["pulses"], config, measured.log)
        traces = traces_of(measured.tables["pulses"], measured.log, keep)
        noise = _noise_of_reads(card, traces)
        begin = start_states(traces, noise, float(card.step_std(0.5, True)))
        replayed = replay(cell, traces, begin, replicas=REPLICAS, seed=seed, stop=stop_rule(traces), noise=noise)
        states = (smoothed(traces), smoothed(replayed), smoothed(traces))
        how = HOW
        if noise.correlated > 0:
            how = (
                f"{HOW}; the reads of the measurement are correlated over {noise.length:.3g} reads ({noise.share:.0%} of the variance of"
                " their noise): so are those of the replay, with the size of the card's read noise"
            )
        proof = steps_proof(traces, traces, replayed, states, how=how, seed=seed)
        proofs.append(with_lags(proof, traces, traces, replayed, seed=seed))
    if "retention" in measured.tables:
        histories = histories_of(measured.tables["retention"], measured.log)
        proofs.append(ageing_proof(cell, histories, histories, how=HOW, seed=seed))
    if "noise" in measured.tables:
        series = series_of(measured.tables["noise"], measured.sources)
        proofs.append(noise_proof(cell, series, series, how=HOW, seed=seed))
    if not proofs:
        raise MeasurementError("the measurement holds no pulses, retention or noise that a card could be compared with")
    return CardComparison(tuple(proofs), traces, replayed, tuple(measured.log.lines()))


def _noise_of_reads(card: DeviceCard, traces: Traces) -> ReadNoise:
    """Read noise of a card's size, in the middle of its window, with the correlation that the measurement's own reads have.

    The emulator draws reads independently, so a card says nothing of their correlation; the measurement does.
    """
    total = float(card.read_std(0.5 * (card.g_min + card.g_max), 0.0))
    if total <= 0.0:
        return ReadNoise()
    own = fit_pulses(
        Split(traces, None, "none", ""),
        window=None,
        laws={"piecewise": families(True)["piecewise"][:2]},
        read_noise="correlated",
        tables_per_device=False,
    )
    return own.noise.scaled_to(total) if own.noise.correlated > 0 else ReadNoise(total)
