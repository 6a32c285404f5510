"""Monte Carlo: the same rows however they are computed, nothing lost, nothing done twice."""

import functools
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from task_helpers import chip_rows, failing, pools_of_worker, refusing, shared_sum

from analog_sim.config import UserError
from analog_sim.threads import ENVIRONMENT
from learning.experiments.monte_carlo.evaluate import MAX_FAILURES, Task, TaskFailed, run_tasks
from learning.experiments.parallel.dask import Dask
from learning.experiments.parallel.loky import Loky
from learning.experiments.runs.result_log import ResultLog

COLUMNS = {"study": str, "chip": int, "time_s": float, "accuracy": float}
KEY = ("study", "chip")
TASKS = [Task({"study": study, "chip": chip}, (17,)) for study in ("nominal", "adc") for chip in range(5)]


def log_in(folder: Path, name: str = "metrics") -> ResultLog:
    return ResultLog(folder / f"{name}.csv", COLUMNS, KEY)


def expected() -> list[dict]:
    return [{**task.key, **row} for task in TASKS for row in chip_rows(task)]


@pytest.fixture(scope="module", autouse=True)
def _stop_workers() -> object:
    """Leave no idle worker processes behind."""
    yield
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)


@pytest.mark.parametrize("parallel", [None, Loky(jobs=1), Loky(jobs=2)], ids=["default", "one", "two"])
def test_rows_are_the_same_wherever_they_are_computed(tmp_path: Path, parallel: Loky | None) -> None:
    rows = run_tasks(chip_rows, TASKS, results=log_in(tmp_path), parallel=parallel, progress=False)
    assert rows == expected()
    assert log_in(tmp_path).rows == sorted(rows, key=log_in(tmp_path).rows.index), "and all are on the disk"
    assert len(log_in(tmp_path).rows) == len(rows)


def test_dask_gives_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    # Dask's own shutdown and its use of deprecated asyncio are not ours to mend.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", "ignore")
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = run_tasks(chip_rows, TASKS[:4], results=log_in(tmp_path), parallel=Dask(jobs=2), progress=False)
            limits = run_tasks(
                pools_of_worker, TASKS[:2], results=pool_log(tmp_path), parallel=Dask(jobs=2), progress=False
            )
    assert rows == [row for row in expected() if row["study"] == "nominal" and row["chip"] < 4]
    assert {(row["numba"], row["blas"]) for row in limits} == {(1, 1)}
    # Dask spawns with the variables set here too, and leaves them: Numba would refuse to compile in this process from now on.
    assert {name: os.environ.get(name) for name in ENVIRONMENT} == before


def test_a_scheduler_that_does_not_answer_is_the_users_to_mend(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with pytest.raises(UserError, match="no Dask scheduler answers"):
        run_tasks(chip_rows, TASKS, results=log_in(tmp_path), parallel=Dask(scheduler="nonsense://x"), progress=False)


def test_the_order_of_tasks_is_the_order_of_rows_only(tmp_path: Path) -> None:
    shuffled = random.Random(3).sample(TASKS, len(TASKS))
    first = run_tasks(chip_rows, TASKS, results=log_in(tmp_path, "a"), progress=False)
    second = run_tasks(chip_rows, shuffled, results=log_in(tmp_path, "b"), progress=False)
    assert [row for task in TASKS for row in second if (row["study"], row["chip"]) == tuple(task.key.values())] == first


def test_finished_tasks_are_not_run_again(tmp_path: Path) -> None:
    run_tasks(chip_rows, TASKS[:7], results=log_in(tmp_path), progress=False)
    ran = []

    def counted(task: Task) -> list[dict]:
        ran.append(task)
        return chip_rows(task)

    assert run_tasks(counted, TASKS, results=log_in(tmp_path), progress=False) == expected()
    assert ran == TASKS[7:]
    assert run_tasks(counted, TASKS, results=log_in(tmp_path), progress=False) == expected()
    assert ran == TASKS[7:]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_task_is_named_and_the_others_are_kept(tmp_path: Path, jobs: int) -> None:
    function = functools.partial(failing, {3})
    with pytest.raises(TaskFailed, match=r"task \(study = adc, chip = 3\) failed: ZeroDivisionError: chip 3") as error:
        run_tasks(function, TASKS[5:], results=log_in(tmp_path), parallel=Loky(jobs=jobs), progress=False)
    assert "in failing" in str(error.value), "the worker's traceback is shown"
    assert sorted({row["chip"] for row in log_in(tmp_path).rows}) == [0, 1, 2, 4]
    assert len(run_tasks(chip_rows, TASKS[5:], results=log_in(tmp_path), progress=False)) == 10


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_gives_up_after_a_few_failures(tmp_path: Path, jobs: int) -> None:
    tasks = [Task({"study": "nominal", "chip": chip}) for chip in range(400)]
    with pytest.raises(TaskFailed) as error:
        run_tasks(
            functools.partial(failing, set(range(400))),
            tasks,
            results=log_in(tmp_path),
            parallel=Loky(jobs=jobs),
            progress=False,
        )
    assert MAX_FAILURES <= len(error.value.failures) < 200, "but for the tasks under way"
    if jobs == 1:
        assert len(error.value.failures) == MAX_FAILURES


def test_a_users_mistake_found_by_a_task_stays_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task \(study = nominal, chip = 0\): data.npz: no such file"):
        run_tasks(refusing, TASKS[:1], results=log_in(tmp_path), progress=False)


def test_tasks_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two tasks have the key"):
        run_tasks(chip_rows, [TASKS[0], TASKS[0]], results=log_in(tmp_path), progress=False)
    with pytest.raises(ValueError, match="must have the keys"):
        run_tasks(chip_rows, [Task({"chip": 0})], results=log_in(tmp_path), progress=False)
    with pytest.raises(ValueError, match="needs key columns"):
        run_tasks(chip_rows, TASKS, results=ResultLog(tmp_path / "x.csv", COLUMNS), progress=False)


def pool_log(folder: Path) -> ResultLog:
    columns = {"study": str, "chip": int, "pid": int, "numba": int, "blas": int}
    return ResultLog(folder / "pools.csv", columns, KEY)


def test_workers_use_one_thread_each(tmp_path: Path) -> None:
    rows = run_tasks(pools_of_worker, TASKS, results=pool_log(tmp_path), parallel=Loky(jobs=2), progress=False)
    assert {(row["numba"], row["blas"]) for row in rows} == {(1, 1)}
    assert os.getpid() not in {row["pid"] for row in rows}


def test_arrays_reach_the_workers_unchanged(tmp_path: Path) -> None:
    weights = np.arange(300_000, dtype=np.float64)  # above joblib's limit: handed over as shared memory
    log = ResultLog(tmp_path / "sums.csv", {"study": str, "chip": int, "total": float}, KEY)
    rows = run_tasks(
        functools.partial(shared_sum, weights), TASKS[:3], results=log, parallel=Loky(jobs=2), progress=False
    )
    assert [row["total"] for row in rows] == [weights.sum() + chip for chip in range(3)]


def test_kernels_are_warmed_before_workers_start_and_only_then(tmp_path: Path) -> None:
    calls: list[str] = []
    warm = functools.partial(calls.append, "warm")
    run_tasks(chip_rows, TASKS, results=log_in(tmp_path, "a"), parallel=Loky(jobs=1), warm=warm, progress=False)
    assert calls == [], "one process compiles its kernels as it meets them"
    run_tasks(chip_rows, TASKS, results=log_in(tmp_path, "b"), parallel=Loky(jobs=2), warm=warm, progress=False)
    run_tasks(chip_rows, TASKS, results=log_in(tmp_path, "b"), parallel=Loky(jobs=2), warm=warm, progress=False)
    assert calls == ["warm"], "and nothing is left to warm when all is done"


def test_progress_counts_what_was_done_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_tasks(chip_rows, TASKS[:4], results=log_in(tmp_path), progress=False)
    assert capsys.readouterr().err == ""
    run_tasks(chip_rows, TASKS, results=log_in(tmp_path), progress=True)
    assert capsys.readouterr().err == "10 of 10 chips, 0 s\n"


INTERRUPTED = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {helpers!r})
    from task_helpers import slow_rows
    from learning.experiments.monte_carlo.evaluate import Task, run_tasks
    from learning.experiments.parallel.loky import Loky
    from learning.experiments.runs.result_log import ResultLog
    if __name__ == "__main__":
        log = ResultLog(Path({path!r}), {{"chip": int, "x": float}}, ("chip",))
        tasks = [Task({{"chip": chip}}) for chip in range(200)]
        run_tasks(slow_rows, tasks, results=log, parallel=Loky(jobs={jobs}), progress=False)
"""


def session_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def start_slow_run(tmp_path: Path, jobs: int) -> tuple[subprocess.Popen[str], Path]:
    """A run of slow tasks in a session of its own, when a few are done, and its log."""
    path = tmp_path / "log.csv"
    script = tmp_path / "run.py"
    code = INTERRUPTED.format(helpers=str(Path(__file__).parents[3]), path=str(path), jobs=jobs)
    script.write_text(textwrap.dedent(code))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test run in the background of a script inherits "ignore"; a user's shell does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") >= 4) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process, path


def wait_for_the_end_of(group: int) -> None:
    deadline = time.monotonic() + 10
    while session_lives(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not session_lives(group), "no worker of the session is left"


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a process group")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_at_once_and_keeps_what_was_done(tmp_path: Path, jobs: int) -> None:
    process, path = start_slow_run(tmp_path, jobs)
    try:
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in errors
    rows = ResultLog(path, {"chip": int, "x": float}, ("chip",)).rows
    assert 3 <= len(rows) < 200
    wait_for_the_end_of(process.pid)


@pytest.mark.skipif(os.name == "nt", reason="sends signals to one process of a group")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path, name: str) -> None:
    """Else they would go on for minutes, beside the workers of a resumed run."""
    process, _ = start_slow_run(tmp_path, 2)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=30)
    wait_for_the_end_of(process.pid)
