"""Workers on a Slurm cluster, by dask-jobqueue: it writes and submits the job script. Needs the extra `cluster`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from analog_sim.threads import worker_environment
from learning.parallel.base import Parallel
from learning.parallel.dask import one_thread_per_worker, require, use


class Slurm(Parallel):
    """Slurm jobs, each with one Dask worker process per core.

    Attributes:
        jobs: number of Slurm jobs. cores: per job. memory: per job. walltime: HH:MM:SS.
        queue, account: partition and account, null for the cluster's default.
        prologue: shell lines to run first in every job (`source venv/bin/activate`).
    """

    kind: Literal["slurm"] = "slurm"
    cores: int = 1
    memory: str = "4GB"
    walltime: str = "01:00:00"
    queue: str | None = None
    account: str | None = None
    prologue: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        """Number of worker processes in all jobs."""
        return (self.jobs or 1) * self.cores

    @contextmanager
    def session(self) -> Iterator[None]:
        """Submit the jobs and run joblib's calls on them. Raises UserError when dask-jobqueue is missing."""
        require("dask_jobqueue", "slurm")
        from dask_jobqueue import SLURMCluster
        from distributed import Client

        threads = [f"export {name}={value}" for name, value in worker_environment(1).items()]
        with (
            one_thread_per_worker(),
            SLURMCluster(
                cores=self.cores,
                processes=self.cores,
                memory=self.memory,
                walltime=self.walltime,
                queue=self.queue,
                account=self.account,
                job_script_prologue=[*threads, *self.prologue],
            ) as cluster,
        ):
            cluster.scale(jobs=self.jobs or 1)
            with Client(cluster) as client, use(client):
                yield
