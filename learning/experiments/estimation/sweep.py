"""Every point of a configuration's `sweep:`, each in its own folder, and their comparison. It never evaluates a chip itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analog_sim.config import ConfigError, Problem, StrictModel, UserError, expand_sweep
from learning.common.identity import program_identity
from learning.experiments.configs.estimate import Experiment
from learning.experiments.estimation.load import load_estimate
from learning.experiments.estimation.run import describe, estimate
from learning.experiments.report.estimate.comparison import (
    Comparison,
    EstimatePoint,
    comparison_table,
    write_comparison_report,
)
from learning.experiments.report.tables import Table
from learning.experiments.runs.run_folder import CONFIG, RunDirectory
from learning.torch_bridge.source import GivenSource


class SweepRecord(StrictModel):
    """What the folder of a sweep records as its configuration.

    Attributes:
        source: file of the sweep. points: one line per point, swept keys with their values.
    """

    source: str
    points: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes:
        label: swept key -> value as text. folder: of its run, below the sweep's. experiment: its configuration.
    """

    label: dict[str, str]
    folder: str
    experiment: Experiment

    @property
    def name(self) -> str:
        """`device = pcm, tile.adc.bits = 6`."""
        return ", ".join(f"{key} = {value}" for key, value in self.label.items())


def load_points(path: Path, overrides: Sequence[str] = ()) -> list[Point]:
    """Check the configuration of every point, so that a mistake in the last one ends the sweep before the first.

    Args:
        path: YAML file with a `sweep`. overrides: `key=value`, put on top of the file at every point.

    Raises:
        ConfigError: mistakes of all points. UserError: the file has no sweep.
    """
    found = expand_sweep(path, overrides=overrides)
    if not found[0].label:
        raise UserError(f"{path}: has no `sweep`; allowed: a mapping of dotted keys to lists of values")
    points, problems = [], list[Problem]()
    width = len(str(len(found) - 1))
    for number, point in enumerate(found):
        try:
            experiment, _ = load_estimate(path, [*overrides, *point.overrides])
        except ConfigError as error:
            problems += error.problems
            continue
        label = {key: _text(value) for key, value in point.label.items()}
        slug = "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in value)[:24] for value in label.values())
        points.append(Point(label, f"{number:0{width}d}-{slug}", experiment))
    if problems:
        raise ConfigError(problems)
    return points


def sweep(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
    progress: bool = True,
    given: GivenSource | None = None,
) -> tuple[Table, Path]:
    """Run the estimate at every point of a file's `sweep`; return the comparison table and the report's path.

    Points run one after the other, the chips of each in parallel as the file says; a resumed sweep goes on where it was.

    Args:
        path: YAML file with a `sweep`. overrides: `key=value`, put on top of the file at every point.
        out: folder of the sweep (default: under runs/). resume: go on with the sweep in `out`.
        say: gets lines of progress. progress: show bars. given: as in `estimate`.

    Raises:
        UserError: anything the user can mend; the configurations are checked before any work.
    """
    points = load_points(path, overrides)
    for point in points:
        describe(point.experiment, given)  # makes all checks that need no training
    record = SweepRecord(source=path.name, points=tuple(point.name for point in points))
    title = f"{points[0].experiment.name}: sweep of {', '.join(points[0].label)}"
    run = RunDirectory.create(
        out, record, name=f"{points[0].experiment.name}-sweep", seed=points[0].experiment.seed, resume=resume, threads=1,
        identity=program_identity(),
    )  # fmt: skip
    with run.locked():
        say(f"run folder of the sweep: {run.path}")
        results = []
        for number, point in enumerate(points, start=1):
            say(f"\npoint {number} of {len(points)}: {point.name}")
            folder = run.path / point.folder
            begun = (folder / CONFIG).exists()
            outcome = estimate(point.experiment, out=folder, resume=begun, say=say, progress=progress, given=given)
            results.append(EstimatePoint(point.label, point.folder, outcome.results))
        comparison = Comparison(title, tuple(results))
        comparison.save(run)
        return comparison_table(results), write_comparison_report(run, comparison)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
