"""The report of any run, from its folder. It never runs a chip."""

from __future__ import annotations

from pathlib import Path

from analog_sim.config import UserError
from learning.report.comparison import Comparison, comparison_table, write_comparison_report
from learning.report.estimate import estimate_table, write_estimate_report
from learning.report.estimate_results import EstimateResults
from learning.report.tables import Table
from learning.report.training import training_table, write_training_report
from learning.report.training_results import TrainingResults
from learning.runs import RunDirectory


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
    raise UserError(
        f"{run.path}: holds no finished run (summary.json: got kind {kind!r}, allowed: estimate, training, sweep)"
    )
