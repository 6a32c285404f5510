"""Everything that a fit of measurements found. It never computes anything."""

from dataclasses import dataclass
from pathlib import Path

from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import Histories
from devices.measurements.data.pulse_kinds import ConditionRow
from devices.measurements.data.traces import Traces
from devices.measurements.fit.ageing.fit import AgeingFit
from devices.measurements.fit.noise.fit import NoiseFit
from devices.measurements.fit.programming.fit import ProgrammingFit
from devices.measurements.fit.pulse.fit import PulseFit
from devices.measurements.proof.proof import Proof
from devices.window import Window


@dataclass(frozen=True)
class FitResult:
    """Everything that was found.

    Attributes:
        config: what was asked. card: path of the card. law_card: path of a second card with the best pulse law, None without pulses.
        window: of the card.
        proofs: one per kind of measurement. whole: proof of the whole experiment replayed with the final card, None without pulses.
        notes: sentences for the report. counted: irregularities that the readers handled.
        pulse, ageing, programming, noise: fits, None without such data. traces, replayed: all pulse traces and their emulated
            replay by the final card. histories: retention data. kinds: kinds of pulses.
        rows: rows read by file.
    """

    config: MeasurementConfig
    card: Path
    law_card: Path | None
    window: Window
    proofs: tuple[Proof, ...]
    notes: tuple[str, ...]
    counted: tuple[str, ...]
    pulse: PulseFit | None = None
    ageing: tuple[AgeingFit, ...] = ()
    programming: ProgrammingFit | None = None
    noise: NoiseFit | None = None
    traces: Traces | None = None
    replayed: Traces | None = None
    whole: Proof | None = None
    histories: Histories | None = None
    kinds: tuple[ConditionRow, ...] = ()
    rows: tuple[tuple[str, int], ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """First lines of the report: a bad fit first."""
        order = {"bad": 0, "unproven": 1, "fair": 2, "good": 3}
        return tuple(proof.sentence() for proof in sorted(self.proofs, key=lambda proof: order[proof.verdict]))
