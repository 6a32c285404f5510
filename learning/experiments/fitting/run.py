"""From a measurement's configuration to a run folder with card, tables and report. It never prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devices.measurements.configuration.measurement_config import MeasurementConfig
from devices.measurements.pipeline.fit_result import FitResult
from devices.measurements.pipeline.pipeline import fit_measurements
from learning.experiments.report.measurement.page import write_fit_report
from learning.experiments.report.measurement.results import FitSummary
from learning.experiments.runs.compiling import compiling
from learning.experiments.runs.run_folder import RunDirectory


def fit_card(config: MeasurementConfig, out: Path | None, say: Callable[[str], None]) -> tuple[FitResult, Path]:
    """Fit a card in a run folder and write its report; return what was found and the page's path.

    Args:
        config: which files, fitted how. out: folder (default: under runs/). say: told what is going on.

    Raises:
        UserError: a mistake in the files, the keys or the folder; nothing half-made is left.
    """
    run = RunDirectory.create(
        out,
        config,
        name=f"fit-{config.name}",
        seed=config.held_out.seed,
        resumable=False,
        own=[f"{config.name}.yaml"],
    )
    say(f"run folder: {run.path}")
    with run.nothing_half_made(), compiling("fit", say):
        result = fit_measurements(config, run.path, say)
    say("writing the report")
    page = write_fit_report(run, result)
    found = FitSummary(
        kind="fit",
        card=result.card.name,
        verdicts={proof.what.removeprefix("the "): proof.verdict for proof in result.proofs},
        sentences=list(result.sentences),
    )
    run.save_json("summary", found.model_dump())
    return result, page
