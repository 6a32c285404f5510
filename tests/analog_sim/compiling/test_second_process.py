"""A second process compiles what this one needs later, and never outlives it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analog_sim.compiling.second_process import ALONE
from analog_sim.threads import available_cores

needs_two = pytest.mark.skipif(available_cores() < 2, reason="one core: there is no second process")

CALLED = """
import sys
from numba.core.dispatcher import Dispatcher
from numba.core.sigutils import normalize_signature
from analog_sim.compiling.first_kernels import KERNELS
from analog_sim.compiling.missing import kernel_name

modules = [module for name, module in sys.modules.items() if name.startswith("analog_sim.")]
found = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
called = {kernel_name(f.py_func.__module__, f.py_func.__qualname__, types) for f in found for types in f.overloads}
listed = {kernel_name(module, name, normalize_signature(f"({types})")[0]) for module, name, types in KERNELS}
print(*sorted(called - listed), "|", *sorted(listed - called))
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.jit
def test_the_list_is_what_a_first_product_calls() -> None:
    """A kernel that is not on the list is compiled by the first process alone; one that is not called is compiled for nobody.

    What a first product calls and the list lacks is printed before the bar; what the list has and nobody calls, after it.
    """
    assert (
        run(importlib.import_module("learning.experiments.commands.benchmark_cases.import").FIRST_CALL + CALLED) == "|"
    )


BOTH = """
import os, sys
import numpy as np
from analog_sim.compiling import second_process
from analog_sim.random.kernels.philox import fill_words

fill_words(np.zeros(4, np.int32), *np.zeros(3, np.uint64))  # on the list: the second process begins
partner = second_process.partner()
print(partner is not None, flush=True)
if sys.argv[1:] == ["wait"]:
    with partner._news:
        print(partner._news.wait_for(lambda: any("multiply" in kernel for kernel in partner._kept), 100.0))
elif partner is not None:
    print(second_process._Side.child.pid, flush=True)
    sys.stdin.read()
"""


def begin(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if name != ALONE}
    return subprocess.Popen(
        [sys.executable, "-c", BOTH, *arguments],
        env={**env, "NUMBA_CACHE_DIR": str(folder), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(pid: int) -> bool:
    """Whether a process ends within 30 seconds; one that only waits to be reaped has ended."""
    until = time.monotonic() + 30.0
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.jit
@needs_two
def test_it_compiles_what_is_needed_later(tmp_path: Path) -> None:
    with begin(tmp_path, "wait") as process:
        assert process.stdout is not None
        assert process.stdout.read().split() == ["True", "True"]
    assert process.returncode == 0
    assert list(tmp_path.rglob("product.multiply*.nbi")), "it is in the cache"


@pytest.mark.jit
@needs_two
@pytest.mark.skipif(sys.platform != "linux", reason="looks at a process in /proc")
@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_it_never_outlives_the_first(tmp_path: Path, how: str) -> None:
    process = begin(tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    second = int(process.stdout.readline())
    if how == "ends":
        process.stdin.close()
    else:
        process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert ended(second)


@pytest.mark.jit
def test_it_can_be_forbidden(tmp_path: Path) -> None:
    process = begin(tmp_path, **{ALONE: "1"})
    assert process.communicate("")[0] == "False\n"
