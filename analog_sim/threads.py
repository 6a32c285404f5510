"""The one thread policy: how many threads Numba and BLAS may use, and how work is cut among them. It never touches torch, whose pool
the bridge sets.

Numba's, OpenMP's and BLAS's pools, each with a thread per core, fight for the cores (10x to 150x slower on two).
So one number governs all of them, and the workers of a Monte Carlo run with one thread each. A waiting OpenMP thread
spins for milliseconds by default, OpenBLAS's for tens of them, on a core that others may need: they are told to sleep soon
(limit_spinning).
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy.typing as npt
    from threadpoolctl import ThreadpoolController

    from analog_sim._teamwork import Postponed

T = TypeVar("T")

ENVIRONMENT = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Variables that size a pool when a process starts."""


SPIN_COUNT = 1000
"""Turns of GNU OpenMP's waiting loop, a few microseconds, before a thread sleeps. Its default is 300,000 or more."""


BLAS_SPINS = 18
"""Logarithm to base 2 of the cycles that a thread of OpenBLAS spins behind a product, some 0.1 ms; its default is 26, some 20 ms.

Long enough for one product after another of NumPy to find it awake, short enough for the next kernel to have the core.
"""


def limit_spinning() -> None:
    """Let idle threads of OpenMP sleep after microseconds, of OpenBLAS after 0.1 ms; called when the package is imported.

    Two threads on two cores, one of them busy with another process: a parallel kernel of 0.1 ms took 20 ms with OpenMP's default and 0.2 ms
    so. Behind a product of NumPy's, a read of 1024 x 1024 (256 vectors) on two threads took 2.3 ms with OpenBLAS's default, as long as on
    one, and 1.3 ms so. The user's own OMP_WAIT_POLICY, GOMP_SPINCOUNT or OPENBLAS_THREAD_TIMEOUT stands. OpenBLAS reads its variable when
    NumPy is imported: where that was done before, nothing changes.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", str(BLAS_SPINS))


def available_cores() -> int:
    """Cores this process may run on."""
    if sys.platform == "linux":  # a container or `taskset` may leave fewer than the machine has
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"thread policy: threads: got {n!r}, allowed: an integer >= 1")
    return n


def _numba_limit() -> int:
    """The threads that Numba was started with: it cannot have more later."""
    import numba

    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def worker_environment(n: int = 1) -> dict[str, str]:
    """Environment for a child process that is to use n threads, e.g. for `subprocess` or Dask's `pre-spawn-environ`."""
    return dict.fromkeys(ENVIRONMENT, str(_checked(n)))


@contextmanager
def kept_environment(names: Iterable[str]) -> Iterator[None]:
    """After the block, the environment variables of these names are as they were before it."""
    saved = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def thread_policy(n: int) -> Iterator[None]:
    """Within the block, Numba and BLAS use n threads and child processes are started with n; afterwards everything is as before.

    n above what Numba was started with (NUMBA_NUM_THREADS, by default all cores) means all of them. Raises ValueError when n < 1.
    """
    _checked(n)
    import numba
    from threadpoolctl import threadpool_limits

    before = numba.get_num_threads()
    # Numba refuses a changed NUMBA_NUM_THREADS once its threads run, in this process too: children get it from worker_environment().
    exported = {name: value for name, value in worker_environment(n).items() if name != "NUMBA_NUM_THREADS"}
    with threadpool_limits(limits=n), kept_environment(exported):
        numba.set_num_threads(min(n, _numba_limit()))
        os.environ.update(exported)
        try:
            yield
        finally:
            numba.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within the block BLAS uses one thread: for many small matrices, which wake the other threads for nothing.

    With two threads on two cores that others are busy on, an eigenvalue problem of 60 x 60 took 3 s and 45 ms of processor time, with one
    thread 0.25 ms. Also a decorator.
    """
    with _pools(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _pools(modules: int) -> "ThreadpoolController":
    """The thread pools of the libraries of this process, of which it has more only when a further module was imported.

    To look for them takes milliseconds, as long as a product of 512 x 512 with 64 vectors takes twenty times.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def limit_worker(n: int = 1) -> None:
    """Give this process n threads for good: the first call in a joblib or Dask worker, before any array work.

    Raises ValueError when n < 1.
    """
    _checked(n)
    import numba
    from threadpoolctl import threadpool_limits

    os.environ.update({name: value for name, value in worker_environment(n).items() if name != "NUMBA_NUM_THREADS"})
    numba.set_num_threads(min(n, _numba_limit()))
    threadpool_limits(limits=n)


@lru_cache(maxsize=1)
def _count_threads() -> Callable[[], int]:
    """What tells how many threads Numba may use now.

    Numba's own function looks at every call whether its threads run, under a lock. Once they do, what it then asks is enough.
    """
    import numba
    from numba.np.ufunc import parallel

    numba.get_num_threads()  # starts them
    found: Callable[[], int] = getattr(parallel, "_get_num_threads", numba.get_num_threads)
    return found


LONG = 16
"""Times what is worth a thread from which on a work is long: while others are at a postponed one, what is shorter is done alone."""


def team_for(n: int, least: int) -> int:
    """Number of the team among which a kernel that can be shared (`analog_sim._teamwork`) cuts its n rows; 0 when it is to do all itself.

    least: rows that are worth a thread. The start of a shared kernel costs a microsecond or two, but who sleeps is awake after 60.
    """
    threads = threads_for(n, least)
    return 0 if threads < 2 else _team()(threads, n < LONG * least)


def threads_for(n: int, least: int) -> int:
    """Size of that team when no work is postponed, 1 without a team."""
    return 1 if n < 2 * least else min(_count_threads()(), n // least)


def rows_of(x: "npt.NDArray[Any]", worth: int) -> tuple[int, int, int]:
    """The first three arguments of a kernel that is to do all rows of a matrix x (B, n): 0, B, and the team among which it cuts them.

    worth: numbers that are worth a thread.
    """
    rows, n = x.shape
    return 0, rows, team_for(rows, -(-worth // max(1, n)))


@lru_cache(maxsize=1)
def _team() -> Callable[[int, bool], int]:
    from analog_sim._workers import team  # which imports Numba

    return team


def postponed(n: int, least: int) -> "Postponed | None":
    """A long work of n rows that a team does while the caller goes on, see `analog_sim._teamwork`; None for the caller to wait for it.

    least: as in `team_for`.
    """
    team = team_for(n, least) if n >= LONG * least else 0
    if not team:
        return None
    from analog_sim import _workers  # as above

    return _workers.postponed(team)


def in_parts(work: Callable[[int, int], T], n: int, least: int, step: int = 1) -> list[T]:
    """Results of ``work(first, last)`` over parts of 0 ... n - 1, at the same time, one part for each of Numba's threads.

    For kernels that hold no lock (`nogil`): a kernel with threads of its own takes Numba three times as long to compile.

    Args:
        work: the same results whatever the parts are.
        least: a part has so many or more, because handing a part over takes some 13 us, and waking a thread that sleeps 60.
        step: parts begin at multiples of it.
    """
    if n < 2 * least:  # asking Numba takes longer than a small kernel
        return [work(0, n)]
    parts = min(_count_threads()(), n // least)
    if parts == 1:
        return [work(0, n)]
    edges = [n * k // parts // step * step for k in range(parts)] + [n]
    from analog_sim._workers import run  # which imports Numba

    return run(work, edges)
