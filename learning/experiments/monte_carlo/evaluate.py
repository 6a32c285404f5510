"""Monte Carlo: run one function over many tasks (chips, sweep points) in parallel, and log what each returns.

A task is known by its key, `{"chip": 3, "study": "adc_bits", "value": "6"}`. Its rows are on the disk as soon as it has
ended; a run that goes on after an interruption skips the tasks in the log. Results depend on the task alone, never on
the order or the number of workers. It never draws a random number: a task's function derives its own streams from
(seed, chip).
"""

from __future__ import annotations

import os
import socket
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, cast

import joblib

from analog_sim.archive import one_line
from analog_sim.config import UserError
from analog_sim.threads import limit_worker
from learning.common.identity import Identity, program_digest
from learning.experiments.monte_carlo.progress import Board, Group, Shown, Underway
from learning.experiments.monte_carlo.worker import end_with_parent, print_anything, warn_in_lines
from learning.experiments.parallel.base import Parallel
from learning.experiments.parallel.loky import Loky
from learning.experiments.runs.result_log import ResultLog, Row, Value

MAX_FAILURES = 3
"""A run goes on after a failed task, so that one bad chip does not cost a night; after this many it stops."""


@dataclass(frozen=True)
class Task:
    """One unit of work.

    Attributes:
        key: value of every key column of the log. args: whatever the function needs beside it; must be picklable.
    """

    key: Mapping[str, Value]
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{name} = {value}" for name, value in self.key.items() if value != "")


@dataclass(frozen=True)
class View:
    """How the progress of tasks is shown.

    Attributes:
        unit: what is counted, in the singular. group: task -> name of the group that it is counted in; "" for the only one.
        note: what to show beside a group, from all its rows so far. title: what runs. place: which of how many such runs in a row this is.
        watch: asked now and then what the tasks at work have come to: group -> units done in them, and a note.
    """

    unit: str = "chip"
    group: Callable[[Task], str] = lambda task: ""
    note: Callable[[Sequence[Row]], str] | None = None
    title: str = ""
    place: tuple[int, int] = (1, 1)
    watch: Callable[[], Mapping[str, Underway]] | None = None

    def board(self, tasks: Sequence[Task], results: ResultLog, shown: Shown) -> Board:
        """The board of tasks, those in the log done."""
        groups: dict[str, Group] = {}
        for task in tasks:
            group = groups.setdefault(self.group(task), Group(0))
            group.total += 1
            group.done += results.finished(task.key)
        return Board(groups, self.unit, shown, self.title, self.place, self.watch)


@dataclass(frozen=True)
class Failure:
    """A task that raised: its identity, the exception's text, the traceback, and whether the user can mend it."""

    task: str
    message: str
    traceback: str
    user_error: bool


class TaskFailed(RuntimeError):
    """Tasks that raised; the rows of all others are in the log."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        shown, more = self.failures[:MAX_FAILURES], len(self.failures) - MAX_FAILURES
        lines = [f"task ({failure.task}) failed: {failure.message}" for failure in shown]
        lines += [f"... and {more} more"] if more > 0 else []
        super().__init__("\n".join(lines) + "\n\nThe first one's traceback:\n" + self.failures[0].traceback)

    def __reduce__(self) -> tuple[type[TaskFailed], tuple[tuple[Failure, ...]]]:
        return type(self), (self.failures,)


Outcome = tuple[int, list[Mapping[str, Value]] | Failure, float]
"""Number of the task, its rows or why there are none, seconds that it took."""
Function = Callable[[Task], "Sequence[Mapping[str, Value]] | Mapping[str, Value]"]


def run_tasks(
    function: Function,
    tasks: Sequence[Task],
    *,
    results: ResultLog,
    parallel: Parallel | None = None,
    progress: Shown = True,
    warm: Callable[[], object] | None = None,
    view: View | None = None,
    identity: Identity | None = None,
) -> list[Row]:
    """Run `function` on the tasks that are not in the log yet; return the rows of all tasks, in the order of `tasks`.

    Args:
        function: task -> its row or rows, without the key columns; a module-level function or a `functools.partial`
            of one. NumPy arrays in its arguments reach the workers as shared, read-only memory.
        tasks: with distinct keys. results: log with these key columns.
        parallel: where to run (default: in this process). progress: show on stderr how far it is. view: how.
        warm: called once in this process before workers start, to fill Numba's disk cache, which several workers would
            otherwise write at the same time.
        identity: what the results are of; nothing is logged once a file of it has changed.

    Raises:
        UserError: a task raised one, a worker was killed, a file changed, or the results cannot be written.
        TaskFailed: a task raised anything else. The rows of the other tasks are kept.
    """
    parallel = parallel if parallel is not None else Loky(jobs=1)
    _check_keys(tasks, results)
    waiting = [task for task in tasks if not results.finished(task.key)]
    if waiting:
        failures: list[Failure] = []
        view = view if view is not None else View()
        board = view.board(tasks, results, progress)
        seen: dict[str, list[Row]] = {}
        fed = (pair for pair in enumerate(waiting) if len(failures) < MAX_FAILURES)
        with board, closing(_outcomes(function, fed, parallel, warm)) as outcomes:
            for number, outcome, took in outcomes:
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                else:
                    if identity is not None:
                        identity.check_files()
                    results.append({**waiting[number].key, **row} for row in outcome)
                group = view.group(waiting[number])
                seen.setdefault(group, []).extend([] if isinstance(outcome, Failure) else map(dict, outcome))
                board.update(group, None if view.note is None else view.note(seen[group]), took)
        if failures:
            _report(failures)
    by_key = {results.key_of(task.key): place for place, task in enumerate(tasks)}
    mine = [row for row in results.rows if results.key_of(row) in by_key]
    return sorted(mine, key=lambda row: by_key[results.key_of(row)])


def _outcomes(
    function: Function, tasks: Iterable[tuple[int, Task]], parallel: Parallel, warm: Callable[[], object] | None
) -> Generator[Outcome, None, None]:
    """Yield the outcome of every task as it ends; `tasks` is read a few ahead of the workers."""
    if parallel.in_process:
        for number, task in tasks:
            yield _attempt(function, number, task)
        return
    if warm is not None:
        warm()
    with parallel.session():
        pool = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        parent = os.getpid() if parallel.children else None
        program = program_digest()
        calls = (joblib.delayed(_attempt_alone)(function, number, task, parent, program) for number, task in tasks)
        outcomes = cast("Generator[Outcome, None, None]", pool(calls))
        try:
            for outcome in outcomes:  # noqa: UP028  `yield from` would close the generator before we can
                yield outcome
        except parallel.lost_worker() as error:
            raise UserError(
                f"a worker was lost ({one_line(error)}): killed, out of memory, or cut off from this process. What is finished is "
                "kept: go on with --resume, with fewer --jobs if memory ran out"
            ) from error
        finally:
            with warnings.catch_warnings():  # on Ctrl-C joblib tells that it cancels tasks: that is what was asked
                warnings.simplefilter("ignore", UserWarning)
                outcomes.close()


def _attempt_alone(function: Function, number: int, task: Task, parent: int | None, program: str) -> Outcome:
    """Run one task in a worker, on one thread; the worker does not outlive its `parent`, when it is a child of this process."""
    if parent is not None:
        end_with_parent(parent)
        warn_in_lines()
        print_anything()
    if program != program_digest():
        text = f"the worker on {socket.gethostname()} runs another version of the program; install the same one, then --resume"
        return number, Failure(str(task), text, "", user_error=True), 0.0
    limit_worker()
    return _attempt(function, number, task)


def _attempt(function: Function, number: int, task: Task) -> Outcome:
    """Run one task; what it raises becomes a value, which can cross a process boundary and leaves the others alone."""
    begun = time.monotonic()
    found: list[Mapping[str, Value]] | Failure
    try:
        rows = function(task)
        found = [rows] if isinstance(rows, Mapping) else list(rows)
    except Exception as error:
        text = f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)
        found = Failure(str(task), text, traceback.format_exc(), isinstance(error, UserError))
    return number, found, time.monotonic() - begun


def _report(failures: Sequence[Failure]) -> None:
    if all(failure.user_error for failure in failures):
        raise UserError("\n".join(f"task ({failure.task}): {failure.message}" for failure in failures))
    raise TaskFailed(failures)


def _check_keys(tasks: Sequence[Task], results: ResultLog) -> None:
    if not results.key:
        raise ValueError("run_tasks: the log needs key columns to tell which tasks are finished")
    seen = set()
    for task in tasks:
        if set(task.key) != set(results.key):
            raise ValueError(f"run_tasks: task ({task}) must have the keys {results.key}")
        key = results.key_of(task.key)
        if key in seen:
            raise ValueError(f"run_tasks: two tasks have the key ({task})")
        seen.add(key)
