"""The whole estimate: prepare, Monte Carlo over chips and variants, results, report. It never computes a statistic itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from analog_sim.config import UserError
from analog_sim.random.streams import Streams
from analog_sim.threads import thread_policy
from analog_sim.tiles.tile import Tile
from learning.experiments.configs.estimate import Experiment
from learning.experiments.defaults.resumed import as_started
from learning.experiments.defaults.statements import assumed_values
from learning.experiments.estimation.chip import Chip, rehearsal, run_chip
from learning.experiments.estimation.chip_snapshot import ChipSnapshot, chip_snapshot
from learning.experiments.estimation.defaults import estimate_notes, with_compensation, with_epochs
from learning.experiments.estimation.prepared import (
    Prepared,
    check,
    identity_of,
    prepare_estimate,
    weights_part,
    with_learned,
)
from learning.experiments.estimation.studies import Variant, hardware_of, variants
from learning.experiments.monte_carlo.chance import chance_note
from learning.experiments.monte_carlo.evaluate import Task, View, run_tasks
from learning.experiments.monte_carlo.score import ACCURACY, Score, score_of
from learning.experiments.parallel.base import Parallel
from learning.experiments.parallel.loky import Loky
from learning.experiments.parallel.memory import release_memory
from learning.experiments.report.estimate.page import estimate_table, write_estimate_report
from learning.experiments.report.estimate.results import KEY, EstimateResults, estimate_columns
from learning.experiments.report.wording import readable, time_label
from learning.experiments.runs.compiling import ahead, compiling
from learning.experiments.runs.network_file import NETWORK_FILE, save_network
from learning.experiments.runs.result_log import ResultLog, Row
from learning.experiments.runs.run_folder import RunDirectory
from learning.torch_bridge.arrays import set_torch_threads
from learning.torch_bridge.convert import Plan
from learning.torch_bridge.source import GivenSource

FREE = ("parallel", "chips", "sensitivity")
"""Keys that may differ when a run is resumed: no finished task depends on them."""

CHIPS = "chips"
"""Folder of a run with a folder for each of its chips, where these are recorded."""


@dataclass(frozen=True)
class Outcome:
    """An estimate that has ended: its results, the printed table, and the report's path."""

    results: EstimateResults
    table: str
    report: Path


def estimate(
    experiment: Experiment,
    *,
    out: Path | None = None,
    resume: bool = False,
    chip: int | None = None,
    say: Callable[[str], None] = print,
    progress: bool = True,
    command: Sequence[str] | None = None,
    given: GivenSource | None = None,
    place: tuple[int, int] = (1, 1),
) -> Outcome:
    """Estimate accuracy over time on emulated chips.

    Args:
        experiment: what to do. out: run folder (default: under runs/). resume: go on with the run there.
        chip: run only this one, as it would be among all. say: gets lines of progress. progress: show a bar.
        command: command line, for the record. given: the module, where the experiment names one that is no file.
        place: which of how many estimates in a row this is.

    Raises:
        UserError: anything the user can mend; all that can be checked is checked before any work.
    """
    if resume:
        experiment = as_started(experiment, out, FREE)
    experiment = with_learned(with_compensation(experiment, hardware_of(experiment)))
    points = variants(experiment)
    check_variants(points)
    with thread_policy(1):
        set_torch_threads(1)
        checked = check(experiment, given, say)
        experiment = with_epochs(experiment, len(checked.data.x_train))
        identity, score = identity_of(experiment, checked), score_of(checked.data.targets)
        run = RunDirectory.create(
            out, experiment, name=experiment.name, seed=experiment.seed, resume=resume, free=FREE, identity=identity,
            command=command, threads=1,
        )  # fmt: skip
        experiment.chip.reach()
        with run.locked():
            say(f"run folder: {run.path}")
            nominal = points[0]
            with ahead("estimate", partial(rehearsal, nominal)):
                prepared = prepare_estimate(experiment, checked, say)
            del checked  # with a second copy of the network
            release_memory()
            run.bind(identity.with_parts(weights_part(prepared.weights)))
            if (learned := prepared.learned(experiment)) is not None:
                save_network(run.path / NETWORK_FILE, learned)
            known = chance_note(score, prepared.digital[score.key], prepared.y_test, "the digital network")
            notes = (*known, *prepared.notes, *estimate_notes(experiment, nominal.hardware))
            for note in notes:
                say(f"note: {readable(note)}")
            tasks = _tasks(points, chip)
            chips = run.path / CHIPS if experiment.chip.of_estimates else None
            where, made = _where(experiment), dict[int, Chip]()
            with compiling("estimate", say):  # compiles every kernel, before workers would
                face = chip_snapshot(prepared, nominal, _first(tasks), chips, made if where.in_process else None)
            release_memory()
            log = run.log("metrics", estimate_columns(prepared.layers, score), KEY)
            refuse_other_times(log, tasks)
            if log.finished(tasks[0].key):
                made.clear()
            rows = run_tasks(
                partial(run_chip, prepared, folders=chips, made=made), tasks, results=log, parallel=where, progress=progress,
                view=view_of(points, place, score), identity=identity,
            )  # fmt: skip
            results = _results(experiment, prepared, rows, face, notes, score)
            results.save(run)
            return Outcome(results, estimate_table(results).text(), write_estimate_report(run, results))


def _results(
    experiment: Experiment,
    prepared: Prepared,
    rows: list[Row],
    face: ChipSnapshot,
    notes: tuple[str, ...],
    score: Score,
) -> EstimateResults:
    """All that the table and the report show."""
    return EstimateResults(
        title=experiment.name,
        rows=rows,
        layers=prepared.layers,
        digital=prepared.digital,
        n_test=len(prepared.y_test),
        threshold=experiment.yield_threshold.value(prepared.digital[score.key], score.bounds[0]),
        transfer=face.transfer,
        maps=face.maps,
        drops=face.drops,
        costs=face.costs,
        notes=notes,
        converged=None if prepared.convergence is None else prepared.convergence.reached,
        assumed=assumed_values([experiment.device]),
        score=score,
    )


def _where(experiment: Experiment) -> Parallel:
    """Where chips run: a chip that is there once serves one number at a time."""
    return Loky(jobs=1) if experiment.chip.shared else experiment.parallel


def _tasks(points: Sequence[Variant], chip: int | None) -> list[Task]:
    """Every chip of every variant; only the one, where one is asked for."""
    return [
        Task({"study": v.study, "value": v.value, "chip": number}, (v,))
        for v in points
        for number in (range(v.chips) if chip is None else [chip])
    ]


def _first(tasks: Sequence[Task]) -> int:
    """The lowest number of a chip."""
    return min(int(task.key["chip"] or 0) for task in tasks)


def view_of(points: Sequence[Variant], place: tuple[int, int] = (1, 1), score: Score = ACCURACY) -> View:
    """How the progress of an estimate is shown: the chips that were asked for, and apart from them the studies on some of them."""
    variants_of, chips = len(points) - 1, points[-1].chips
    studies = f"{variants_of} variant{'s' if variants_of != 1 else ''} x {chips} chip{'s' if chips != 1 else ''}"

    def group(task: Task) -> str:
        return "" if task.key["study"] == "nominal" else studies

    def note(rows: Sequence[Row]) -> str:
        last = max((float(row["time_s"] or 0.0) for row in rows), default=0.0)
        found = [float(row[score.key] or 0.0) for row in rows if row["time_s"] == last]
        named = "" if score.unit else f"{score.name} "
        return f"mean {named}{score.shown(sum(found) / len(found))} at {time_label(last)}" if found else ""

    return View(group=group, note=note, place=place)


def refuse_other_times(log: ResultLog, tasks: Sequence[Task]) -> None:
    """Refuse finished tasks that were measured at other times than are asked for now.

    Raises:
        UserError: naming the first such task.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    for row in log.rows:
        found.setdefault(log.key_of(row), []).append(float(row["time_s"] or 0.0))
    for task in tasks:
        before, now = found.get(log.key_of(task.key)), list(task.args[0].times)
        if before is not None and before != now:
            was, wanted = (", ".join(map(time_label, times)) for times in (before, now))
            raise UserError(
                f"{log.path}: cannot resume, {task} was measured at {was}, now asked for at {wanted}; choose another --out"
            )


def check_variants(points: Sequence[Variant]) -> None:
    """Make a tile of each variant's hardware, so that settings that contradict each other show before any work.

    Raises:
        UserError: a variant that makes no tile, named when it is not the configured one.
    """
    for point in points:
        try:
            Tile(point.hardware.tile, point.hardware.cell, (1, 1), Streams(0))
        except UserError as error:
            where = "" if point.study == "nominal" else f"sensitivity, {point.study} = {point.value}: "
            raise UserError(f"{where}{error}") from error


def describe(experiment: Experiment, given: GivenSource | None = None, known: dict[str, Plan] | None = None) -> str:
    """Say what an estimate would do, after all checks that need no training; given: as in `estimate`, known: as in `check`.

    Raises UserError.
    """
    hardware = hardware_of(experiment)
    experiment = with_learned(with_compensation(experiment, hardware))
    points = variants(experiment)
    check_variants(points)
    checked = check(experiment, given, known=known)
    data, plan = checked.data, checked.plan
    studies = sorted({point.study for point in points[1:]})
    lines = [
        f"data      {data.name}: {len(data.x_train)} training and {len(data.x_test)} test images",
        *(
            f"layer     {layer.name}: {layer.kind}, {len(layer.shapes)} x {layer.shapes[0][0]} x {layer.shapes[0][1]} weights"
            for layer in plan.layers
        ),
        *(f"note      {note}" for note in (*plan.notes, *estimate_notes(experiment, hardware))),
        f"device    {experiment.device.name}",
        f"times     {', '.join(map(time_label, experiment.times))}",
        f"chips     {experiment.chips}",
        f"studies   {', '.join(studies) or 'none'}: {len(points) - 1} variants on {experiment.study_chips} chips",
        f"workers   {experiment.parallel.workers}",
    ]
    return "\n".join(lines)
