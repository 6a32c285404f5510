"""A whole training run: every arm on every seed with its ideal digital twin, the comparison table, the report. It never trains itself."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from analog_sim.config import UserError
from learning.evaluate import Task, run_tasks
from learning.report.tables import Table
from learning.report.training import write_training_report
from learning.report.training_results import CURVE_COLUMNS, LAYER_COLUMNS, ConductanceHistory, TrainingResults
from learning.result_log import Row, read_rows
from learning.runs import RunDirectory
from learning.train_experiment import TrainExperiment, arms_of, twin_of
from learning.trainer import CURVE, LAYER, Trainer
from learning.training.chip import check
from learning.training.data import training_data

TWIN = "ideal digital twin"
CLIPPED_SHARE = 0.01
"""Share of samples that asked for more pulses than could be sent, above which the report says so."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a run consists of.

    Attributes:
        arms: name -> experiment, twins included. twins: arm -> name of its twin.
    """

    arms: dict[str, TrainExperiment]
    twins: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: the comparison and the path of the report."""

    table: Table
    report: Path
    results: TrainingResults


def plan(experiment: TrainExperiment) -> Plan:
    """Work out arms and twins; arms whose twins are the same experiment share one. Raises ConfigError."""
    arms = arms_of(experiment)
    names: list[tuple[str, TrainExperiment]] = []
    twins: dict[str, str] = {}
    for arm, setup in arms.items():
        twin = twin_of(setup)
        if twin is None:
            continue
        known = next((name for name, other in names if other == twin), None)
        if known is None:
            known = TWIN if not names else f"{TWIN} {len(names) + 1}"
            names.append((known, twin))
        twins[arm] = known
    return Plan({**dict(names), **arms}, twins)


def describe(experiment: TrainExperiment) -> str:
    """Check everything and say what a run would do. Raises UserError."""
    todo = plan(experiment)
    data = training_data(experiment.dataset, experiment.validation)
    for setup in todo.arms.values():
        check(setup, data)
    lines = [f"{experiment.name}: {len(todo.arms)} arms x {len(experiment.seeds)} seeds"]
    for name, setup in todo.arms.items():
        batches = setup.epochs * (len(data.x) // setup.batch)
        card = setup.device.name if setup.device is not None else "digital"
        lines.append(
            f"  {name}: {setup.rule.kind}, {card}, learning rate {setup.learning_rate:g}, {batches:.0f} batches of {setup.batch}"
        )
    return "\n".join(lines)


def train(experiment: TrainExperiment, *, out: Path | None, resume: bool = False, say: Say = print) -> Outcome:
    """Run all arms on all seeds and write tables and report.

    Args:
        experiment: what to do. out: run folder (default: under runs/). resume: go on with the run that is there.
        say: gets lines for the terminal.

    Raises:
        UserError: a mistake in the configuration, or training diverged (the other arms are finished first).
    """
    todo = plan(experiment)
    data = training_data(experiment.dataset, experiment.validation)
    for setup in todo.arms.values():
        check(setup, data)
    run = RunDirectory.create(
        out, experiment, name=experiment.name, seed=experiment.seeds[0], resume=resume, free=("parallel",)
    )
    with run.locked():
        say(f"run folder: {run.path}")
        log = run.log("metrics", CURVE_COLUMNS, key=("arm", "seed"))
        ideal = set(todo.twins.values())
        for group in (ideal, set(todo.arms) - ideal):
            tasks = [
                Task({"arm": name, "seed": seed}, (setup, run.path, todo.twins.get(name)))
                for name, setup in todo.arms.items()
                if name in group
                for seed in experiment.seeds
            ]
            if tasks:
                one = len(tasks) == 1 or experiment.parallel.in_process
                function = partial(train_one, say=say if one else None)
                run_tasks(
                    function, tasks, results=log, parallel=experiment.parallel, progress=len(tasks) > 1, unit="arm"
                )
        results = collect(experiment, todo, run)
        results.save(run)
        table = comparison(experiment, todo, results.curves)
        table.write_csv(run.path / "comparison.csv")
        (run.path / "comparison.md").write_text(markdown(table), encoding="utf-8")
        report = write_training_report(run, results)
    return Outcome(table, report, results)


def train_one(task: Task, *, say: Say | None = None) -> list[Row]:
    """Train one arm on one seed; goes on from its checkpoint."""
    experiment, root, twin = task.args
    arm, seed = str(task.key["arm"]), int(task.key["seed"] or 0)
    data = training_data(experiment.dataset, experiment.validation)
    ideal = _curve(root, twin, seed) if twin is not None else None
    prefix = f"{arm}, seed {seed}: "
    trainer = Trainer(experiment, data, seed, place(root, arm, seed))
    show = say is not None and sys.stderr.isatty()
    rows = trainer.run(twin=ideal, progress=show, say=None if say is None else lambda line: say(prefix + line))
    own = RunDirectory(place(root, arm, seed))
    own.save_json("writing", {name: tile.writing_statistics() for name, tile in trainer.network.tiles()})
    histograms = {
        f"{part}.{name}": array
        for name, pair in trainer.histograms().items()
        for part, array in zip(("edges", "counts"), pair, strict=True)
    }
    if histograms:
        own.save_arrays("conductances", histograms)
    return rows


def place(root: Path, arm: str, seed: int) -> Path:
    """Folder of one arm and seed."""
    return root / "arms" / f"{re.sub(r'[^A-Za-z0-9]+', '_', arm).strip('_')}-{seed}"


def _curve(root: Path, arm: str, seed: int) -> dict[int, float]:
    path = place(root, arm, seed) / "metrics.csv"
    rows = read_rows(path, CURVE) if path.exists() else []
    return {int(row["samples"] or 0): float(row["accuracy"] or 0.0) for row in rows}


def collect(experiment: TrainExperiment, todo: Plan, run: RunDirectory) -> TrainingResults:
    """Put the arms' results together for the report, and write layers.csv."""
    data = training_data(experiment.dataset, experiment.validation)
    layers = run.log("layers", LAYER_COLUMNS)
    layers.keep(lambda row: False)
    histories: list[ConductanceHistory] = []
    costs: dict[str, dict[str, float]] = {}
    log = run.log("metrics", CURVE_COLUMNS, key=("arm", "seed"))
    for arm in todo.arms:
        for number, seed in enumerate(experiment.seeds):
            folder = place(run.path, arm, seed)
            layers.append({"arm": arm, "seed": seed, **row} for row in read_rows(folder / "layers.csv", LAYER))
            arrays = RunDirectory(folder).load_arrays("conductances") if number == 0 else None
            if arrays is not None:
                samples = np.array([int(row["samples"] or 0) for row in read_rows(folder / "metrics.csv", CURVE)])
                histories += [
                    ConductanceHistory(
                        arm, key[len("edges.") :], samples, edges, arrays[f"counts.{key[len('edges.') :]}"]
                    )
                    for key, edges in arrays.items()
                    if key.startswith("edges.")
                ]
        last = [log.select(arm=arm, seed=seed)[-1] for seed in experiment.seeds]
        if last[0]["energy_J"] is not None:
            seen = float(last[0]["samples"] or 0)
            costs[arm] = {
                "energy of the training (J)": _mean(last, "energy_J"),
                "energy per sample (J)": _mean(last, "energy_J") / seen,
                "chip time of the training (s)": _mean(last, "chip_time_s"),
                "chip time per sample (s)": _mean(last, "chip_time_s") / seen,
                "pulses": _mean(last, "pulses"),
            }
    notes = [data.note] if data.note else []
    notes += _clipping(experiment, todo, run)
    if experiment.validation:
        notes.append(f"Accuracy is on {experiment.validation} held-out training images, not on the test images.")
    return TrainingResults(
        experiment.name, log.rows, layers.rows, len(data.y_eval), todo.twins, tuple(histories), costs, tuple(notes)
    )


def _clipping(experiment: TrainExperiment, todo: Plan, run: RunDirectory) -> list[str]:
    """A sentence for every arm whose learning rate asked for more pulses than its write scheme could send."""
    notes = []
    for arm in todo.arms:
        found: dict[str, float] = {}
        for seed in experiment.seeds:
            for tile, statistics in (RunDirectory(place(run.path, arm, seed)).load_json("writing") or {}).items():
                found[tile] = max(found.get(tile, 0.0), statistics.get("clipped", 0.0))
        clipped = {tile: share for tile, share in found.items() if share > CLIPPED_SHARE}
        if clipped:
            shares = ", ".join(f"{100 * share:.1f} % at {tile}" for tile, share in clipped.items())
            notes.append(f"{arm}: the learning rate asked for more pulses than a pulse train can carry ({shares}).")
    return notes


def _mean(rows: Sequence[Row], column: str) -> float:
    return float(np.mean([float(row[column] or 0.0) for row in rows]))


def comparison(experiment: TrainExperiment, todo: Plan, curves: Sequence[Row]) -> Table:
    """One row per arm: accuracy at the end (mean and standard deviation over seeds), best, and samples to each target."""
    header = ["arm", "seeds", "accuracy %", "sd", "best %", "vs twin", "pulses", "chip time s"]
    header += [f"samples to {100 * target:g} %" for target in experiment.targets]
    rows = []
    ends = {arm: _ends(curves, arm) for arm in todo.arms}
    for arm in todo.arms:
        end = ends[arm]
        values = np.array([float(row["accuracy"] or 0.0) for row in end])
        best = [
            max(float(r["accuracy"] or 0.0) for r in curves if r["arm"] == arm and r["seed"] == row["seed"])
            for row in end
        ]
        twin = todo.twins.get(arm)
        ideal = np.mean([float(row["accuracy"] or 0.0) for row in ends[twin]]) if twin is not None else None
        cells = [
            arm,
            str(len(end)),
            f"{100 * values.mean():.2f}",
            f"{100 * values.std(ddof=1):.2f}" if len(values) > 1 else "",
            f"{100 * np.mean(best):.2f}",
            "" if ideal is None else f"{100 * (values.mean() - ideal):+.2f}",
            "" if end[0]["pulses"] is None else f"{_mean(end, 'pulses'):.3g}",
            "" if end[0]["chip_time_s"] is None else f"{_mean(end, 'chip_time_s'):.3g}",
        ]
        for target in experiment.targets:
            needed = [first_reaching(curves, arm, row["seed"], target) for row in end]
            reached = [n for n in needed if n is not None]
            share = "" if len(reached) == len(needed) else f" ({len(reached)} of {len(needed)} seeds)"
            cells.append(f"{np.mean(reached):.0f}{share}" if reached else "not reached")
        rows.append(tuple(cells))
    return Table(tuple(header), tuple(rows), f"{experiment.name}: at the end of training; sd over seeds")


def first_reaching(curves: Sequence[Row], arm: str, seed: object, target: float) -> float | None:
    """Samples at which an arm's accuracy first reaches `target`, linear between evaluations; None when it never does."""
    points = [
        (float(row["samples"] or 0), float(row["accuracy"] or 0.0))
        for row in curves
        if row["arm"] == arm and row["seed"] == seed
    ]
    before: tuple[float, float] | None = None
    for samples, value in sorted(points):
        if value >= target:
            if before is None or value == before[1]:
                return samples
            return before[0] + (samples - before[0]) * (target - before[1]) / (value - before[1])
        before = (samples, value)
    return None


def _ends(curves: Sequence[Row], arm: str) -> list[Row]:
    last: dict[object, Row] = {}
    for row in curves:
        if row["arm"] == arm:
            known = last.get(row["seed"])
            if known is None or float(row["samples"] or 0) >= float(known["samples"] or 0):
                last[row["seed"]] = row
    if not last:
        raise UserError(f"no results of arm '{arm}'")
    return list(last.values())


def markdown(table: Table) -> str:
    """The table in Markdown."""
    lines = [table.caption, "", "| " + " | ".join(table.header) + " |", "|---" * len(table.header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def read_comparison(path: Path) -> list[dict[str, str]]:
    """Rows of comparison.csv as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
