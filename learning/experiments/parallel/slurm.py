"""Workers on a Slurm cluster, by dask-jobqueue: it writes and submits the job script. Needs the extra `cluster`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import Field

from analog_sim.threads import worker_environment
from learning.experiments.parallel.base import Parallel
from learning.experiments.parallel.dask import lost_errors, one_thread_per_worker, require, use


class Slurm(Parallel):
    """Slurm jobs, each with one Dask worker process per core.

    Attributes:
        jobs: number of Slurm jobs. cores: of each job. memory: of each job, as `4GB`. walltime: longest time of a job, HH:MM:SS.
        queue, account: partition and account, null for the cluster's default.
        prologue: shell lines to run first in every job (`source venv/bin/activate`).
    """

    kind: Literal["slurm"] = "slurm"
    cores: Annotated[int, Field(ge=1, le=10**4)] = 1
    memory: str = "4GB"
    walltime: str = "01:00:00"
    queue: str | None = None
    account: str | None = None
    prologue: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        """Number of worker processes in all jobs."""
        return (self.jobs or 1) * self.cores

    def lost_worker(self) -> tuple[type[Exception], ...]:
        """As for any Dask cluster."""
        return lost_errors()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Submit the jobs and run joblib's calls on them. Raises UserError when dask-jobqueue is missing."""
        require("dask_jobqueue", "slurm")
        with one_thread_per_worker(), self.cluster() as cluster:
            cluster.scale(jobs=self.jobs or 1)
            from distributed import Client

            with Client(cluster) as client, use(client):
                yield

    def cluster(self) -> Any:
        """Dask's cluster, nothing submitted yet; its `job_script()` is what Slurm will get. Raises UserError as above."""
        require("dask_jobqueue", "slurm")
        from dask_jobqueue import SLURMCluster

        threads = [f"export {name}={value}" for name, value in worker_environment(1).items()]
        return SLURMCluster(
            cores=self.cores,
            processes=self.cores,
            memory=self.memory,
            walltime=self.walltime,
            queue=self.queue,
            account=self.account,
            job_script_prologue=[*threads, *self.prologue],
        )
