"""A second process that compiles kernels while this one compiles others: Numba compiles one function at a time in a process.

It begins when a kernel of `first_kernels` is to be compiled, where a second core is there and what is compiled is kept, and goes through
that list, which begins with what is needed last. It ends with its list, or with this process, however that ends: its input is a pipe
that closes then. Results do not depend on it: without it, or when it fails, every kernel is compiled here.
"""

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO

from analog_sim.compiling.partner import Partner
from analog_sim.threads import available_cores

ALONE = "ANALOG_SIM_COMPILE_ALONE"
"""Environment variable that forbids the second process."""

SAVING = threading.Lock()
"""Held while a kernel is written to the cache, so that the second process does not end meanwhile."""

_SERVE = "import sys; sys.path.insert(0, sys.argv[1]); from analog_sim.compiling.second_process import serve; serve()"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class _Side:
    """What this process knows of the other one."""

    partner: Partner | None = None
    child: "subprocess.Popen[bytes] | None" = None
    owner = 0
    asked = False


def partner() -> Partner | None:
    """The other process, if there is one; a process that was forked from this one has none."""
    return _Side.partner if _Side.owner == os.getpid() else None


def start(folder: str) -> None:
    """Let a second process begin, once, where it can help. `folder`: where a kernel that is to be compiled will be kept."""
    if _Side.asked:
        return
    _Side.asked = True
    if not _helpful(folder):
        return
    with suppress(OSError):
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE, _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, ALONE: "1"},
            start_new_session=True,  # Ctrl-C is for this process, which the other one follows
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert child.stdin is not None
        assert child.stdout is not None
        _follow(child, child.stdin)
        _Side.child = child
        _Side.partner, _Side.owner = Partner(child.stdout, child.stdin, lambda: _reap(child)), os.getpid()


def _helpful(folder: str) -> bool:
    """Whether a second process can be started and is of use; the workers of a pool have the cores already."""
    processes = sys.modules.get("multiprocessing.process")
    return (
        not os.environ.get(ALONE)
        and available_cores() > 1
        and "python" in os.path.basename(sys.executable or "").lower()
        and not getattr(sys, "frozen", False)
        and (processes is None or processes.parent_process() is None)
        and os.access(folder, os.W_OK | os.X_OK)
    )


def _reap(child: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError, ValueError):
        child.wait()


def _follow(child: "subprocess.Popen[bytes]", line: IO[bytes]) -> None:
    """Let it end when this process does."""
    owner = os.getpid()

    def end() -> None:
        if os.getpid() != owner:  # a process that was forked from this one
            return
        with suppress(OSError, ValueError):
            line.close()
        with suppress(subprocess.TimeoutExpired, OSError):
            child.wait(2.0)
        if child.poll() is None:
            child.kill()

    atexit.register(end)


def serve() -> None:
    """The second process: compile what the list names and the first one has not begun."""
    said = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    first = Partner(sys.stdin.buffer, said, _leave)
    _Side.partner, _Side.owner, _Side.asked = first, os.getpid(), True

    from importlib import import_module

    from numba.core.sigutils import normalize_signature

    from analog_sim.compiling.first_kernels import KERNELS
    from analog_sim.compiling.missing import kernel_name

    for module, name, arguments in KERNELS:
        with suppress(Exception):  # the first process meets it where errors are seen
            types, _ = normalize_signature(f"({arguments})")
            if not first.has(kernel_name(module, name, types)):
                getattr(import_module(module), name).compile(types)
    _leave()  # what the compiler has made takes Python half a second to put away, and the first process may be waiting


def _leave() -> None:
    """End this process, but not while it writes a file of the cache."""
    with SAVING:
        os._exit(0)
