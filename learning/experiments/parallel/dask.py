"""Workers of a Dask cluster: one that runs already, or processes started here. Needs the extra `cluster`."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal

import joblib

from analog_sim.config import UserError
from analog_sim.threads import kept_environment, worker_environment
from learning.experiments.parallel.base import Parallel


class Dask(Parallel):
    """Workers of a Dask cluster.

    Attributes:
        scheduler: address of a running scheduler (`tcp://node01:8786`); null starts `jobs` worker processes here.
    """

    kind: Literal["dask"] = "dask"
    scheduler: str | None = None

    def lost_worker(self) -> tuple[type[Exception], ...]:
        """A task that killed worker after worker, or a scheduler that is gone."""
        return lost_errors()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Run joblib's calls on the cluster. Raises UserError when Dask is missing or the scheduler does not answer."""
        require("distributed", "dask")
        from distributed import Client, LocalCluster

        with one_thread_per_worker(), _no_tracebacks():
            if self.scheduler is None:
                with (
                    LocalCluster(n_workers=self.workers, threads_per_worker=1, dashboard_address=None) as cluster,
                    Client(cluster) as client,
                    use(client),
                ):
                    yield
                return
            try:
                client = Client(self.scheduler, timeout="10s")
            except (OSError, ValueError) as error:
                raise UserError(
                    f"parallel.scheduler: no Dask scheduler answers at {self.scheduler!r} ({error})"
                ) from error
            with client, use(client):
                yield


@contextmanager
def _no_tracebacks() -> Iterator[None]:
    """Dask logs a lost scheduler with its traceback; here it becomes one line."""
    logger = logging.getLogger("distributed.client")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def lost_errors() -> tuple[type[Exception], ...]:
    """What Dask raises when workers or the scheduler are gone."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker

    return (KilledWorker, CancelledError, TimeoutError, OSError)


def require(module: str, kind: str) -> None:
    """Raise UserError when a package of the extra `cluster` is missing."""
    if find_spec(module) is None:
        raise UserError(
            f"parallel.kind: '{kind}' needs the package {module!r}; install: pip install 'analog-hil[cluster]'"
        )


@contextmanager
def one_thread_per_worker() -> Iterator[None]:
    """Set what a Dask worker process is started with: it does not size Numba's pool by itself, as loky does.

    Dask writes `pre-spawn-environ` into the environment of this process and leaves it there; Numba refuses to compile here once
    NUMBA_NUM_THREADS differs from what its threads were started with. So a worker sets that one itself, before Numba is imported.
    """
    import dask

    before_spawning = worker_environment(1)
    in_worker = {"NUMBA_NUM_THREADS": before_spawning.pop("NUMBA_NUM_THREADS")}
    settings = {"distributed.nanny.pre-spawn-environ": before_spawning, "distributed.nanny.environ": in_worker}
    with kept_environment(before_spawning), dask.config.set(settings):
        yield


@contextmanager
def use(client: Any) -> Iterator[None]:
    """Send joblib's calls to the workers of a Dask client."""
    with joblib.parallel_config(backend="dask", client=client, wait_for_workers_timeout=60):
        yield
