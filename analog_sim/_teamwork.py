"""Parts of one call of a kernel on several threads at once, handed over without Python. Never decides whether they are worth a thread.

A kernel that may be shared begins with the arguments ``first, last, team``, and with

    if team:
        return shared(first, last, step, each, team)

where team is 0, or a team's number (`analog_sim.threads.team_for`). Parts begin at multiples of step, and there are `each` for each thread
or fewer: more than one where parts take unlike times. The call then lays its own arguments out in memory, writes on the team's board
where they are and where its own code is, and takes part after part; kept threads that look at the board take parts too, as calls of the
same function with team 0. A part begins within a microsecond of the call, and a thread that sleeps, or is not let run, is never waited
for: what it does not take, the others do.

Each thread begins with parts of its own, the same share of the rows at every call, because the rows that it wrote in the last kernel are
in its core's cache (`take_whole`, two cores far from each other: 50 us for rows that the same core had written, 90 for rows of the other,
100 on one thread). Only who has done his own takes others'.

A call whose team has the flag `LATER` returns at once: the kept threads do its parts while the caller does other things, and `finish` does
what is left of them. One work at a time can be postponed so, and its arrays must stay as they are until it is finished.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from analog_sim.random.kernels.options import CALLED, JIT_OFF, KERNEL, within

BOARD = 4096
"""Alignment of a board in bytes: the lowest bits of a team's number are free for how many threads it has."""

DONE, SUM, BUSY, ASLEEP, SHARING = 64, 72, 128, 192, 256
"""Bytes at which a board says: parts done, and the sum of their results; whether a work is under way; how many threads sleep; how a kernel
finds `take_parts`."""
PARTS, THREADS, CODE, PLACE, FIRST, LAST, STEP = 264, 272, 280, 288, 296, 304, 312
"""And of the present work: parts, threads, address of its function for a part, of its arguments, and how 0 ... n - 1 is cut."""
POSTPONED, FOUND = 384, 392
"""And of a postponed work: NOT_YET or ENDED, and its result."""
NOT_YET, ENDED = 1, 2
_SHARED, _LEFT_TO_OTHERS = 1, 2  # what makes a board busy
OWN, LINE = 512, 64
"""Where a board says, for each thread on a line of the cache for itself: the work's number (52 bits) and how many of the thread's own parts
nobody has taken yet (12 bits)."""

ARGUMENTS, ROOM = OWN + LINE * BOARD, 8192
"""Where the arguments of a postponed work are, of so many bytes at most."""

LATER = 1 << 62
"""Flag of a team's number: the caller does not wait."""
FINER = 3
"""A postponed work has so many times as many parts, so that nobody waits for the end of a long one."""

_LEFT = np.int64(BOARD - 1)
_MOST = BOARD - 1

if JIT_OFF:

    def shared(first: Any, last: Any, step: Any, each: Any, team: Any) -> Any:
        """There are no teams with the compiler off."""
        raise NotImplementedError

    def finish(board: int) -> int:
        """Nor is anything postponed."""
        raise NotImplementedError

    def serve(board: int, number: int, mine: int, said: int, other: int, known: int, looks: int) -> None:
        """And nobody looks, see `analog_sim._spinning`."""

else:
    from analog_sim._spinning import PAUSE, YIELDS, add, load, pause, replace, sched_yield, store, word_at

    _INT = ir.IntType(64)

    @intrinsic
    def _part(typingctx: Any, code: Any, place: Any, first: Any, last: Any) -> Any:
        """Call the function of a part at an address; its result."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(_INT, [_INT] * 3)
            return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

        return types.int64(*[types.int64] * 4), codegen

    @intrinsic
    def _own_code(typingctx: Any) -> Any:
        """Address of the function in whose body this stands."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.ptrtoint(builder.function, _INT)

        return types.int64(), codegen

    @intrinsic
    def shared(typingctx: Any, first: Any, last: Any, step: Any, each: Any, team: Any) -> Any:
        """The sum of the results of parts of this call, which stands first in a kernel; see above.

        Raises MemoryError for what a part raises: kernels raise nothing but what making an array does.
        """

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kernel = builder.function
            board = builder.and_(args[4], ir.Constant(_INT, -BOARD & ~LATER))
            later = builder.icmp_signed("!=", builder.and_(args[4], ir.Constant(_INT, LATER)), ir.Constant(_INT, 0))
            place = _laid_out(
                context, builder, kernel.args[2:], later, builder.add(board, ir.Constant(_INT, ARGUMENTS))
            )
            code = builder.ptrtoint(_function_of_a_part(kernel), _INT)
            threads = builder.and_(args[4], ir.Constant(_INT, BOARD - 1))
            where = builder.load(word_at(builder, builder.add(board, ir.Constant(_INT, SHARING))))
            kind = ir.FunctionType(ir.IntType(32), [_INT.as_pointer(), kernel.args[1].type, *[_INT] * 8])
            result = cgutils.alloca_once(builder, _INT)
            given = board, threads, code, builder.ptrtoint(place, _INT), *args[:4]
            builder.call(builder.inttoptr(where, kind.as_pointer()), [result, kernel.args[1], *given])
            failed = builder.load(_field(builder, place, 0))
            with builder.if_then(cgutils.is_not_null(builder, failed), likely=False):
                context.call_conv.return_user_exc(builder, MemoryError, ("a part of a kernel failed",))
            return builder.load(result)

        return types.int64(*[types.int64] * 5), codegen

    def _field(builder: Any, place: Any, number: int) -> Any:
        """Where a field of a structure is."""
        return builder.gep(place, [ir.IntType(32)(0), ir.IntType(32)(number)])

    def _laid_out(context: Any, builder: Any, values: Any, later: Any, elsewhere: Any) -> Any:
        """Address of a structure with a word that is not 0 once a part failed, and the arguments of a kernel.

        It is on the stack, but elsewhere for a work that is done later.
        """
        kind = _structure([value.type for value in values])
        if context.get_abi_sizeof(kind) > ROOM:
            raise ValueError(f"a shared kernel has arguments of more than {ROOM} bytes")
        stack = cgutils.alloca_once(builder, kind)
        place = builder.select(later, builder.inttoptr(elsewhere, kind.as_pointer()), stack)
        for number, value in enumerate([ir.Constant(_INT, 0), *_uncounted(values)]):
            builder.store(value, _field(builder, place, number))
        return place

    def _structure(kinds: Any) -> Any:
        return ir.LiteralStructType([_INT, *kinds])

    def _uncounted(values: Any) -> list[Any]:
        """Arguments of a kernel, where arrays have no counter of references: two threads that count at one place wait for each other.

        On two cores far from each other `take_whole` took 210 us with counters, twice the time of one thread, and 50 without.

        An array is handed over as pointers to its counter and to its Python object, two integers, the pointer to its numbers, and its
        lengths: two pointers to bytes one after the other are nothing else where arrays have an axis.
        """
        pointer = ir.IntType(8).as_pointer()
        kinds = [value.type for value in values]
        firsts = {k for k in range(len(kinds) - 1) if kinds[k] == kinds[k + 1] == pointer}
        return [ir.Constant(pointer, None) if k in firsts or k - 1 in firsts else v for k, v in enumerate(values)]

    def _function_of_a_part(kernel: Any) -> Any:
        """``f(address of the arguments, first, last)``: the kernel itself from first to last, without a team; returns its number."""
        part = ir.Function(kernel.module, ir.FunctionType(_INT, [_INT] * 3), name=f"{kernel.name}.part")
        part.linkage = "internal"
        builder = ir.IRBuilder(part.append_basic_block())
        kinds = [value.type for value in kernel.args[2:]]
        place = builder.inttoptr(part.args[0], _structure(kinds).as_pointer())
        given = [builder.load(_field(builder, place, 1 + number)) for number in range(3, len(kinds))]
        result = builder.alloca(kernel.args[0].type.pointee)
        error = builder.alloca(kernel.args[1].type.pointee)
        own = [result, error, part.args[1], part.args[2], ir.Constant(_INT, 0)]
        status = builder.call(kernel, [*own, *given], attrs=("noinline",))
        # Numba's functions return 0, or -2 for None.
        good = builder.or_(
            builder.icmp_signed("==", status, status.type(0)), builder.icmp_signed("==", status, status.type(-2))
        )
        with builder.if_then(builder.not_(good), likely=False):
            builder.store_atomic(ir.Constant(_INT, 1), _field(builder, place, 0), "release", 8)
        number = kernel.args[0].type.pointee == _INT
        builder.ret(builder.select(good, builder.load(result), _INT(0)) if number else _INT(0))
        return part

    @within
    def _claim(board, owner):
        """Take a part of a thread's own; how many it had left before, 0 when there was none."""
        word = load(board + OWN + LINE * owner)
        while word & _LEFT != 0:
            if replace(board + OWN + LINE * owner, word, word - 1):
                return word & _LEFT
            word = load(board + OWN + LINE * owner)
        return np.int64(0)

    @njit(**CALLED)
    def _take(board, number):
        """Do parts of the work that a board tells of until all are taken: those of thread `number`, then those of the next, and so on."""
        threads = load(
            board + THREADS
        )  # of an earlier work, perhaps, whose parts are all taken: then it finds what it finds
        for k in range(threads):
            owner = (number + k) % threads
            while True:
                left = _claim(board, owner)
                if left == 0:
                    break
                # The work cannot end before this part is done, so what the board says of it stays.
                parts, step, all_threads = load(board + PARTS), load(board + STEP), load(board + THREADS)
                first, last = load(board + FIRST), load(board + LAST)
                part = parts * (owner + 1) // all_threads - left
                n = last - first
                start = first + n * part // parts // step * step
                end = last if part + 1 == parts else first + n * (part + 1) // parts // step * step
                if start < end:
                    add(board + SUM, _part(load(board + CODE), load(board + PLACE), start, end))
                add(board + DONE, 1)

    @within
    def _waited(looks):
        """Wait a little; looks: how often before, returned with one more."""
        pause()
        if YIELDS and looks % PAUSE == PAUSE - 1:
            sched_yield()
        return looks + 1

    @within
    def _ended(board):
        """Do parts of the work that a board tells of until it has ended; its result."""
        _take(board, 0)
        parts, looks = load(board + PARTS), 0
        while load(board + DONE) < parts:
            looks = _waited(looks)
        return load(board + SUM)

    @within
    def _board_is_free(board):
        """Whether the board is this caller's now, because nobody else's work is under way; a postponed one is ended first."""
        if replace(board + BUSY, 0, _SHARED):
            return True
        if not replace(board + BUSY, _LEFT_TO_OTHERS, _SHARED):
            return False
        store(board + FOUND, _ended(board))
        store(board + POSTPONED, ENDED)
        return True

    @njit(**KERNEL)
    def take_parts(board, threads, code, place, first, last, step, each):
        """Share a work out and do parts of it; the sum of their results. For board 0: the address of this function."""
        if board == 0:
            return _own_code()
        later = place == board + ARGUMENTS
        if not _board_is_free(board):
            result = _part(code, place, first, last)
            if later:
                store(board + FOUND, result)
                store(board + POSTPONED, ENDED)
            return result
        each = min(each * FINER if later else each, _MOST)
        parts = max(1, min(each * threads, (last - first) // max(step, 1)))
        store(board + PARTS, parts)
        store(board + THREADS, threads)
        store(board + CODE, code)
        store(board + PLACE, place)
        store(board + FIRST, first)
        store(board + LAST, last)
        store(board + STEP, max(step, 1))
        store(board + DONE, 0)
        store(board + SUM, 0)
        if later:
            store(board + POSTPONED, NOT_YET)
        number = (load(board + OWN) | _LEFT) + 1
        for owner in range(threads - 1, -1, -1):
            own = parts * (owner + 1) // threads - parts * owner // threads
            store(board + OWN + LINE * owner, number | own)
        if later:
            store(board + BUSY, _LEFT_TO_OTHERS)
            return np.int64(0)
        total = _ended(board)
        store(board + BUSY, 0)
        return total

    @njit(**KERNEL)
    def finish(board):
        """Do what is left of the postponed work, wait for what others do of it, and return its result."""
        looks = 0
        while load(board + POSTPONED) != ENDED:
            if _board_is_free(board):
                store(board + BUSY, 0)
            looks = _waited(looks)
        return load(board + FOUND)

    @njit(**KERNEL)
    def serve(board, number, mine, said, other, known, looks):
        """Be thread `number` of a team until the word at `other` is not `known`, or there was nothing to do in so many looks.

        mine, said: an address and what is written there first, as in `look_until`.
        """
        store(mine, said)
        add(board + ASLEEP, -1)
        left = looks
        while left > 0:
            for _ in range(PAUSE):
                if load(other) != known:
                    add(board + ASLEEP, 1)
                    return
                if load(board + OWN + LINE * number) & _LEFT != 0:
                    _take(board, number)
                    left = looks
                pause()
            if YIELDS:
                sched_yield()
            left -= 1
        add(board + ASLEEP, 1)


class Postponed:
    """A work that kept threads do while its caller does other things; of a board that had no other.

    Attributes:
        team: a number with which the kernel is to be called, once. caller: the thread that asks for it.
    """

    def __init__(self, board: TeamBoard, team: int) -> None:
        self.team, self.caller = team | LATER, threading.get_ident()
        self._board: TeamBoard | None = board
        self._arguments: tuple[Any, ...] = ()
        self._result, self._failed = 0, False
        self._asked = threading.Lock()

    @property
    def ended(self) -> bool:
        """Whether all parts are done."""
        board = self._board
        return (
            board is None or board.words[POSTPONED // 8] == ENDED or board.words[DONE // 8] == board.words[PARTS // 8]
        )

    def begin(self, kernel: Any, rows: int, arguments: tuple[Any, ...]) -> None:
        """Call a kernel for all rows; its arguments are kept, and must not change before `result`."""
        self._arguments = arguments
        try:
            kernel(0, rows, self.team, *arguments)
        except BaseException:
            self.result()
            raise

    def result(self) -> int:
        """What the kernel returned, once all parts are done. Raises MemoryError, to everyone who asks, where a part failed."""
        with self._asked:
            board = self._board
            if board is not None:
                self._result = int(finish(board.address))
                self._failed = bool(board.words[ARGUMENTS // 8])
                self._board, self._arguments, board.postponed = None, (), None
        if self._failed:
            raise MemoryError("a part of a kernel failed")
        return self._result


class TeamBoard:
    """A board in memory, for `threads - 1` kept threads and the caller.

    Attributes:
        address: of its first byte, a multiple of `BOARD`. words: what is written there, int64.
        postponed: the work that is postponed now.
    """

    def __init__(self) -> None:
        self._room = np.zeros((BOARD + ARGUMENTS + ROOM) // 8, np.int64)
        first = -self._room.ctypes.data % BOARD
        self.words = self._room.data[first // 8 :]
        self.postponed: Postponed | None = None
        self.address = int(self._room.ctypes.data) + first
        self.words[POSTPONED // 8] = ENDED
        if not JIT_OFF:
            self.words[SHARING // 8] = take_parts(0, 0, 0, 0, 0, 0, 0, 0)
