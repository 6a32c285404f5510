"""Worker processes on this machine, by joblib's loky. With one worker nothing is started: tasks run in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool

from learning.experiments.parallel.base import Parallel


class Loky(Parallel):
    """Processes on this machine; the default."""

    kind: Literal["loky"] = "loky"

    @property
    def in_process(self) -> bool:
        """Whether one worker makes processes pointless."""
        return self.workers == 1

    @property
    def children(self) -> bool:
        """They are."""
        return True

    def lost_worker(self) -> tuple[type[Exception], ...]:
        """A broken pool of processes."""
        return (BrokenProcessPool,)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Run joblib's calls on worker processes with one thread each."""
        with joblib.parallel_config(backend="loky", n_jobs=self.workers, inner_max_num_threads=1):
            yield
