"""Search of settings with the same budget for every arm, on held-out training samples. It never sees the test samples."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from analog_sim.config import ConfigError, Location, Problem, UserError, discover, override
from learning.decorrelation.base import Method
from learning.experiments.configs.train import TrainExperiment, arms_of
from learning.experiments.defaults.resumed import as_started
from learning.experiments.defaults.settled import settled
from learning.experiments.monte_carlo.evaluate import Task, View, run_tasks
from learning.experiments.monte_carlo.score import ACCURACY, Score, score_of
from learning.experiments.report.tables import Table
from learning.experiments.report.training.search_page import write_search_report
from learning.experiments.runs.compiling import compiling
from learning.experiments.runs.files import write_text, writing
from learning.experiments.runs.result_log import Row
from learning.experiments.runs.run_folder import RunDirectory
from learning.experiments.runs.run_lock import run_lock
from learning.experiments.training.chip import check
from learning.experiments.training.data import same_data, training_data
from learning.experiments.training.live import best_row
from learning.experiments.training.run import FREE, check_folders, identity_of, place
from learning.experiments.training.trainer import Trainer


def columns(score: Score) -> dict[str, type]:
    """Columns of search.csv; the score is that at the end, on the held-out samples, empty when training diverged."""
    return {
        "arm": str,
        "setting": str,  # JSON: dotted key -> value
        "seed": int,
        **dict.fromkeys(score.columns, float),
        "loss": float,
        "message": str,
    }


Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """What a search ended with: table of all candidates, best setting of every arm, and where it was written."""

    table: Table
    best: dict[str, dict[str, Any]]
    file: Path


def search(
    experiment: TrainExperiment,
    grid: Mapping[str, Sequence[Any]],
    *,
    only: Sequence[str] = (),
    out: Path | None,
    resume: bool = False,
    command: str = "",
    say: Say = print,
) -> Found:
    """Try every combination of `grid` on every arm; the best mean accuracy, or R2, over the seeds wins.

    Args:
        experiment: with `validation` > 0. grid: dotted key -> values. only: names of the arms to search for; none for all.
        out, resume: the folder, as for training.
        command: for the record in best.yaml. say: gets lines for the terminal.

    Raises:
        UserError: no held-out samples, an empty grid, no such arm, or a setting that is not allowed.
    """
    if experiment.validation < 1:
        raise UserError("validation: a search needs held-out training samples; allowed: at least 1 (got 0)")
    if not grid or not all(grid.values()):
        raise UserError("search: needs at least one key with at least one value")
    if resume:
        experiment = as_started(experiment, out, FREE)
    arms = {
        (name, json.dumps(setting)): settled(_changed(name, arm, setting))
        for name, arm in _chosen(arms_of(experiment), only).items()
        for setting in settings_of(arm, grid)
    }
    check_folders(f"{arm} {setting}" for arm, setting in arms)
    data = training_data(experiment.dataset, experiment.validation)
    for setup in arms.values():
        check(setup, data)
    identity = identity_of(arms.values(), data)
    run = RunDirectory.create(
        out, experiment, name=f"{experiment.name}-search", seed=experiment.seeds[0], resume=resume, free=FREE,
        identity=identity,
    )  # fmt: skip
    with run.locked():
        say(f"run folder: {run.path}; {len(arms)} candidates of {len({arm for arm, _ in arms})} arms")
        score = score_of(data.targets)
        log = run.log("search", columns(score), key=("arm", "setting", "seed"))
        tasks = [
            Task({"arm": arm, "setting": setting, "seed": seed}, (setup, run.path))
            for (arm, setting), setup in arms.items()
            for seed in experiment.seeds
        ]
        view = View("run", lambda task: str(task.key["arm"]), partial(best_row, score))
        with compiling("train", say):
            rows = run_tasks(_try, tasks, results=log, parallel=experiment.parallel, view=view, identity=identity)
        table, best = judge(rows, score)
        file = run.path / "best.yaml"
        write_text(
            file, f"# {command}\n" + yaml.safe_dump([{"name": a, "set": s} for a, s in best.items()], sort_keys=False)
        )
        with writing(run.path / "candidates.csv"):
            table.write_csv(run.path / "candidates.csv")
        say(f"report: {write_search_report(run, table, best, list(grid), score)}")
    return Found(table, best, file)


def _chosen(arms: Mapping[str, TrainExperiment], only: Sequence[str]) -> dict[str, TrainExperiment]:
    """The arms called for, in their order. Raises UserError for a name that is not there."""
    for name in only:
        if name not in arms:
            raise UserError(f"search: no arm is called '{name}'; there are {', '.join(arms)}")
    return {name: arm for name, arm in arms.items() if not only or name in only}


def settings_of(arm: TrainExperiment, grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The candidates of one arm, as many as of every other.

    An arm without decorrelation, or whose method has no such key, has no use for it: it is left out, and when one key with positive
    numbers remains its range is tried in as many geometric steps instead.
    """
    total = math.prod(len(values) for values in grid.values())
    fitting = {key: list(values) for key, values in grid.items() if not _useless(arm, key)}
    if len(fitting) == 1 and len(fitting) < len(grid):
        ((key, values),) = fitting.items()
        if all(isinstance(value, int | float) and value > 0 for value in values):
            steps = np.geomspace(min(values), max(values), total)
            fitting = {key: [float(f"{value:.3g}") for value in steps]}
    return [dict(zip(fitting, values, strict=True)) for values in itertools.product(*fitting.values())]


def _useless(arm: TrainExperiment, key: str) -> bool:
    """Whether a key is of some decorrelation but not of this arm's."""
    section, _, name = key.partition(".")
    if section != "decorrelation" or arm.decorrelation is None:
        return section == "decorrelation"
    parameter = name.removeprefix("method.")
    methods = discover("learning.decorrelation", Method)  # type: ignore[type-abstract]
    known = {field for method in methods.values() for field in method.model_fields}
    return name != parameter and parameter in known - set(type(arm.decorrelation.method).model_fields)


def _changed(name: str, arm: TrainExperiment, setting: Mapping[str, Any]) -> TrainExperiment:
    changed = arm.model_copy(update={"twin": None})
    try:
        return override(changed, [f"{key}={json.dumps(value)}" for key, value in setting.items()])
    except ConfigError as error:
        where = Location(f"search, arm {name}")
        raise ConfigError([Problem(where, problem.path, problem.message) for problem in error.problems]) from error


def _try(task: Task) -> Row:
    experiment, root = task.args
    data = training_data(experiment.dataset, experiment.validation)
    same_data(data, RunDirectory(root).load_json("identity") or {})
    arm, setting, seed = str(task.key["arm"]), str(task.key["setting"]), int(task.key["seed"] or 0)
    folder = place(root, f"{arm} {setting}", seed)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with run_lock(folder):
        trainer = Trainer(experiment, data, seed, folder)
        try:
            last = trainer.run()[-1]
        except UserError as error:
            if trainer.diverged:
                nothing = dict.fromkeys((*trainer.score.columns, "loss"), None)
                return {**nothing, "message": str(error).partition(";")[0]}
            raise
    return {**{name: last[name] for name in (*trainer.score.columns, "loss")}, "message": ""}


def judge(rows: Sequence[Row], score: Score = ACCURACY) -> tuple[Table, dict[str, dict[str, Any]]]:
    """Table of all candidates and the best setting of each arm; a setting that diverged on any seed cannot win."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((str(row["arm"]), str(row["setting"])), []).append(row)
    scores = {
        key: float("-inf")
        if any(row[score.key] is None for row in group)
        else float(np.mean([float(row[score.key] or 0.0) for row in group]))
        for key, group in groups.items()
    }
    best: dict[str, dict[str, Any]] = {}
    lines = []
    for arm in dict.fromkeys(arm for arm, _ in groups):
        mine = [key for key in groups if key[0] == arm]
        winner = max(mine, key=lambda key: scores[key])
        if scores[winner] > float("-inf"):
            best[arm] = json.loads(winner[1])
        for key in mine:
            text = "diverged" if scores[key] == float("-inf") else score.number(scores[key])
            setting = ", ".join(f"{name}={value}" for name, value in json.loads(key[1]).items())
            lines.append((arm, setting, text, "best" if key == winner and text != "diverged" else ""))
    caption = f"{score.heading} on held-out training samples, mean over seeds"
    return Table(("arm", "setting", score.name, "best"), tuple(lines), caption), best
