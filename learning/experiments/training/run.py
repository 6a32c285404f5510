"""A whole training run: every arm on every seed with its ideal digital twin, the comparison table, the report. It never trains itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analog_sim.chip.backends.replay import Replay
from analog_sim.config import UserError
from learning.common.identity import Identity, digest, files_of, program_identity
from learning.experiments.configs.train import TrainExperiment, arms_of, twin_of
from learning.experiments.defaults.resumed import as_started
from learning.experiments.defaults.settled import Decisions, checked_decisions, decide, settled, training_notes
from learning.experiments.defaults.statements import assumed_values
from learning.experiments.monte_carlo.evaluate import Task, View, run_tasks
from learning.experiments.monte_carlo.score import Score, score_of
from learning.experiments.parallel.base import Parallel
from learning.experiments.parallel.loky import Loky
from learning.experiments.report.tables import Table
from learning.experiments.report.training.page import write_training_report
from learning.experiments.report.training.results import (
    LAYER_COLUMNS,
    OF_AN_ARM,
    ConductanceHistory,
    Divergence,
    TrainingResults,
    curve_columns,
)
from learning.experiments.report.wording import readable
from learning.experiments.runs.compiling import compiling
from learning.experiments.runs.files import (
    JsonRecord,
    checked_record,
    read_arrays,
    read_json,
    take,
    write_text,
    writing,
)
from learning.experiments.runs.network_file import NETWORK_FILE, save_network
from learning.experiments.runs.result_log import ResultLog, Row, read_rows
from learning.experiments.runs.run_folder import RunDirectory
from learning.experiments.training.chip import check, with_start
from learning.experiments.training.comparison import comparison, last_rows, mean, of_the_twins
from learning.experiments.training.data import TrainData, same_data, training_data
from learning.experiments.training.live import best_row, watcher
from learning.experiments.training.trainer import LAYER, Trainer

TWIN = "ideal digital twin"
FREE = ("parallel",)
"""Keys that may differ when a run is resumed."""
DECISIONS = "decisions"
"""File of what was decided for what the arms leave to their cells: decisions.json."""
ARM = "arm"
"""File of an arm and seed that has ended: arm.json."""
LONGEST_NAME = 200
"""Bytes of an arm's name that name its folder: file systems take 255."""
SEALED = (
    "the chip showed nothing of its inside: gradient alignment, correlations of the layers' inputs, conductances and energy are left out; "
    "evaluations were reads of the chip itself, counted and timed."
)
CLIPPED_SHARE = 0.01
"""Share of samples that asked for more pulses than could be sent, above which the report says so."""
Say = Callable[[str], None]


class Ending(JsonRecord):
    """Where an arm's loss was no longer finite."""

    sample: int
    message: str


class ArmRecord(JsonRecord):
    """What an arm and seed left beside its rows: where it diverged, facts of each tile's write scheme, names of its arrays.

    `content` is the digest of its rows.
    """

    diverged: Ending | None
    writing: dict[str, dict[str, float]]
    arrays: list[str]
    content: str


@dataclass(frozen=True)
class Plan:
    """What a run consists of.

    Attributes:
        arms: name -> experiment, settled, twins included. twins: arm -> name of its twin.
        decisions: arm -> what was decided for what it leaves to its cells. notes: sentences on that and on other defaults.
    """

    arms: dict[str, TrainExperiment]
    twins: dict[str, str]
    decisions: dict[str, dict[str, Any]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a run ended with.

    Attributes:
        table: the comparison. report: path of the page. results: what both were made of.
        all_diverged: whether no arm came to its end on any seed; the ideal digital twins do not count.
    """

    table: Table
    report: Path
    results: TrainingResults
    all_diverged: bool


def plan(experiment: TrainExperiment, decided: Mapping[str, Any] | None = None) -> Plan:
    """Work out arms and twins; arms whose twins are the same experiment share one.

    Args:
        experiment: what to do. decided: arm -> decisions of the same run when it was started; others are made now.

    Raises:
        UserError: arms that make no experiment, or that would share a name or a folder.
    """
    asked = {name: with_start(arm) for name, arm in arms_of(experiment).items()}
    decisions = {name: (decided or {}).get(name, decide(arm)) for name, arm in asked.items()}
    arms = {name: settled(arm, decisions[name]) for name, arm in asked.items()}
    notes = dict.fromkeys(note for name, arm in asked.items() for note in training_notes(arm, arms[name]))
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
    found = {**dict(names), **arms}
    if len(found) < len(names) + len(arms):
        raise UserError(f"arms: the name '{TWIN}' is taken by the twin; choose another")
    check_folders(found)
    return Plan(found, twins, decisions, tuple(notes))


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
    return "\n".join([*lines, *(f"  note: {note}" for note in todo.notes)])


def train(
    experiment: TrainExperiment, *, out: Path | None, resume: bool = False, say: Say = print, progress: bool = True
) -> Outcome:
    """Run all arms on all seeds and write tables and report.

    An arm whose loss is no longer finite stops, keeps its last checkpoint, and is marked in tables and report; the others go on.

    Args:
        experiment: what to do. out: run folder (default: under runs/). resume: go on with the run that is there.
        say: gets lines for the terminal; called in the worker processes too, with what their arms come to.
        progress: show how far it is.

    Raises:
        UserError: a mistake in the configuration.
    """
    if resume:
        experiment = as_started(experiment, out, FREE)
    todo = plan(experiment, _decided(out) if resume else None)
    data = training_data(experiment.dataset, experiment.validation)
    for setup in todo.arms.values():
        check(setup, data)
    identity = identity_of(todo.arms.values(), data)
    run = RunDirectory.create(
        out,
        experiment,
        name=experiment.name,
        seed=experiment.seeds[0],
        resume=resume,
        free=FREE,
        identity=identity,
    )
    chips = {setup.chip.model_dump_json(): setup.chip for setup in todo.arms.values() if setup.device is not None}
    for driven in chips.values():
        driven.reach()
    with run.locked():
        say(f"run folder: {run.path}")
        run.save_json(DECISIONS, todo.decisions)
        for note in todo.notes:
            say(f"note: {readable(note)}")
        score = score_of(data.targets)
        log = run.log("metrics", {**OF_AN_ARM, **curve_columns(score)}, key=("arm", "seed"))
        ideal = set(todo.twins.values())
        with compiling("train", say):
            for group in (ideal, set(todo.arms) - ideal):
                tasks = [
                    Task({"arm": name, "seed": seed}, (setup, run.path, todo.twins.get(name)))
                    for name, setup in todo.arms.items()
                    if name in group
                    for seed in experiment.seeds
                ]
                one = any(todo.arms[name].device is not None and todo.arms[name].chip.shared for name in group)
                parallel = (
                    Loky(jobs=1) if one else experiment.parallel
                )  # a chip that is there once serves one arm at a time
                _run_group(tasks, log, score, parallel, say, identity, progress)
        results = collect(experiment, todo, run)
        results.save(run)
        table = comparison(experiment.name, results, tuple(todo.arms), experiment.targets)
        with writing(run.path / "comparison.csv"):
            table.write_csv(run.path / "comparison.csv")
        write_text(run.path / "comparison.md", table.markdown())
        report = write_training_report(run, results)
    for found in results.diverged:
        say(f"{found.arm}, seed {found.seed}: {found.message}")
    for note in of_the_twins(results.curves, dict.fromkeys(todo.twins.values()), data.y_eval, score):
        say(f"note: {note}")
    ended = any(results.ended(arm) for arm in todo.arms if arm not in ideal)
    return Outcome(table, report, results, all_diverged=not ended)


def _decided(out: Path | None) -> Mapping[str, Decisions] | None:
    """Decisions of the run in `out`; None when it left none. Raises UserError."""
    found = None if out is None else RunDirectory(out).load_json(DECISIONS)
    return None if out is None or found is None else checked_decisions(found, out / f"{DECISIONS}.json")


def identity_of(arms: Iterable[TrainExperiment], data: TrainData) -> Identity:
    """What decides the results of arms beside their configuration: program, images, and files that they name. Raises UserError."""
    return (
        program_identity()
        .with_parts(data.source)
        .with_files({what: path for arm in arms for what, path in files_of(arm).items()})
    )


def _run_group(
    tasks: Sequence[Task],
    log: ResultLog,
    score: Score,
    parallel: Parallel,
    say: Say,
    identity: Identity,
    progress: bool,
) -> None:
    """Run arms that do not wait for each other; they say how they do wherever their output reaches this terminal."""
    local = len(tasks) == 1 or parallel.in_process or isinstance(parallel, Loky)
    places: dict[str, list[Path]] = {}
    for task in tasks:
        arm, seed = str(task.key["arm"]), int(task.key["seed"] or 0)
        places.setdefault(arm, []).append(place(task.args[1], arm, seed))
    one = len(places) == len(tasks)
    note = partial(best_row, score)
    view = View("arm" if one else "seed", lambda task: str(task.key["arm"]), note, watch=watcher(places, score))
    function = partial(train_one, say=say if local else None)
    run_tasks(function, tasks, results=log, parallel=parallel, progress=progress, view=view, identity=identity)


def train_one(task: Task, *, say: Say | None = None) -> list[Row]:
    """Train one arm on one seed; goes on from its checkpoint. When it diverges, the rows are those until then."""
    experiment, root, twin = task.args
    arm, seed = str(task.key["arm"]), int(task.key["seed"] or 0)
    data = training_data(experiment.dataset, experiment.validation)
    same_data(data, RunDirectory(root).load_json("identity") or {})
    prefix = f"{arm}, seed {seed}: "
    own = RunDirectory(place(root, arm, seed))
    with writing(own.path):
        own.path.mkdir(parents=True, exist_ok=True)
    with own.locked():  # a worker that a cluster has given up may still be at work on the same arm
        return _train(
            Trainer(experiment, data, seed, own.path),
            own,
            twin=_curve(root, twin, seed, score_of(data.targets)) if twin is not None else None,
            say=None if say is None else lambda line: say(prefix + line),
        )


def _train(trainer: Trainer, own: RunDirectory, *, twin: Mapping[int, float] | None, say: Say | None) -> list[Row]:
    """Train to the end and write the arm's files, the record last."""
    ending = None
    try:
        rows = trainer.run(twin=twin, say=say)
    except UserError as error:
        if not trainer.diverged:
            raise
        rows = trainer.curve.rows
        ending = Ending(sample=trainer.samples, message=str(error))
    else:
        if not isinstance(trainer.experiment.chip, Replay):  # the recorded run has left it
            save_network(own.path / NETWORK_FILE, trainer.learned())
    finally:
        trainer.close()
    histograms = {
        f"{part}.{name}": array
        for name, pair in trainer.histograms().items()
        for part, array in zip(("edges", "counts"), pair, strict=True)
    }
    if histograms:
        own.save_arrays("conductances", histograms)
    statistics = {name: tile.writing_statistics() for name, tile in trainer.network.tiles()}
    content = digest([rows, trainer.layers.rows])
    record = ArmRecord(diverged=ending, writing=statistics, arrays=list(histograms), content=content)
    own.save_json(ARM, record.model_dump())
    return rows


def place(root: Path, arm: str, seed: int) -> Path:
    """Folder of one arm and seed."""
    name = re.sub(r"[\W_]+", "_", arm).strip("_")
    if len(name.encode()) > LONGEST_NAME:
        start = name.encode()[: LONGEST_NAME - 13].decode(errors="ignore")
        name = f"{start}_{hashlib.sha256(arm.encode()).hexdigest()[:12]}"
    return root / "arms" / f"{name}-{seed}"


def check_folders(arms: Iterable[str]) -> None:
    """Check that every arm has a folder of its own. Raises UserError naming two that would share one."""
    seen: dict[str, str] = {}
    for arm in arms:
        folder = place(Path(), arm, 0).name.casefold()
        if folder in seen:
            raise UserError(
                f"arms: '{seen[folder]}' and '{arm}' would share one folder; let their names differ in letters or digits"
            )
        seen[folder] = arm


def _curve(root: Path, arm: str, seed: int, score: Score) -> dict[int, float]:
    path = place(root, arm, seed) / "metrics.csv"
    rows = read_rows(path, curve_columns(score)) if path.exists() else []
    return {int(row["samples"] or 0): float(row[score.key] or 0.0) for row in rows}


def collect(experiment: TrainExperiment, todo: Plan, run: RunDirectory) -> TrainingResults:
    """Put the arms' results together for the report, and write layers.csv.

    Raises:
        UserError: a file of an arm that has ended is missing or damaged.
    """
    data = training_data(experiment.dataset, experiment.validation)
    histories: list[ConductanceHistory] = []
    costs: dict[str, dict[str, float]] = {}
    records = {(arm, seed): _record(run, arm, seed) for arm in todo.arms for seed in experiment.seeds}
    diverged = tuple(
        Divergence(arm, seed, record.diverged.sample, record.diverged.message)
        for (arm, seed), record in records.items()
        if record.diverged is not None
    )
    score = score_of(data.targets)
    log = run.log("metrics", {**OF_AN_ARM, **curve_columns(score)}, key=("arm", "seed"))
    rows = _in_order(log.rows, todo, experiment.seeds)
    found = [
        {"arm": arm, "seed": seed, **row}
        for arm, seed in records
        for row in _layer_rows(place(run.path, arm, seed), records[arm, seed], score)
    ]
    layers = run.log("layers", LAYER_COLUMNS)
    layers.keep(lambda row: False)
    layers.append(found)
    for arm in todo.arms:
        histories += _histories(run, arm, experiment.seeds[0], records[arm, experiment.seeds[0]], score)
        broken = {found.seed for found in diverged if found.arm == arm}
        last = [row for row in last_rows(rows, arm) if row["seed"] not in broken]
        if last and last[0]["energy_J"] is not None:
            costs[arm] = _costs(last)
    notes = [data.note] if data.note else []
    notes += [f"{found.arm}, seed {found.seed}: {found.message}." for found in diverged]
    notes += _clipping(experiment, todo, records)
    notes += [
        f"{arm}: {SEALED}" for arm, setup in todo.arms.items() if setup.device is not None and not setup.chip.snapshots
    ]
    notes += [*of_the_twins(rows, dict.fromkeys(todo.twins.values()), data.y_eval, score), *todo.notes]
    if experiment.validation:
        what = "R2 is" if data.targets is not None else "Accuracy is"
        notes.append(f"{what} on {experiment.validation} held-out training samples, not on the test samples.")
    return TrainingResults(
        title=experiment.name,
        curves=rows,
        layers=layers.rows,
        n_test=len(data.y_eval),
        twins=todo.twins,
        conductances=tuple(histories),
        costs=costs,
        notes=tuple(notes),
        diverged=diverged,
        assumed=assumed_values(setup.device for setup in todo.arms.values() if setup.device is not None),
        score=score,
    )


def _layer_rows(folder: Path, record: ArmRecord, score: Score) -> list[Row]:
    """Rows of an arm's layers.csv. Raises UserError when its rows are not those that it ended with."""
    layers = read_rows(folder / "layers.csv", LAYER)
    if digest([read_rows(folder / "metrics.csv", curve_columns(score)), layers]) != record.content:
        raise UserError(f"{folder}: metrics.csv and layers.csv are not as they were when the arm ended; put them back")
    return layers


def _record(run: RunDirectory, arm: str, seed: int) -> ArmRecord:
    """What an arm that has ended left. Raises UserError when it is missing or damaged."""
    own = RunDirectory(place(run.path, arm, seed))
    path = own.path / f"{ARM}.json"
    remedy = (
        f"put {own.path} back, or delete the lines of arm '{arm}', seed {seed} from {run.path / 'metrics.csv'} and the folder, to "
        "have it trained again with --resume"
    )
    if not path.exists():
        raise UserError(f"{path}: is missing, though the arm has ended; {remedy}")
    return checked_record(path, read_json(path, remedy), ArmRecord, remedy)


def _histories(run: RunDirectory, arm: str, seed: int, record: ArmRecord, score: Score) -> list[ConductanceHistory]:
    """Histograms of an arm's conductances over its training. Raises UserError when they are missing or damaged."""
    folder = place(run.path, arm, seed)
    if not record.arrays:
        return []
    path, remedy = folder / "arrays" / "conductances.npz", f"put {folder} back"
    arrays = read_arrays(path, remedy)
    samples = np.array([int(row["samples"] or 0) for row in read_rows(folder / "metrics.csv", curve_columns(score))])
    return [
        ConductanceHistory(
            arm,
            name,
            samples,
            take(arrays, f"edges.{name}", 1, path, remedy),
            take(arrays, f"counts.{name}", 2, path, remedy),
        )
        for name in (key.removeprefix("edges.") for key in record.arrays if key.startswith("edges."))
    ]


def _in_order(rows: Sequence[Row], todo: Plan, seeds: Sequence[int]) -> list[Row]:
    """The rows arm by arm and seed by seed, whichever worker ended first."""
    place_of = {key: number for number, key in enumerate((arm, seed) for arm in todo.arms for seed in seeds)}
    return sorted(
        rows, key=lambda row: (place_of[(str(row["arm"]), int(row["seed"] or 0))], float(row["samples"] or 0))
    )


def _costs(last: Sequence[Row]) -> dict[str, float]:
    """What training cost, mean over the last rows of an arm's seeds."""
    seen = float(last[0]["samples"] or 0)
    return {
        "energy of the training (J)": mean(last, "energy_J"),
        "energy per sample (J)": mean(last, "energy_J") / seen,
        "chip time of the training (s)": mean(last, "chip_time_s"),
        "chip time per sample (s)": mean(last, "chip_time_s") / seen,
        "pulses": mean(last, "pulses"),
    }


def _clipping(experiment: TrainExperiment, todo: Plan, records: Mapping[tuple[str, int], ArmRecord]) -> list[str]:
    """A sentence for every arm whose learning rate asked for more pulses than its write scheme could send."""
    notes = []
    for arm in todo.arms:
        found: dict[str, float] = {}
        for seed in experiment.seeds:
            for tile, statistics in records[arm, seed].writing.items():
                found[tile] = max(found.get(tile, 0.0), statistics.get("clipped", 0.0))
        clipped = {tile: share for tile, share in found.items() if share > CLIPPED_SHARE}
        if clipped:
            shares = ", ".join(f"{100 * share:.1f} % at {tile}" for tile, share in clipped.items())
            notes.append(f"{arm}: the learning rate asked for more pulses than a pulse train can carry ({shares}).")
    return notes
