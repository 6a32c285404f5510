"""List run folders: what each was, its state and its main result. It never changes one."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from learning.experiments.commands._cli import HelpText
from learning.experiments.commands._terminal import say

if TYPE_CHECKING:
    from learning.experiments.report.estimate.comparison import Comparison
    from learning.experiments.report.estimate.results import EstimateResults
    from learning.experiments.report.training.results import TrainingResults
    from learning.experiments.runs.run_folder import RunDirectory


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per run folder; return the exit status."""
    parser = argparse.ArgumentParser(
        description="List run folders with what they were, their state and result.",
        epilog="example:\n  analog-hil runs\n  analog-hil runs /data/runs",
        formatter_class=HelpText,
        allow_abbrev=False,
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, nargs="?", default=Path("runs"), help="where runs are (default: runs/)"
    )
    folder = parser.parse_args(arguments).folder

    from analog_sim.config import UserError
    from learning.experiments.runs.run_folder import CONFIG

    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    if (folder / CONFIG).exists():  # a run itself; those below it are the points of a sweep
        found.insert(0, folder)
    if not found:
        print(f"{folder}: no runs")
    for path in found:
        say(line(path))
    return 0


def line(path: Path) -> str:
    """One run in one line: folder, start, kind, state, result; a damaged run is said, not raised."""
    from analog_sim.config import UserError
    from learning.experiments.runs.run_folder import RunDirectory

    run = RunDirectory(path)
    try:
        started = run.environment.started[:16].replace("T", " ")
        kind, result = about(run)
    except UserError as error:
        return f"{path}  damaged: {str(error).splitlines()[0]}"
    state = "finished" if run.finished else "unfinished"
    return f"{path}  {started}  {kind}  {state}  {result}".rstrip()


def about(run: RunDirectory) -> tuple[str, str]:
    """What a run was and its main result, empty without one. Raises UserError when its files are damaged."""
    kind = run.kind
    if kind == "search":
        return "search", best_settings(run.path / "candidates.csv")
    if run.load_json("summary") is None:
        return kind, ""
    if kind == "estimate":
        from learning.experiments.report.estimate.results import EstimateResults

        return "estimate", score_over_time(EstimateResults.load(run))
    if kind == "training":
        from learning.experiments.report.training.results import TrainingResults

        return "training", score_of_arms(TrainingResults.load(run))
    if kind == "sweep":
        from learning.experiments.report.estimate.comparison import Comparison

        Comparison.summary(run)
        return "sweep", best_point(Comparison.load(run))
    if kind == "fit":
        from learning.experiments.report.measurement.results import FitSummary

        found = FitSummary.load(run)
        return "fit", ", ".join(f"{what} is {verdict}" for what, verdict in found.verdicts.items()) if found else ""
    return kind, ""


def best_point(found: Comparison) -> str:
    """How many points a sweep has, and the one with the best mean accuracy, or R2, at the last time."""
    from learning.experiments.report.wording import time_label

    score = found.points[0].results.score
    means = {point.name: (float(point.nominal[1][:, -1].mean()), point.nominal[0][-1]) for point in found.points}
    name, (value, time) = max(means.items(), key=lambda item: item[1][0])
    named = "" if score.unit else f"{score.name} "
    return f"{len(found.points)} points, best {name}: {named}{score.shown(value)} at {time_label(float(time))}"


def best_settings(table: Path) -> str:
    """The best setting of each arm of a search, with its score on held-out training samples; empty while there is no table."""
    from analog_sim.config import UserError

    if not table.exists():
        return ""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
        best = [(arm, setting, score) for arm, setting, score, mark in rows[1:] if mark == "best"]
    except (csv.Error, UnicodeDecodeError, ValueError, OSError) as error:
        raise UserError(f"{table}: not a table of candidates ({str(error).splitlines()[0]})") from error
    return "; ".join(f"best of {arm}: {setting} ({rows[0][2]} {score})" for arm, setting, score in best)


def score_over_time(found: EstimateResults) -> str:
    """Mean accuracy, or R2, over the chips at the first and the last time."""
    from learning.experiments.report.wording import time_label

    nominal = [row for row in found.rows if row["study"] == "nominal"]
    times = sorted({float(row["time_s"] or 0.0) for row in nominal})
    shown, score = [], found.score
    named = "" if score.unit else f"{score.name} "
    for time in dict.fromkeys((times[0], times[-1])):
        values = [float(row[score.key] or 0.0) for row in nominal if float(row["time_s"] or 0.0) == time]
        shown.append(f"{named}{score.shown(sum(values) / len(values))} at {time_label(time)}")
    chips = len({row["chip"] for row in nominal})
    return f"{', '.join(shown)} (mean of {chips} chips; digital {score.shown(found.digital_score)})"


def score_of_arms(found: TrainingResults) -> str:
    """Mean of the last accuracy, or R2, over the seeds of each arm."""
    from learning.experiments.training.comparison import last_rows, mean

    arms = dict.fromkeys(str(row["arm"]) for row in found.curves)
    score = found.score
    named = "" if score.unit else f"{score.name} "
    return "; ".join(f"{arm} {named}{score.shown(mean(last_rows(found.curves, arm), score.key))}" for arm in arms)
