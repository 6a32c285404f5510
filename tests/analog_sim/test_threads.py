"""The thread policy governs every pool and leaves the process as it found it."""

import os
import subprocess
import sys
import threading
import time

import naive_kernels as twins
import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from analog_sim import threads
from analog_sim._spinning import WORDS, look_until, looks_in

assert np.zeros(1) @ np.zeros(1) == 0.0  # loads BLAS, so that threadpoolctl can see its pool


def blas_threads():
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


def test_policy_holds_within_the_block_and_not_after():
    before = (numba.get_num_threads(), blas_threads(), {k: os.environ.get(k) for k in threads.ENVIRONMENT})
    with threads.thread_policy(1):
        assert numba.get_num_threads() == 1
        assert blas_threads() == {1}
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert (numba.get_num_threads(), blas_threads(), {k: os.environ.get(k) for k in threads.ENVIRONMENT}) == before


def test_fits_use_one_thread_of_blas_and_leave_the_rest():
    before = (numba.get_num_threads(), blas_threads())

    @threads.one_blas_thread()
    def inside():
        return numba.get_num_threads(), blas_threads()

    assert inside() == (before[0], {1})
    assert (numba.get_num_threads(), blas_threads()) == before


def test_policy_is_undone_after_an_error():
    before = numba.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), threads.thread_policy(1):
        raise RuntimeError("inside")
    assert numba.get_num_threads() == before


def test_more_threads_than_there_are_is_all_of_them():
    with threads.thread_policy(1000):
        assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS


@pytest.mark.parametrize("n", [0, -1, 1.0, True])
def test_bad_numbers_are_refused(n):
    with pytest.raises(ValueError, match="threads: got"), threads.thread_policy(n):
        pass
    with pytest.raises(ValueError, match="threads: got"):
        threads.limit_worker(n)


def test_worker_environment_names_every_pool():
    environment = threads.worker_environment(2)
    assert (
        environment["NUMBA_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "2"
    )


def worker():
    threads.limit_worker()
    return numba.get_num_threads(), sorted(blas_threads())


def test_a_joblib_worker_is_limited():
    from joblib.externals.loky import get_reusable_executor

    executor = get_reusable_executor(max_workers=1)
    try:
        assert executor.submit(worker).result() == (1, [1])
    finally:
        executor.shutdown(wait=True)


SPINNING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT")


def spin_count(variable="GOMP_SPINCOUNT", package="analog_sim", **environment):
    env = {k: v for k, v in os.environ.items() if k not in SPINNING} | environment
    code = (
        f"import os, sys, {package}; print(os.environ.get('{variable}') if 'numpy' not in sys.modules else 'too late')"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    ).stdout.strip()


def test_idle_threads_sleep_soon_unless_the_user_says_otherwise():
    assert spin_count() == str(threads.SPIN_COUNT)
    assert spin_count(GOMP_SPINCOUNT="7") == "7"
    assert spin_count(OMP_WAIT_POLICY="active") == "None"
    assert spin_count("OPENBLAS_THREAD_TIMEOUT") == str(threads.BLAS_SPINS)
    assert spin_count("OPENBLAS_THREAD_TIMEOUT", package="analog_hil") == str(threads.BLAS_SPINS)
    assert spin_count("OPENBLAS_THREAD_TIMEOUT", OPENBLAS_THREAD_TIMEOUT="26") == "26"


def test_available_cores_is_at_least_one():
    assert 1 <= threads.available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(("n", "least", "step"), [(10, 1, 1), (10, 100, 1), (1000, 10, 64), (0, 5, 1), (3, 1, 64)])
def test_parts_cover_everything_once_in_order(n, least, step):
    parts = threads.in_parts(lambda first, last: (first, last), n, least, step)
    assert [k for first, last in parts for k in range(first, last)] == list(range(n))
    assert all(first % step == 0 for first, _ in parts)
    assert len(parts) <= numba.get_num_threads()
    assert len(parts) == 1 or n >= len(parts) * least


def test_an_error_in_a_part_is_raised():
    def broken(first, last):
        raise ArithmeticError(f"{first} to {last}")

    with pytest.raises(ArithmeticError, match="0 to"):
        threads.in_parts(broken, 1000, 1)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread")
def test_threads_are_kept_and_the_caller_does_the_first_part():
    def who(first, last):
        time.sleep(0.01)  # so that a free thread would take the other part
        return threading.get_ident()

    one, other = threads.in_parts(who, 2, 1)
    assert one == threading.get_ident() != other
    assert threads.in_parts(who, 2, 1) == [one, other], "the same thread again"


def test_a_part_that_is_cut_again_does_not_wait_for_itself():
    inner = threads.in_parts(lambda first, last: threads.in_parts(lambda a, b: b - a, last - first, 1), 100, 1)
    assert sum(sum(part) for part in inner) == 100


def test_parts_have_ended_when_an_error_is_raised():
    ended = []

    def work(first, last):
        if first == 0:
            raise ArithmeticError("the caller's own part")
        time.sleep(0.02)
        ended.append(first)

    parts = numba.get_num_threads()
    with pytest.raises(ArithmeticError, match="own part"):
        threads.in_parts(work, parts, 1)
    assert len(ended) == parts - 1


@pytest.mark.jit
def test_a_thread_that_looks_sees_the_other_side():
    board = np.zeros(WORDS, np.int64)
    mine, other = int(board.ctypes.data), int(board.ctypes.data) + 64
    assert look_until(mine, 5, other, 0, 10) == twins.changed(lambda: int(board[8]), 0, 10) is False
    assert board[0] == 5
    timer = threading.Timer(0.01, board.__setitem__, (8, 1))
    timer.start()
    assert look_until(mine, 6, other, 0, looks_in(5.0))
    assert twins.changed(lambda: int(board[8]), 0, 1)
    timer.join()


def test_a_second_caller_does_all_of_its_parts_itself():
    """Two threads that ask at once: both get all results, whoever has the kept threads."""

    def ask(results):
        for _ in range(50):
            results.append(sum(threads.in_parts(lambda first, last: last - first, 100, 1)))

    found = [[], []]
    askers = [threading.Thread(target=ask, args=(results,)) for results in found]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert found == [[100] * 50] * 2


def test_an_error_of_the_caller_does_not_come_back_at_the_next_work():
    """Both parts fail; the caller's error is raised, and the other's is forgotten."""

    def broken(first, last):
        raise ArithmeticError(str(first))

    with pytest.raises(ArithmeticError, match="0"):
        threads.in_parts(broken, numba.get_num_threads(), 1)
    assert sum(threads.in_parts(lambda first, last: last - first, 10, 1)) == 10


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_process_has_threads_of_its_own():
    code = (
        "import os, numba, analog_sim.threads as threads\n"
        "count = lambda: sum(threads.in_parts(lambda a, b: b - a, 100, 1))\n"
        "assert count() == 100\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if count() == 100 else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
