"""What happens when a kernel is not in the cache: who compiles it, and how this process does so.

A function is compiled as a whole. Ctrl-C is heeded before the next one that the kernel calls, or after the kernel: within the compiler
it may arrive in a function that C called, which can only print a traceback and go on. A second Ctrl-C is heeded at once. Python's search
for cyclic garbage waits too: it goes through all that the compiler knows, a tenth of the time. The wrapper by which C would call a kernel
of ours is left out, because nobody does; functions of others, who may hand theirs to C, keep it.
"""

import gc
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import FrameType
from typing import Any

from analog_sim.compiling import second_process
from analog_sim.compiling.first_kernels import KERNELS

OURS = ("analog_sim", "devices", "learning")
"""Packages whose kernels nobody calls from C."""


def kernel_name(module: str, function: str, types: Any) -> str:
    """Name by which two processes speak of a kernel: where it stands, and the types of its arguments."""
    return f"{module}.{function}{types}"


@cache
def _first() -> frozenset[tuple[str, str]]:
    return frozenset((module, name) for module, name, _ in KERNELS)


def made_elsewhere(function: Any, types: Any, folder: str) -> bool:
    """Whether another process has compiled, just now, what was not in the cache in `folder`; it is awaited. If not, it is begun here."""
    _compile_as_a_whole()
    module, name = function.__module__, function.__qualname__
    if (module, name) in _first():
        second_process.start(folder)
    partner, kernel = second_process.partner(), kernel_name(module, name, types)
    if partner is None:
        return False
    if partner.made(kernel):
        return True
    partner.begin(kernel)
    return False


def keep(save: Callable[[], None], function: Any, types: Any) -> None:
    """Write a kernel that was compiled here to the cache, and tell it."""
    with second_process.SAVING:
        save()
    partner = second_process.partner()
    if partner is not None:
        partner.kept(kernel_name(function.__module__, function.__qualname__, types))


@cache
def _compile_as_a_whole() -> None:
    """Let Numba compile every function, from now on, as this file begins with; a Numba of another form is left as it is."""
    compiler = sys.modules.get("numba.core.compiler")
    base = getattr(compiler, "compile_extra", None)
    signature = None if base is None else inspect.signature(base)
    if base is None or signature is None or not {"func", "flags"} <= signature.parameters.keys():
        return

    @wraps(base)
    def compile_extra(*args: Any, **keywords: Any) -> Any:
        given = signature.bind(*args, **keywords).arguments
        if str(given["func"].__module__).partition(".")[0] in OURS:
            given["flags"].no_cfunc_wrapper = True
        with whole():
            return base(*args, **keywords)

    setattr(compiler, "compile_extra", compile_extra)  # noqa: B010 - mypy takes modules for closed


Handler = Callable[[int, FrameType | None], Any]


class _Now:
    """What is being compiled. Numba's lock lets one thread compile at a time."""

    depth = 0
    """Functions, each for the one before it."""
    put_off: tuple[Handler, int, FrameType | None] | None = None
    """An interruption that is to be heeded."""


@contextmanager
def whole() -> Iterator[None]:
    """Compile what is in the block as a whole."""
    if _Now.depth:
        _heed()
        _Now.depth += 1
        try:
            yield
        finally:
            _Now.depth -= 1
        return
    collecting = gc.isenabled()
    gc.disable()
    _Now.depth = 1
    try:
        with _interrupted_afterwards():
            yield
    except BaseException:
        partner = second_process.partner()
        if partner is not None:
            partner.give_up()
        raise
    finally:
        _Now.depth = 0
        if collecting:
            gc.enable()


def _heed() -> None:
    """Do what was put off."""
    if _Now.put_off is not None:
        handler, number, frame = _Now.put_off
        _Now.put_off = None
        handler(number, frame)


@contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Put Ctrl-C off, unless it comes again. Signals reach the main thread; only a handler of Python's is put off."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    handler: Handler = before

    def note(number: int, frame: FrameType | None) -> None:
        if _Now.put_off is not None:
            _heed()
        _Now.put_off = (handler, number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except BaseException:
        _Now.put_off = None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    _heed()
