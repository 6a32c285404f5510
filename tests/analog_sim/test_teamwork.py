"""A kernel on several threads: its parts are all done, once, whoever is awake; errors, second callers and forked processes included."""

import subprocess
import sys
import threading
import time

import naive_kernels as twins
import numba
import numpy as np
import pytest
from llvmlite import ir
from numba import njit

from analog_sim import threads
from analog_sim._teamwork import shared
from analog_sim._workers import LOOKING
from analog_sim.random.kernels.options import JIT_OFF
from analog_sim.reads.kernels.converting import dac_rows, scale_rows
from analog_sim.reads.kernels.energy import sums_of_squares
from learning.common.kernels import add_scaled, rectify, take_differences
from learning.losses.kernels import cross_entropy

if not JIT_OFF:
    from analog_sim._teamwork import _uncounted

SEVERAL = not JIT_OFF and numba.config.NUMBA_NUM_THREADS > 1
pytestmark = [
    pytest.mark.jit,
    pytest.mark.skipif(not SEVERAL, reason="one thread"),
]


@njit(nogil=True)
def note_parts(first, last, team, step, each, ends, counts):
    """Where a part ends, at its beginning, and how often each number was met; returns the sum of the numbers."""
    if team:
        return shared(first, last, step, each, team)
    ends[first] = last
    total = 0
    for k in range(first, last):
        counts[k] += 1
        total += k
    return total


@njit(nogil=True)
def fail(first, last, team, at):
    """Nothing, but an error in the part with the number `at`."""
    if team:
        shared(first, last, 1, 1, team)
        return
    if first <= at < last:
        raise ValueError("here")


def parts_of(n, step, each, first=0):
    ends, counts = np.full(first + n + 1, -1), np.zeros(first + n, np.int64)
    total = note_parts(first, first + n, threads.team_for(n, 1), step, each, ends, counts)
    assert total == sum(range(first, first + n))
    assert (counts[first:] == 1).all()
    assert not counts[:first].any()
    return [(k, int(end)) for k, end in enumerate(ends) if end >= 0]


@pytest.mark.parametrize(
    ("n", "step", "each"), [(10, 1, 1), (1000, 64, 1), (1000, 16, 4), (3, 1, 4), (65, 64, 2), (7, 3, 9)]
)
@pytest.mark.parametrize("first", [0, 5])
def test_parts_cover_everything_once(n, step, each, first):
    team = min(numba.get_num_threads(), n)
    assert parts_of(n, step, each, first) == twins.parts(first, first + n, step, each, team)


def test_small_work_and_one_thread_have_no_team():
    assert threads.team_for(9, 5) == 0
    with threads.thread_policy(1):
        assert threads.team_for(1000, 1) == 0


def test_threads_that_sleep_are_woken_and_not_waited_for():
    for pause in (0.0, 5 * LOOKING, 0.0, 50 * LOOKING):
        time.sleep(pause)
        parts_of(1000, 1, 4)


@pytest.mark.parametrize("at", [0, 99])
def test_an_error_in_a_part_is_raised_and_forgotten(at):
    with pytest.raises(MemoryError, match="a part of a kernel failed"):
        fail(0, 100, threads.team_for(100, 1), at)
    fail(0, 100, threads.team_for(100, 1), -1)


def test_two_callers_at_once_both_get_all_of_their_work():
    found = [[], []]

    def ask(results):
        for _ in range(200):
            results.append(len(parts_of(300, 1, 2)))

    askers = [threading.Thread(target=ask, args=(results,)) for results in found]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert [len(results) for results in found] == [200, 200]


def test_a_kernel_within_a_part_of_other_work_is_shared_or_not_but_done():
    totals = threads.in_parts(lambda first, last: [len(parts_of(50, 1, 1)) for _ in range(first, last)], 40, 1)
    assert sum(len(part) for part in totals) == 40


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_process_has_a_team_of_its_own():
    code = (
        "import os, numpy as np\n"
        "from analog_sim.reads.packed_matrix import PackedMatrix\n"
        "m = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)\n"
        "v = np.ascontiguousarray(m[:100, :300])\n"
        "known = PackedMatrix.of(m).multiply(v)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if (PackedMatrix.of(m).multiply(v) == known).all() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def f32(*shape):
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def read(team):
    """Full scales, volts and sums of squares of 300 inputs."""
    x, scale, volts, sums = f32(300, 70), np.empty(300, np.float32), np.empty((300, 60), np.float32), f32(300, 1)
    scale_rows(0, 300, team, x.view(np.int32), scale.view(np.int32))
    dac_rows(0, 300, team, x, 10, scale, np.float32(127), np.float32(0.2), volts)
    sums_of_squares(0, 300, team, volts, np.float32(3.0), sums)
    return scale, volts, sums


def perturbed(team):
    """Losses, differences and weighted sums of copies of a batch; a rectified row."""
    output, target, loss = f32(300, 10), np.arange(300) % 10, np.empty(300)
    cross_entropy(0, 300, team, output, target, loss)
    after, moved, length, total = f32(3, 100, 70), np.empty((3, 100, 70), np.float32), np.zeros((3, 50)), f32(100, 70)
    take_differences(0, 300, team, after, after, (1, 2, 0), np.float32(1.0), moved, length)
    add_scaled(0, 100, team, moved, f32(3, 50), total)
    positive = np.empty(7000, np.float32)
    rectify(0, 7000, team, total.reshape(-1), positive)
    return loss, moved, length, total, positive


@pytest.mark.parametrize("work", [read, perturbed])
def test_a_team_gives_the_bits_of_one_thread(work):
    for alone, together in zip(work(0), work(threads.team_for(300, 1)), strict=True):
        np.testing.assert_array_equal(together, alone)


def test_arrays_are_handed_over_without_their_counters():
    """A part that makes views of an array counts at no place that the other threads count at."""
    pointer, whole, numbers = ir.IntType(8).as_pointer(), ir.IntType(64), ir.FloatType().as_pointer()
    matrix = [pointer, pointer, whole, whole, numbers, whole, whole, whole, whole]
    codes = [pointer, pointer, whole, whole, pointer, whole, whole]
    values = [ir.Constant(kind, None) for kind in [whole, *matrix, whole, *codes, *matrix]]
    kept = [value is given for value, given in zip(_uncounted(values), values, strict=True)]
    assert [k for k, same in enumerate(kept) if not same] == [1, 2, 11, 12, 18, 19]


def later(n=400, each=2):
    """A postponed `note_parts`, and where it writes."""
    ends, counts = np.full(n + 1, -1), np.zeros(n, np.int64)
    work = threads.postponed(n, 1)
    assert work is not None
    work.begin(note_parts, n, (1, each, ends, counts))
    return work, counts


def test_a_postponed_work_is_done_once_and_others_go_on_alone_meanwhile():
    for _ in range(100):
        work, counts = later()
        alone = threads.team_for(4, 1)
        parts_of(300, 1, 2)  # a long one, which ends it first
        assert work.ended
        assert alone == 0 or counts.all()  # it may have ended by itself
        assert work.result() == work.result() == sum(range(400))
        assert (counts == 1).all()
        assert threads.team_for(4, 1)


def test_the_next_postponed_work_ends_the_last_one():
    first, counts = later()
    second, _ = later(1000, 1)
    assert first.ended
    assert second.result() == sum(range(1000))
    assert first.result() == sum(range(400))
    assert (counts == 1).all()


def test_short_work_and_one_thread_postpone_nothing():
    assert threads.postponed(15, 1) is None
    with threads.thread_policy(1):
        assert threads.postponed(1000, 1) is None


@pytest.mark.parametrize("at", [0, 399])
def test_an_error_in_a_postponed_part_is_raised_when_it_is_asked_for(at):
    work = threads.postponed(400, 1)
    with pytest.raises(MemoryError, match="a part of a kernel failed"):  # noqa: PT012  whichever notices it first
        work.begin(fail, 400, (at,))
        work.result()
    assert later()[0].result() == sum(range(400))


def test_a_failure_is_told_to_whoever_began_the_work_and_not_to_the_next():
    first = threads.postponed(400, 1)
    try:
        first.begin(fail, 400, (399,))
    except MemoryError:
        pytest.skip("it failed before the call returned")
    assert later()[0].result() == sum(range(400))
    for _ in range(2):
        with pytest.raises(MemoryError, match="a part of a kernel failed"):
            first.result()


def test_a_kernel_that_refuses_its_arguments_postpones_nothing():
    work = threads.postponed(400, 1)
    with pytest.raises(TypeError):
        work.begin(note_parts, 400, ("no number",))
    assert later()[0].result() == sum(range(400))


def test_another_thread_may_ask_for_what_was_postponed_and_share_its_own_work_meanwhile():
    found = []

    def ask(work):
        parts_of(300, 1, 2)
        found.append(work.result())

    for _ in range(50):
        work, counts = later()
        asker = threading.Thread(target=ask, args=(work,))
        asker.start()
        assert work.result() == sum(range(400))
        asker.join()
        assert found.pop() == sum(range(400))
        assert (counts == 1).all()
