"""The report of a sweep of estimates: one table and the curves of all points. It never runs a chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from analog_sim.config import UserError
from learning.experiments.monte_carlo.metrics import mean_interval, yield_interval
from learning.experiments.monte_carlo.score import Score
from learning.experiments.report.assumed import assumed_sections
from learning.experiments.report.estimate.conclusion import short, sweep_head
from learning.experiments.report.estimate.figures import accuracy_of_points, accuracy_over_setting, is_number
from learning.experiments.report.estimate.results import EstimateResults, by_chip_and_time
from learning.experiments.report.head import configuration_of
from learning.experiments.report.page import Plot, Section, write_page
from learning.experiments.report.tables import Table
from learning.experiments.report.wording import time_label
from learning.experiments.runs.files import JsonRecord, checked_record
from learning.experiments.runs.run_folder import CONFIG, RunDirectory

F64 = npt.NDArray[np.float64]
CURVES_UP_TO = 12
"""More points than this are compared in the table only."""


@dataclass(frozen=True)
class EstimatePoint:
    """One point of a sweep.

    Attributes:
        label: swept key -> its value as text. folder: of its run, below the sweep's. results: of the estimate there.
    """

    label: Mapping[str, str]
    folder: str
    results: EstimateResults

    @property
    def name(self) -> str:
        """`adc.bits = 6, device = pcm`."""
        return ", ".join(f"{short(key)} = {value}" for key, value in self.label.items())

    @property
    def nominal(self) -> tuple[F64, F64]:
        """Times (T,) in seconds and score (chips, T) as configured."""
        rows = [row for row in self.results.rows if row["study"] == "nominal"]
        return by_chip_and_time(rows, self.results.score.key)


class SweepEntry(JsonRecord):
    """A point in summary.json: swept key -> value, folder of its run."""

    label: dict[str, str]
    folder: str


class SweepSummary(JsonRecord):
    """summary.json of a sweep."""

    kind: Literal["sweep"]
    title: str
    points: list[SweepEntry]


@dataclass(frozen=True)
class Comparison:
    """A finished sweep.

    Attributes:
        title: heading of the report. points: in order.
    """

    title: str
    points: tuple[EstimatePoint, ...]

    def save(self, run: RunDirectory) -> None:
        """Write summary.json; the results are in the points' folders."""
        points = [{"label": dict(point.label), "folder": point.folder} for point in self.points]
        run.save_json("summary", {"kind": "sweep", "title": self.title, "points": points})

    @classmethod
    def summary(cls, run: RunDirectory) -> SweepSummary:
        """Its points, without their results. Raises UserError when the sweep is not finished."""
        found = run.load_json("summary")
        if found is None or found.get("kind") != "sweep":
            raise UserError(f"{run.path}: holds no finished sweep (summary.json); resume the sweep first")
        path = run.path / "summary.json"
        summary = checked_record(path, found, SweepSummary, run.again)
        for point in summary.points:
            if Path(point.folder).name != point.folder or set(point.label) != set(summary.points[0].label):
                raise UserError(f"{path}: points: not those of one sweep (got {point.folder!r}); {run.again}")
        return summary

    @classmethod
    def load(cls, run: RunDirectory) -> Comparison:
        """Read what `save` wrote and the points' results. Raises UserError when the sweep is not finished."""
        summary = cls.summary(run)
        points = tuple(
            EstimatePoint(p.label, p.folder, EstimateResults.load(RunDirectory.open(run.path / p.folder)))
            for p in summary.points
        )
        return cls(summary.title, points)


def comparison_table(points: Sequence[EstimatePoint]) -> Table:
    """One row per point: digital score, mean over chips at the first and last time, worst chip and yield at the last.

    The last column is the change against the first point at the last time, paired chip by chip where both have the chips:
    all points fabricate chip k from the same random numbers.

    Raises UserError when a point has no nominal rows.
    """
    times, first = points[0].nominal
    keys, score = list(points[0].label), points[0].results.score
    columns = [0, -1] if any(point.nominal[0].size > 1 for point in points) else [-1]
    rows = []
    for point in points:
        _, accuracy = point.nominal
        last = accuracy[:, -1]
        rows.append(
            (
                *(point.label[key] for key in keys),
                score.number(point.results.digital_score)
                + (", not converged" if point.results.converged is False else ""),
                *(score.text(score.mean(accuracy[:, k])) for k in columns),
                score.number(float(last.min())),
                yield_interval(last, point.results.threshold).text(percent=True, digits=0),
                "" if point is points[0] else _paired(first[:, -1], last, score),
            )
        )
    shown = [time_label(float(times[k])) for k in columns]
    if len({tuple(point.nominal[0][columns]) for point in points}) > 1:
        shown = ["first time", "last time"][-len(columns) :]
    header = (*map(short, keys), "digital", *shown, "worst chip", "yield", "vs first point")
    chips = sorted({point.nominal[1].shape[0] for point in points})
    count = f"{chips[0]}" if len(chips) == 1 else f"{chips[0]} to {chips[-1]}"
    what = "Accuracy in %" if score.unit else score.name
    return Table(
        header,
        tuple(rows),
        f"{what} with 95 % intervals over {count} chips at each point; last column at the last time",
    )


def _paired(first: F64, other: F64, score: Score) -> str:
    if first.size != other.size:
        return score.change(float(other.mean() - first.mean()))
    change = mean_interval(other - first)
    span = "" if np.isnan(change.low) else f" [{score.change_span(change, ', ')}]"
    return f"{score.change(change.value)}{span}"


def write_comparison_report(run: RunDirectory, comparison: Comparison) -> Path:
    """Write report.html, figures and the table of a sweep into its folder; return the page's path.

    Raises UserError when there are no points, or one has no nominal rows.
    """
    points = comparison.points
    if not points:
        raise UserError("sweep: no points; allowed: at least one")
    plots = []
    score = points[0].results.score
    if len(points) <= CURVES_UP_TO:
        curves = {point.name: point.nominal for point in points}
        digital = {point.results.digital_score for point in points}
        figure = accuracy_of_points(curves, digital.pop() if len(digital) == 1 else None, score=score)
        text = f"{score.title} against time after programming at every point: mean over chips, 95 % interval."
        plots.append(Plot(f"{score.key}_over_time", figure, text))
    plots += [plot for key in points[0].label if (plot := _over_key(points, key)) is not None]
    sections = [
        Section("Comparison", tables=(("comparison", comparison_table(points)),), plots=tuple(plots)),
        Section("Reports of the points", links=tuple((point.name, f"{point.folder}/report.html") for point in points)),
    ]
    assumed = {card: values for point in points for card, values in point.results.assumed.items()}
    sections += assumed_sections(assumed)
    notes = dict.fromkeys(note for point in points for note in point.results.notes)
    folders = [RunDirectory(run.path / point.folder) for point in points]
    trees = [configuration_of(each) for each in folders if (each.path / CONFIG).exists()] or [{}]
    last = [(dict(point.label), point.nominal[1][:, -1], point.results.digital_score) for point in points]
    head = sweep_head(trees, points[0].results, last)
    return write_page(run, comparison.title, sections, head=head, notes=tuple(notes))


def _over_key(points: Sequence[EstimatePoint], key: str) -> Plot | None:
    """Score at the last time against one numeric key, a curve for each setting of the others; None when there is no such curve."""
    values = list(dict.fromkeys(point.label[key] for point in points))
    if sum(map(is_number, values)) < 2:
        return None
    groups: dict[str, dict[str, F64]] = {}
    for point in points:
        others = ", ".join(f"{short(name)} = {value}" for name, value in point.label.items() if name != key)
        time = time_label(float(point.nominal[0][-1]))
        groups.setdefault(others or f"at {time}", {})[point.label[key]] = point.nominal[1][:, -1]
    chips = min(accuracy.size for group in groups.values() for accuracy in group.values())
    whole = {name: group for name, group in groups.items() if len(group) == len(values)}
    if not whole or len(whole) > CURVES_UP_TO:
        return None
    curves = {name: np.stack([group[value][:chips] for value in values], axis=1) for name, group in whole.items()}
    digital, score = {point.results.digital_score for point in points}, points[0].results.score
    line = digital.pop() if len(digital) == 1 else None
    figure = accuracy_over_setting(values, curves, line, short(key), score=score)
    name = "".join(c if c.isalnum() else "_" for c in key)
    caption = f"{score.title} at the last time against {short(key)}; 95 % interval over chips."
    return Plot(f"{score.key}_over_{name}", figure, caption)
