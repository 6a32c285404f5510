"""Retention: which law, fitted to folds of the cells and to all, and proof on emulated cells that wait as long. It never writes a card."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from analog_sim.cells.cell_model import CellModel
from devices.measurements.card_files.card_file import CardParts
from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.data.histories import Histories
from devices.measurements.data.split import folds_of
from devices.measurements.fit.ageing.fit import AgeingFit, fit_ageing, path_memory
from devices.measurements.pipeline.programming_stage import FittedProgramming
from devices.measurements.pipeline.stage import F64, FittedStage, Say
from devices.measurements.proof.ageing import ageing_proof
from devices.measurements.proof.delivered import ageing_differences
from devices.measurements.proof.proof import Proof, ReportKey
from devices.window import Window

FEWEST_CELLS = 10
"""Cells from which on some are held out."""


@dataclass(frozen=True)
class FittedAgeing:
    """Fitted retention.

    Attributes:
        config: what was asked. histories: all cells that are fitted. window: of the card. parts: indices of the cells that each fold
            holds out; empty when none are. folds: a fit for every fold, of the law that the first one chose.
        laws: every law, the one of the card first.
    """

    report_key: ClassVar[ReportKey] = "ageing"
    config: MeasurementConfig
    histories: Histories
    window: Window
    parts: tuple[npt.NDArray[np.int64], ...]
    folds: tuple[AgeingFit, ...]
    laws: tuple[AgeingFit, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether cells return."""
        share = self.laws[0].returning
        if share is not None:
            return (
                f"retention: cells return: {share.value:.0%} ({share.low:.0%} to {share.high:.0%}) of the variance of a change is not kept"
                " a decade later; on the card as a share of cells that do not keep it (drift.returning)",
            )
        memory = path_memory(self.histories)
        if memory is None or memory >= -0.1:
            return ()
        return (
            f"retention: the last change of a cell correlates with the one before by {memory:.2f} (rank): cells partly return."
            " The emulator's path has independent increments: single times are as measured, differences between two late"
            " times of one cell are too large",
        )

    def compile(self, parts: CardParts) -> None:
        """Add the tables of the law, and at which temperature they hold."""
        parts.measured("drift", self.laws[0].tables)
        if self.config.temperature is not None:
            parts.parts["temperature"] = f"{self.config.temperature - 273.15:.6g} C"

    def prove(self, say: Say) -> Proof:
        """Let emulated cells of every fold's card age as the cells that it has not seen did."""
        if not self.parts:
            return Proof("ageing", "nothing is held out: too few cells, so the fit is not proven", ())
        say("letting emulated cells age as the held-out cells did")
        held, count = self.config.held_out, len(self.histories)
        cells = [self._card_of(fit) for fit in self.folds]
        rest = [self.histories.take(own) for own in self.parts]
        how = f"{count} cells in {len(self.parts)} folds, drawn at random, each held out in turn"
        if not held.refit:
            how = f"{len(self.parts[0])} of {count} cells held out, drawn at random"
        proof = ageing_proof(cells, rest, how=how, seed=held.seed)
        if not held.refit:
            return proof
        differs = ageing_differences(self._card_of(self.laws[0]), cells, self.histories, held.seed)
        return replace(proof, differs=differs)

    def _card_of(self, fit: AgeingFit) -> CellModel:
        """A compiled card of nothing but an ageing law."""
        card = CardParts("ageing", "", self.window)
        card.measured("drift", fit.tables)
        return card.compile()


@dataclass(frozen=True)
class AgeingStage:
    """Retention of some cells."""

    config: MeasurementConfig
    histories: Histories

    @property
    def reads(self) -> F64 | None:
        """What was written; of one cell, where it drifts to as well."""
        cells = self.histories
        written = np.concatenate((cells.initial, cells.target[np.isfinite(cells.target)]))
        return written if np.ptp(written) > 0 else cells.g.ravel()

    def fit(self, window: Window | None, fitted: Sequence[FittedStage], say: Say) -> FittedAgeing:
        """Fit the laws to a part of the cells and choose one; fit it to every fold of the cells, and to all.

        Cells whose first read missed its target by far are left out.
        """
        assert window is not None
        histories, config, held = self._without_stuck(fitted), self.config, self.config.held_out
        say(f"fitting retention laws to {len(histories)} cells")
        if held.by == "none" or len(histories) < FEWEST_CELLS:
            laws = _preferred(config, fit_ageing(histories, None, window, seed=held.seed))
            return FittedAgeing(config, histories, window, (), (), laws)
        parts = folds_of(len(histories), held.fraction, np.random.default_rng(held.seed))
        parts = parts if held.refit else parts[:1]
        first, *others = (histories.take(np.setdiff1d(np.arange(len(histories)), own)) for own in parts)
        laws = _preferred(config, fit_ageing(first, histories.take(parts[0]), window, seed=held.seed))
        folds = [laws[0]]
        for number, part in enumerate(others, start=2):
            say(f"fold {number} of {len(parts)}: fitting retention to {len(part)} cells")
            folds += fit_ageing(part, None, window, kinds=(laws[0].kind,), seed=held.seed, errors=False)
        if held.refit:
            say(f"fitting retention to all {len(histories)} cells")
            (again,) = fit_ageing(histories, None, window, kinds=(laws[0].kind,), seed=held.seed)
            laws = (replace(again, held_out=laws[0].held_out), *laws[1:])
        return FittedAgeing(config, histories, window, tuple(parts), tuple(folds), laws)

    def _without_stuck(self, fitted: Sequence[FittedStage]) -> Histories:
        for one in fitted:
            if isinstance(one, FittedProgramming) and one.of_retention and one.fit is not None and len(one.fit.stuck):
                return self.histories.take(np.setdiff1d(np.arange(len(self.histories)), one.fit.stuck))
        return self.histories


def _preferred(config: MeasurementConfig, fits: tuple[AgeingFit, ...]) -> tuple[AgeingFit, ...]:
    return fits if config.ageing == "auto" else tuple(sorted(fits, key=lambda fit: fit.kind != config.ageing))
