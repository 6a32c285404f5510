"""From a measurement configuration to a card with its proof: read, then fit, prove and compile stage by stage. It never draws or prints."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analog_sim.threads import one_blas_thread
from devices.card import load_card
from devices.measurements.card_files.card_file import CardParts
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import histories_of
from devices.measurements.pipeline.ageing_stage import AgeingStage
from devices.measurements.pipeline.composition import add_writing, write_cards
from devices.measurements.pipeline.distribution_stage import DistributionStage
from devices.measurements.pipeline.fit_result import FitResult, Fitted
from devices.measurements.pipeline.noise_stage import NoiseStage
from devices.measurements.pipeline.programming_stage import ProgrammingStage
from devices.measurements.pipeline.pulse_stage import FittedPulse, PulseStage
from devices.measurements.pipeline.reading import read_measurements
from devices.measurements.pipeline.stage import Say
from devices.measurements.proof.proof import Proof, ReportKey
from devices.measurements.table.sink import Measurements
from devices.measurements.text.problems import MeasurementError
from devices.window import Window

AnyStage = PulseStage | DistributionStage | ProgrammingStage | AgeingStage | NoiseStage


@one_blas_thread()
def fit_measurements(config: MeasurementConfig, folder: Path, say: Say = lambda text: None) -> FitResult:
    """Read, fit, prove and write the card with its tables into a folder.

    Args:
        config: what and how. folder: for the card; made when missing. say: told what is going on.

    Raises MeasurementError (files), ConfigError (keys for the card).
    """
    measured = read_measurements(config, say)
    stages = stages_of(measured, config)
    window = config.given_window
    fitted: dict[ReportKey, Fitted] = {}
    proven: dict[ReportKey, Proof] = {}
    for stage in stages:
        if window is None and stage.reads is not None:
            window = window_of_reads(stages)
        one = stage.fit(window, tuple(fitted.values()), say)
        window, fitted[one.report_key] = one.window, one
        proof = one.prove(say)
        if proof is not None:
            proven[one.report_key] = proof
    if window is None:
        raise MeasurementError("the measurement holds nothing that a card could be made of")
    parts = CardParts(config.name, config.reference, window)
    for one in fitted.values():
        one.compile(parts)
    notes = [note for one in fitted.values() for note in one.notes]
    notes += add_writing(config, parts)
    pulse, whole = fitted.get("pulse"), None
    laws = pulse.fit.laws if isinstance(pulse, FittedPulse) else ()
    files = write_cards(folder, config, laws, parts, len(measured.sources))
    card = load_card(files.card)
    if isinstance(pulse, FittedPulse):
        say("replaying the whole experiment with the final card")
        whole = pulse.replay(card.compile())
    return FitResult(
        config=config,
        files=files,
        window=window,
        fitted=fitted,
        proven=proven,
        whole=whole,
        notes=tuple(dict.fromkeys((*notes, *card.cautions()))),
        counted=tuple(measured.log.lines()),
        rows=tuple((str(path), count) for path, count in measured.log.rows.items()),
    )


def stages_of(measured: Measurements, config: MeasurementConfig) -> tuple[AnyStage, ...]:
    """The quantities that a measurement holds, in the order in which they are fitted: pulses find the window of all others.

    Raises MeasurementError.
    """
    if "pulses" in measured.tables and measured.distributions:
        raise MeasurementError("pulse rows and step distributions in one configuration: fit them as two cards")
    rows = measured.tables.get("retention")
    histories = None if rows is None else histories_of(rows, measured.log)
    stages = (
        PulseStage.of(measured, config),
        DistributionStage.of(measured, config),
        ProgrammingStage.of(measured, config, histories),
        None if histories is None else AgeingStage(config, histories),
        NoiseStage.of(measured, config),
    )
    return tuple(stage for stage in stages if stage is not None)


def window_of_reads(stages: Sequence[AnyStage]) -> Window:
    """The range of all reads. Raises MeasurementError when no card can have it."""
    pooled = np.concatenate([np.empty(0) if stage.reads is None else stage.reads for stage in stages])
    pooled = pooled[np.isfinite(pooled)]
    if not len(pooled):
        raise MeasurementError("window: no read is a number")
    low, high = max(0.0, float(pooled.min())), float(pooled.max())
    if high <= low:
        raise MeasurementError(
            f"window: all reads are {low:g} S, so none can be found; give one: window: {{g_min: ..., g_max: ...}}"
        )
    window = Window(low, high)
    if (misfit := window.misfit) is not None:
        raise MeasurementError(f"window: the range of the reads {misfit}; check units, or give one: window: {{...}}")
    return window
