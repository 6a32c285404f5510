"""What a run gives back at a prompt: its table, rows as a DataFrame, figures, the report. It never runs anything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from analog_sim.config import UserError
from analog_sim.config.errors import did_you_mean
from devices.card import DeviceCard, load_card
from learning.experiments.interactive.shown import figure_shown, frame_of, table_html
from learning.experiments.report.estimate.comparison import Comparison, comparison_table
from learning.experiments.report.estimate.figures import accuracy_of_points, accuracy_over_time
from learning.experiments.report.estimate.page import estimate_table
from learning.experiments.report.estimate.results import EstimateResults, by_chip_and_time
from learning.experiments.report.tables import Table
from learning.experiments.report.training.figures import learning_curves
from learning.experiments.report.training.page import training_table
from learning.experiments.report.training.results import TrainingResults
from learning.experiments.report.wording import readable
from learning.experiments.runs.result_log import Row

F64 = npt.NDArray[np.float64]
FIRST = ("steps", "ramps")
"""Figures of a fit that are shown first."""
_LINES = 18
"""Lines of a description; a line that says what is left out may follow."""


class RunResult(ABC):
    """A finished run.

    Attributes:
        folder: of the run.
    """

    folder: Path

    @property
    @abstractmethod
    def table(self) -> Table:
        """The main table, as the command prints it."""

    @abstractmethod
    def to_frame(self) -> Any:
        """All rows as a pandas DataFrame. Raises UserError without pandas."""

    @abstractmethod
    def _main_figure(self) -> Figure | Picture:
        """What the report shows first."""

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.folder / "report.html"

    @property
    def figures(self) -> dict[str, Path]:
        """Name -> file (SVG where there is one) of every figure of the report."""
        found = sorted((self.folder / "figures").glob("*.png"))
        return {path.stem: path.with_suffix(".svg") if path.with_suffix(".svg").exists() else path for path in found}

    def plot(self, name: str | None = None) -> Any:
        """The main figure as a Matplotlib figure, or a figure of the report by its name (`figures`), as a notebook shows it.

        Raises:
            UserError: no figure of this name.
        """
        if name is None:
            main = self._main_figure()
            return figure_shown(main) if isinstance(main, Figure) else main
        if name not in self.figures:
            raise UserError(
                f"plot: no figure '{name}'{did_you_mean(name, self.figures) or ';'} allowed: {', '.join(self.figures)}"
            )
        return Picture(self.folder / "figures" / f"{name}.png")

    def __repr__(self) -> str:
        lines = self.table.text().splitlines()
        left = [f"... {len(lines) - _LINES + 1} more rows"] if len(lines) > _LINES else []
        return "\n".join([*lines[: _LINES - len(left)], *left, f"report: {self.report}"])

    def _repr_html_(self) -> str:
        return f"{table_html(self.table)}<p>report: <code>{escape(str(self.report))}</code></p>"


@final
@dataclass(frozen=True)
class Picture:
    """A figure of a report, as a file that a notebook shows.

    Attributes:
        path: of the PNG.
    """

    path: Path

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()


@final
@dataclass(frozen=True, repr=False)
class EstimateRun(RunResult):
    """A finished estimate.

    Attributes:
        folder: of the run. results: all that the report shows.
    """

    folder: Path
    results: EstimateResults

    @property
    def table(self) -> Table:
        """Accuracy, or R2 and mean squared error, at every time."""
        return estimate_table(self.results)

    def to_frame(self) -> Any:
        """One row per chip, study and time: accuracy in [0, 1] (or r2, mse), seconds since programming, error of each layer's output."""
        return frame_of(*_rows(self.results.rows))

    def _main_figure(self) -> Figure:
        results = self.results
        rows = [row for row in results.rows if row["study"] == "nominal"]
        times, found = by_chip_and_time(rows, results.score.key)
        return accuracy_over_time(times, found, results.digital_score, results.threshold, score=results.score)


@final
@dataclass(frozen=True, repr=False)
class TrainingRun(RunResult):
    """A finished training.

    Attributes:
        folder: of the run. results: all that the report shows.
    """

    folder: Path
    results: TrainingResults

    @property
    def table(self) -> Table:
        """Last accuracy, or R2 and mean squared error, of every arm."""
        return training_table(self.results)

    def to_frame(self) -> Any:
        """One row per arm, seed and evaluation: samples, loss, accuracy in [0, 1] (or r2, mse), pulses, chip time, energy."""
        return frame_of(*_rows(self.results.curves))

    def _main_figure(self) -> Figure:
        curves = {arm: curve for arm in self._arms() if (curve := self._curve(arm)) is not None}
        twins = tuple(set(self.results.twins.values()))
        return learning_curves(curves, "training samples", digital=twins, score=self.results.score)

    def _arms(self) -> list[str]:
        return list(dict.fromkeys(str(row["arm"]) for row in self.results.shown.curves))

    def _curve(self, arm: str) -> tuple[F64, F64] | None:
        """Samples (S,) and score (seeds, S) at the evaluations that every seed of an arm has."""
        seeds: dict[object, dict[float, float]] = {}
        key = self.results.score.key
        for row in self.results.shown.curves:
            if row["arm"] == arm:
                seeds.setdefault(row["seed"], {})[float(row["samples"] or 0)] = float(row[key] or 0.0)
        common = sorted(set.intersection(*map(set, seeds.values()))) if seeds else []
        if not common:
            return None
        return np.array(common), np.array([[found[samples] for samples in common] for found in seeds.values()])


@final
@dataclass(frozen=True, repr=False)
class SweepRun(RunResult):
    """A finished sweep of estimates.

    Attributes:
        folder: of the sweep. comparison: its points.
    """

    folder: Path
    comparison: Comparison

    @property
    def table(self) -> Table:
        """One row per point."""
        return comparison_table(self.comparison.points)

    @property
    def runs(self) -> list[EstimateRun]:
        """The estimate of every point."""
        return [EstimateRun(self.folder / point.folder, point.results) for point in self.comparison.points]

    def to_frame(self) -> Any:
        """The rows of all points, swept keys in front."""
        rows: list[dict[str, Any]] = []
        columns: dict[str, None] = {}
        for point in self.comparison.points:
            found, names = _rows(point.results.rows)
            columns |= dict.fromkeys([*point.label, *names])
            rows += [{**point.label, **row} for row in found]
        return frame_of(rows, list(columns))

    def _main_figure(self) -> Figure:
        points = self.comparison.points
        digital, score = {point.results.digital_score for point in points}, points[0].results.score
        curves = {point.name: point.nominal for point in points}
        return accuracy_of_points(curves, digital.pop() if len(digital) == 1 else None, score=score)


@final
@dataclass(frozen=True, repr=False)
class FitRun(RunResult):
    """A card that was fitted to measurements.

    Attributes:
        folder: of the run. card_file: the card. verdicts: one sentence per kind of measurement, a bad fit first.
    """

    folder: Path
    card_file: Path
    verdicts: tuple[str, ...] = ()

    @property
    def card(self) -> DeviceCard:
        """The fitted card: what `ah.estimate(..., device=...)` takes."""
        return load_card(self.card_file)

    @property
    def table(self) -> Table:
        """The card in numbers, under the verdicts in short; `verdicts` says what each rests on."""
        card = self.card
        rows = [
            ("card", str(self.card_file)),
            ("window (µS)", f"{1e6 * card.g_min:.4g} to {1e6 * card.g_max:.4g}"),
            ("pulse", "" if card.pulse is None else card.pulse.kind),
            ("programming", card.programming.kind),
            ("read noise", card.read_noise.kind),
            ("retention", card.drift.kind),
        ]
        short = "\n".join(readable(sentence.partition(": ")[0]) for sentence in self.verdicts)
        return Table(("quantity", "value"), tuple(row for row in rows if row[1]), short)

    def to_frame(self) -> Any:
        """The numbers of `table`."""
        return frame_of(
            [dict(zip(self.table.header, row, strict=True)) for row in self.table.rows], list(self.table.header)
        )

    def _main_figure(self) -> Picture:
        names = sorted(self.figures, key=lambda name: (name not in FIRST, name))
        if not names:
            raise UserError(f"{self.folder}: has no figures")
        return Picture(self.folder / "figures" / f"{names[0]}.png")


def _rows(rows: Sequence[Row]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows as plain dictionaries and the names of their columns."""
    return [dict(row) for row in rows], list(rows[0]) if rows else []
