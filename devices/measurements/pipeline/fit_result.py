"""Everything that a fit of measurements found. It never computes anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.ageing_stage import FittedAgeing
from devices.measurements.pipeline.composition import CardFiles
from devices.measurements.pipeline.distribution_stage import FittedDistributions
from devices.measurements.pipeline.noise_stage import FittedNoise
from devices.measurements.pipeline.programming_stage import FittedProgramming
from devices.measurements.pipeline.pulse_stage import FittedPulse, WholeReplay
from devices.measurements.proof.proof import WORDS, Proof, ReportKey
from devices.window import Window

Fitted = FittedPulse | FittedDistributions | FittedProgramming | FittedAgeing | FittedNoise


@dataclass(frozen=True)
class FitResult:
    """Everything that was found.

    Attributes:
        config: what was asked. files: of the card. window: of the card.
        fitted: what was fitted of each quantity. proven: its proof.
        whole: the whole experiment replayed with the final card, None without pulse traces.
        notes: sentences for the report. counted: irregularities that the readers handled. rows: rows read by file.
    """

    config: MeasurementConfig
    files: CardFiles
    window: Window
    fitted: Mapping[ReportKey, Fitted]
    proven: Mapping[ReportKey, Proof]
    whole: WholeReplay | None
    notes: tuple[str, ...]
    counted: tuple[str, ...]
    rows: tuple[tuple[str, int], ...]

    @property
    def card(self) -> Path:
        """Path of the card."""
        return self.files.card

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """One per quantity that was proven, in the order of reports."""
        return tuple(self.proven[key] for key in WORDS if key in self.proven)

    @property
    def sentences(self) -> tuple[str, ...]:
        """First lines of the report: a bad fit first."""
        order = {"bad": 0, "unproven": 1, "fair": 2, "good": 3}
        return tuple(proof.sentence() for proof in sorted(self.proofs, key=lambda proof: order[proof.verdict]))

    @property
    def pulse(self) -> FittedPulse | FittedDistributions | None:
        """The pulse response; None without such data."""
        found = self.fitted.get("pulse")
        return found if isinstance(found, FittedPulse | FittedDistributions) else None

    @property
    def programming(self) -> FittedProgramming | None:
        """The programming error; None without such data."""
        found = self.fitted.get("programming")
        return found if isinstance(found, FittedProgramming) else None

    @property
    def ageing(self) -> FittedAgeing | None:
        """Retention; None without such data."""
        found = self.fitted.get("ageing")
        return found if isinstance(found, FittedAgeing) else None

    @property
    def noise(self) -> FittedNoise | None:
        """Read noise of resting cells; None without such data."""
        found = self.fitted.get("noise")
        return found if isinstance(found, FittedNoise) else None
