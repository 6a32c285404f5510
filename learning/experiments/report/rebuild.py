"""The report of any run, from its folder. It never runs a chip."""

from __future__ import annotations

from pathlib import Path

from analog_sim.config import UserError
from learning.experiments.report.estimate.comparison import Comparison, comparison_table, write_comparison_report
from learning.experiments.report.estimate.page import estimate_table, write_estimate_report
from learning.experiments.report.estimate.results import EstimateResults
from learning.experiments.report.page import REBUILT
from learning.experiments.report.tables import Table
from learning.experiments.report.training.page import training_table, write_training_report
from learning.experiments.report.training.results import TrainingResults
from learning.experiments.runs.run_folder import RunDirectory


def rebuild(folder: Path) -> tuple[Table, Path]:
    """Write the report of the run in `folder`; return its main table and the page's path. Raises UserError."""
    run = RunDirectory.open(folder)
    kind = (run.load_json("summary") or {}).get("kind")
    if kind == "estimate":
        estimate = EstimateResults.load(run)
        return estimate_table(estimate), write_estimate_report(run, estimate)
    if kind == "training":
        training = TrainingResults.load(run)
        return training_table(training), write_training_report(run, training)
    if kind == "sweep":
        comparison = Comparison.load(run)
        return comparison_table(comparison.points), write_comparison_report(run, comparison)
    if run.finished:
        raise UserError(
            f"{run.path}: the report of a {run.kind} is written with it and not made again; run the command again with another --out "
            f"(made again are those of: {', '.join(REBUILT)})"
        )
    raise UserError(f"{run.path}: holds no finished run (got an unfinished {run.kind}); go on with it first")
