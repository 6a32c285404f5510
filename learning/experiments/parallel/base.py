"""What every place to run tasks in offers: a joblib backend for a while. It never decides what a task computes."""

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Annotated

from pydantic import Field

from analog_sim.config import Part
from analog_sim.threads import available_cores


class Parallel(Part):
    """Joblib backend and number of workers; each worker runs its tasks on one thread.

    Attributes:
        jobs: workers; null means one per core that this process may use.
    """

    jobs: Annotated[int, Field(ge=1, le=10**4)] | None = None

    @property
    def workers(self) -> int:
        """Number of workers."""
        return self.jobs if self.jobs is not None else available_cores()

    @property
    def in_process(self) -> bool:
        """Whether tasks run one after the other in this process."""
        return False

    @property
    def children(self) -> bool:
        """Whether workers are child processes of this one."""
        return False

    def lost_worker(self) -> tuple[type[Exception], ...]:
        """What is raised when a worker, or the way to it, is gone; asked for once something was raised."""
        return ()

    @abstractmethod
    def session(self) -> AbstractContextManager[None]:
        """Make joblib's calls within the block run here. Raises UserError when a package or a cluster is missing."""
