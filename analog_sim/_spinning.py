"""Words of memory by which threads speak without Python's lock, and waiting awake for one to change. Nobody waits here for long.

A thread that sleeps is woken in some 60 us (its core sleeps too), one that looks in less than one; but it takes a core from others, so
whoever waits here does so for a fraction of a millisecond, and then sleeps on a lock.
"""

from __future__ import annotations

import platform
import sys
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from analog_sim.random.kernels.options import JIT_OFF

WORDS = 16
"""Of a board: the first for one side, the ninth for the other, so that they do not share a line of the cache."""

_PAUSES = platform.machine().lower() in ("x86_64", "amd64", "x86", "i686")
YIELDS = sys.platform != "win32"
PAUSE = 16
"""Looks between two times at which other threads may take the core."""
_LOOKS_TO_TIME = 200

if JIT_OFF:

    def look_until(mine: int, said: int, other: int, known: int, looks: int) -> bool:
        """With the compiler off a thread would look with Python's lock in its hands: it does not look."""
        return False

else:
    _INT = ir.IntType(64)

    def word_at(builder: Any, address: Any) -> Any:
        """The pointer to the int64 at an address."""
        return builder.inttoptr(address, _INT.as_pointer())

    @intrinsic
    def load(typingctx: Any, address: Any) -> Any:
        """The int64 at an address, read anew each time, before all that follows."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load_atomic(word_at(builder, args[0]), "acquire", 8)

        return types.int64(types.int64), codegen

    @intrinsic
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        """Write an int64 to an address, after all that was written before."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.store_atomic(args[1], word_at(builder, args[0]), "release", 8)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    @intrinsic
    def add(typingctx: Any, address: Any, value: Any) -> Any:
        """Add to the int64 at an address, all at once; what was there."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.atomic_rmw("add", word_at(builder, args[0]), args[1], "acq_rel")

        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def replace(typingctx: Any, address: Any, known: Any, value: Any) -> Any:
        """Replace the int64 at an address if it is the known one, all at once; whether it was."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = builder.cmpxchg(word_at(builder, args[0]), args[1], args[2], "acq_rel", "acquire")
            return builder.extract_value(found, 1)

        return types.boolean(types.int64, types.int64, types.int64), codegen

    @intrinsic
    def pause(typingctx: Any) -> Any:
        """Tell the processor that this thread only waits."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if _PAUSES:
                kind = ir.FunctionType(ir.VoidType(), [])
                builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
            return context.get_dummy_value()

        return types.void(), codegen

    sched_yield = types.ExternalFunction("sched_yield", types.int32())

    @njit(cache=True, nogil=True)
    def look_until(mine, said, other, known, looks):
        """Write `said` to the word at `mine`, then look at the word at `other` until it is not `known`; whether it was so in so many looks.

        Addresses and words are int64. A thread that has something to do gets the core between two looks.
        """
        store(np.int64(mine), np.int64(said))
        for _ in range(looks):
            for _ in range(PAUSE):
                if load(np.int64(other)) != known:
                    return True
                pause()
            if YIELDS:
                sched_yield()
        return False


def looks_in(seconds: float) -> int:
    """Looks that take so long, from a trial of them; 0 when there is no looking."""
    board = np.zeros(WORDS, np.int64)
    first = int(board.ctypes.data)
    there = look_until(first, 0, first + 64, 1, 1)  # compiles
    start = time.perf_counter()
    look_until(first, 0, first + 64, 0, _LOOKS_TO_TIME)
    each = (time.perf_counter() - start) / _LOOKS_TO_TIME
    return int(seconds / each) if there else 0
