"""Programming error, from programming rows or from the first reads of retention. It never writes a card."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from devices.measurements.card_files.card_file import CardParts
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import Histories
from devices.measurements.fit.programming.fit import ProgrammingFit, fit_programming
from devices.measurements.pipeline.stage import F64, FittedStage, Say
from devices.measurements.proof.programming import prove_programming
from devices.measurements.proof.proof import Proof, ReportKey
from devices.measurements.table.sink import UNFIT, Measurements
from devices.measurements.text.problems import MeasurementError
from devices.window import Window

TOO_FEW = "the programming measurement has fewer than three pairs of target and result: name the column target"


@dataclass(frozen=True)
class FittedProgramming:
    """A fitted programming error.

    Attributes:
        config: what was asked. window: of the card. target, result: (C,) siemens, NaN where unknown.
        fit: None when the first reads of retention have fewer than three targets. of_retention: whether they are such reads.
    """

    report_key: ClassVar[ReportKey] = "programming"
    config: MeasurementConfig
    window: Window
    target: F64
    result: F64
    fit: ProgrammingFit | None
    of_retention: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """Cells that missed by far."""
        fit = self.fit
        if fit is None or not len(fit.stuck):
            return ()
        return (
            f"{len(fit.stuck)} of {len(fit.stuck) + fit.cells} cells missed their target by far: taken as stuck, not fitted",
        )

    def compile(self, parts: CardParts) -> None:
        """Add the table of the error and the share of stuck cells."""
        fit = self.fit
        if fit is None:
            return
        parts.measured("programming", {"std": fit.table})
        if len(fit.stuck):
            parts.parts["faults"] = {"stuck_random": len(fit.stuck) / (len(fit.stuck) + fit.cells)}

    def prove(self, say: Say) -> Proof | None:
        """Leave out every fold of the cells in turn."""
        if self.fit is None:
            return None
        target, result = (np.delete(values, self.fit.stuck) for values in (self.target, self.result))
        known = np.isfinite(target) & np.isfinite(result)
        return prove_programming(self.config, target[known], result[known], self.window)


@dataclass(frozen=True)
class ProgrammingStage:
    """Targets and results, (C,) siemens; `alone`: of rows of their own, and not of the first reads of retention."""

    config: MeasurementConfig
    target: F64
    result: F64
    alone: bool

    @classmethod
    def of(
        cls, measured: Measurements, config: MeasurementConfig, histories: Histories | None
    ) -> "ProgrammingStage | None":
        """The programmed cells of a measurement; None without any target."""
        rows = measured.tables.get("programming")
        if rows is not None:
            good = (rows.flag & UNFIT) == 0
            return cls(config, rows.target_S[good], rows.conductance()[good], True)
        if histories is not None and np.isfinite(histories.target).any():
            return cls(config, histories.target, histories.initial, False)
        return None

    @property
    def reads(self) -> F64 | None:
        """What was reached; the first reads of retention are that stage's."""
        return self.result if self.alone else np.empty(0)

    def fit(self, window: Window | None, fitted: Sequence[FittedStage], say: Say) -> FittedProgramming:
        """Fit the error against the target. Raises MeasurementError for rows without three pairs."""
        assert window is not None
        fit = fit_programming(self.target, self.result, window)
        if fit is None and self.alone:
            raise MeasurementError(TOO_FEW)
        return FittedProgramming(self.config, window, self.target, self.result, fit, not self.alone)
