"""The kept threads that do parts of a kernel's work, beside the thread that asks for it. Never decides how work is cut.

Threads are Python's: a kernel with threads of its own takes Numba three times as long to compile. A part of a kernel that can be shared
is handed over without Python, on a board at which the threads look (`analog_sim._teamwork`); any other work by a lock and a word of
memory at which a thread looks meanwhile (`analog_sim._spinning`).
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeVar, cast

import numpy as np

from analog_sim._spinning import WORDS, look_until, looks_in
from analog_sim._teamwork import ASLEEP, BOARD, Postponed, TeamBoard, serve
from analog_sim.random.kernels.options import JIT_OFF

T = TypeVar("T")

MOST = BOARD - 1
"""Threads of a team."""

_ASLEEP = ASLEEP // 8

LOOKING = 1e-3
"""Seconds that a kept thread stays awake for the next part: longer than the time between two shared kernels of a training step.

Of a step of backpropagation a kept thread slept twice with 0.2 ms, of one of node perturbation five times, and was late each time. Two
processes of two threads each on two cores were none the slower: it offers its core to others all the time.
"""


class Worker:
    """A kept thread that does one part of some work at a time. Two locks hand the part over and back: a queue with futures costs 20 us.

    Either side looks for a while before it sleeps on its lock; what it looks at, a board of two words, is a hint and the locks decide.
    """

    def __init__(self, mark: Callable[[], None], looks: int, team: TeamBoard, number: int) -> None:
        self._team, self._number = team, number
        self._bell, self._rung = threading.Lock(), False  # whether the thread is on its way
        self._board = np.zeros(WORDS, np.int64)  # parts given; in the ninth, parts done
        self._looks = looks
        self._parts = 0
        self._given, self._done = threading.Lock(), threading.Lock()
        self._given.acquire()
        self._done.acquire()
        self._part: Callable[[], object] | None = None
        self._result: object = None
        self._error: BaseException | None = None
        threading.Thread(target=self._serve, args=(mark,), name="analog-sim", daemon=True).start()

    def give(self, part: Callable[[], object]) -> None:
        """Let it begin with a part."""
        self._part = part
        self._parts += 1
        self.ring()
        self._board[0] = self._parts

    def ring(self) -> None:
        """Wake it, so that it looks at the board of its team."""
        with self._bell:
            if not self._rung:
                self._rung = True
                self._given.release()

    def wait(self) -> None:
        """Until the part has ended."""
        given = int(self._board.ctypes.data)
        look_until(given, self._parts, given + 64, self._parts - 1, self._looks)
        self._done.acquire()

    def taken(self) -> object:
        """The result of the part that has ended; raises its error."""
        result, error = self._result, self._error
        self._result = self._error = None  # nothing of the caller's is kept
        if error is not None:
            raise error
        return result

    def _serve(self, mark: Callable[[], None]) -> None:
        mark()
        given, done = int(self._board.ctypes.data), 0
        while True:
            serve(self._team.address, self._number, given + 64, done, given, done, self._looks)
            self._given.acquire()
            self._rung = False
            part, self._part = self._part, None
            if part is None:  # it was rung for the team
                continue
            self._error = None  # of an earlier part, if nobody took it
            try:
                self._result = part()
            except BaseException as error:  # the caller's thread raises it
                self._error = error
            done += 1
            self._done.release()


class Workers:
    """Threads that wait for parts of the work: one fewer than the most parts so far, for the caller does a part itself.

    They are kept, because making a thread takes longer than a small kernel; a process that was forked starts without any. They work for
    one caller at a time: another thread that asks meanwhile does all of its parts itself.
    """

    def __init__(self) -> None:
        self._team: list[Worker] = []
        self._board: TeamBoard | None = None
        self._lock = threading.Lock()
        self._growing = threading.Lock()
        self._here = threading.local()

    def run(self, work: Callable[[int, int], T], edges: Sequence[int]) -> list[T]:
        """Results of the work on every part, in order; all parts have ended when it returns or raises."""
        # A part that is cut again would wait for threads that wait for it.
        if getattr(self._here, "working", False) or not self._lock.acquire(blocking=False):
            return [work(first, last) for first, last in pairwise(edges)]
        try:
            return self._run(work, edges)
        finally:
            self._lock.release()

    def _run(self, work: Callable[[int, int], T], edges: Sequence[int]) -> list[T]:
        if len(self._team) < len(edges) - 2:
            self._enlarge(len(edges) - 2)
        others = self._team[: len(edges) - 2]
        for other, (first, last) in zip(others, pairwise(edges[1:]), strict=True):
            other.give(partial(work, first, last))
        try:
            own = work(edges[0], edges[1])
        finally:
            self._wait(others)
        return [own, *(cast(T, other.taken()) for other in others)]

    def team(self, threads: int, short: bool) -> int:
        """Number of a team of so many threads, this one among them, which are awake or on their way; see `analog_sim._teamwork`.

        0 for short work while they are at one that was postponed.
        """
        board = self._board
        if board is None or len(self._team) < threads - 1:
            board = self._enlarge(threads - 1)
        if short and board.postponed is not None and not board.postponed.ended:
            return 0
        if board.words[_ASLEEP]:
            for other in self._team[: threads - 1]:
                other.ring()
        return board.address + threads

    def postponed(self, team: int) -> Postponed | None:
        """A work that this team is to do while the caller goes on, who ends the last such work first; None for another thread's caller."""
        with self._growing:
            board = self._board
            if board is None or board.address != team & -BOARD:
                return None
            before = board.postponed
            if before is not None:
                if before.caller != threading.get_ident():
                    return None
                with contextlib.suppress(MemoryError):
                    before.result()  # whoever began it finds it there, and that it failed
            board.postponed = Postponed(board, team)
            return board.postponed

    def _enlarge(self, size: int) -> TeamBoard:
        """Have so many threads."""
        with self._growing:
            if self._board is None:
                self._board = TeamBoard()
            looks = looks_in(LOOKING)
            while len(self._team) < size:
                self._board.words[_ASLEEP] += 1  # until it looks
                self._team.append(Worker(self._mark, looks, self._board, len(self._team) + 1))
            return self._board

    def _wait(self, others: Sequence[Worker]) -> None:
        try:
            for other in others:
                other.wait()
        except BaseException:  # interrupted: these are still at work, and end by themselves
            self._team, self._board = [], None
            raise

    def _mark(self) -> None:
        self._here.working = True


_workers = Workers()


def run(work: Callable[[int, int], T], edges: Sequence[int]) -> list[T]:
    """Results of ``work(first, last)`` between neighbouring edges, one part on this thread and the others on kept ones."""
    return _workers.run(work, edges)


def team(threads: int, short: bool) -> int:
    """Number of a team of so many threads for a kernel that can be shared; 0 for a kernel that is to do all itself, see `Workers.team`."""
    return 0 if JIT_OFF else _workers.team(min(threads, MOST), short)


def postponed(team: int) -> Postponed | None:
    """A work for a team (not 0) that is done while the caller goes on, see `analog_sim._teamwork`; None where that cannot be now."""
    return _workers.postponed(team)


def _forget_workers() -> None:
    """Start anew in a forked process, in which the parent's threads are not."""
    global _workers
    _workers = Workers()


if sys.platform != "win32":  # which knows no fork
    os.register_at_fork(after_in_child=_forget_workers)
