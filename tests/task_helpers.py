"""Functions that tests run as Monte Carlo tasks, importable by worker processes."""

import os
import signal
import time

import numpy as np

from analog_sim.config import UserError
from learning.experiments.monte_carlo.evaluate import Task


def chip_rows(task: Task) -> list[dict]:
    """Two rows that depend on the key and the arguments alone."""
    rng = np.random.default_rng([*task.args, int(task.key["chip"] or 0), len(str(task.key["study"]))])
    return [{"time_s": t, "accuracy": float(rng.random()) / 3} for t in (1.0, 3600.0)]


def failing(bad: set[int], task: Task) -> list[dict]:
    """Raise for some chips."""
    if task.key["chip"] in bad:
        raise ZeroDivisionError(f"chip {task.key['chip']}")
    return [{"time_s": 1.0, "accuracy": 0.5}, {"time_s": 2.0, "accuracy": 0.25}]


def refusing(task: Task) -> list[dict]:
    """Find a mistake of the user."""
    raise UserError("data.npz: no such file")


def pools_of_worker(task: Task) -> dict:
    """Sizes of the thread pools where the task runs."""
    import numba
    from threadpoolctl import threadpool_info

    time.sleep(0.05)  # long enough for every worker to get a task
    np.ones((2, 2)) @ np.ones((2, 2))
    blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {"pid": os.getpid(), "numba": numba.get_num_threads(), "blas": max(blas, default=1)}


def shared_sum(weights: np.ndarray, task: Task) -> dict:
    """Sum of a large array plus the chip's number."""
    return {"total": float(weights.sum()) + int(task.key["chip"] or 0)}


def slow_rows(task: Task) -> dict:
    """One row, after a while."""
    time.sleep(0.1)
    return {"x": int(task.key["chip"] or 0) / 3}


def killed_once(flag: str, task: Task) -> list[dict]:
    """Rows as `chip_rows`; the process of chip 3 is killed outright, once."""
    if task.key["chip"] == 3 and not os.path.exists(flag):
        open(flag, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return chip_rows(task)


def saying(task: Task) -> dict:
    """Say what an ASCII terminal cannot show."""
    print(f"0.5 µS, 中文, {task.key['chip']}", flush=True)
    return {"x": 0.5}
