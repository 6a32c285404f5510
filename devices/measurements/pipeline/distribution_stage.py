"""The pulse response from step distributions, which hold no single steps. It never writes a card."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from devices.measurements.card_files.card_file import CardParts
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.fit.distribution.fit import fit_distributions
from devices.measurements.fit.pulse.fit import PulseFit, adequacy_notes
from devices.measurements.pipeline.composition import add_pulse
from devices.measurements.pipeline.stage import F64, FittedStage, Say
from devices.measurements.proof.distribution import distribution_proof
from devices.measurements.proof.proof import Proof, ReportKey
from devices.measurements.table.distribution import StepDistribution
from devices.measurements.table.sink import Measurements
from devices.window import Window


@dataclass(frozen=True)
class FittedDistributions:
    """Tables of step distributions.

    Attributes:
        config: what was asked. distributions: of all devices. fit: what the card holds.
    """

    report_key: ClassVar[ReportKey] = "pulse"
    config: MeasurementConfig
    distributions: tuple[StepDistribution, ...]
    fit: PulseFit

    @property
    def window(self) -> Window:
        """Given, or common to the devices."""
        return self.config.given_window or self.fit.window

    @property
    def notes(self) -> tuple[str, ...]:
        """Of the fit."""
        return (*self.fit.notes, *adequacy_notes(self.fit.laws))

    def compile(self, parts: CardParts) -> None:
        """Add the tables."""
        add_pulse(parts, self.config, self.fit)

    def prove(self, say: Say) -> Proof:
        """Compare step distributions with the steps of emulated cells: of held-out devices when there are enough."""
        say("replaying the step distributions on the emulator")
        held = self.config.held_out
        return distribution_proof(
            self.distributions, self._card_of, fraction=held.fraction, seed=held.seed, enabled=held.by != "none"
        )

    def _card_of(self, chosen: npt.NDArray[np.int64]) -> CellModel:
        """The card of some of the devices."""
        tables = self.fit.tables
        some = replace(
            tables,
            up=tables.up[chosen],
            down=tables.down[chosen],
            windows=None if tables.windows is None else tables.windows[chosen],
        )
        part = CardParts(f"devices{len(chosen)}", "", self.window)
        add_pulse(part, self.config, replace(self.fit, tables=some))
        return part.compile()


@dataclass(frozen=True)
class DistributionStage:
    """Step distributions of some devices."""

    config: MeasurementConfig
    distributions: tuple[StepDistribution, ...]

    @classmethod
    def of(cls, measured: Measurements, config: MeasurementConfig) -> "DistributionStage | None":
        """The distributions of a measurement; None without any."""
        return cls(config, measured.distributions) if measured.distributions else None

    @property
    def reads(self) -> F64 | None:
        """None: the states of the distributions are the window."""
        return None

    def fit(self, window: Window | None, fitted: Sequence[FittedStage], say: Say) -> FittedDistributions:
        """Make the tables."""
        say(f"making tables of {len(self.distributions)} step distributions")
        return FittedDistributions(
            self.config, self.distributions, fit_distributions(self.distributions, window=window)
        )
