"""A kernel is compiled as a whole: the garbage collector and Ctrl-C wait."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from analog_sim.compiling.missing import whole
from analog_sim.compiling.second_process import ALONE


@pytest.fixture(autouse=True)
def python_heeds() -> Iterator[None]:
    """A shell's background job ignores SIGINT; here Python's own handler stands."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_collector_waits_and_is_as_before() -> None:
    with whole():
        assert not gc.isenabled()
        with whole():
            pass
        assert not gc.isenabled(), "until the outermost is done"
    assert gc.isenabled()
    gc.disable()
    try:
        with whole():
            pass
        assert not gc.isenabled(), "the user's own choice stands"
    finally:
        gc.enable()
    with pytest.raises(ZeroDivisionError), whole():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_an_interruption_is_heeded_afterwards() -> None:
    done = []

    def compile_two() -> None:
        with whole():
            with whole():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        compile_two()
    assert done == ["inner", "outer"]
    with whole():
        done.append("the next")
    assert done == ["inner", "outer", "the next"], "it is heeded once"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_is_heeded_before_the_next_function() -> None:
    done = []

    def compile_two() -> None:
        with whole():
            signal.raise_signal(signal.SIGINT)
            done.append("outer")
            with whole():
                done.append("inner")

    with pytest.raises(KeyboardInterrupt):
        compile_two()
    assert done == ["outer"]
    assert gc.isenabled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with whole():
        pass


def test_a_second_interruption_is_heeded_at_once() -> None:
    done = []

    def compile_one() -> None:
        with whole():
            signal.raise_signal(signal.SIGINT)
            done.append("first")
            signal.raise_signal(signal.SIGINT)
            done.append("second")

    with pytest.raises(KeyboardInterrupt):
        compile_one()
    assert done == ["first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_users_own_is_called_afterwards() -> None:
    seen: list[str] = []

    def own(number: int, frame: FrameType | None) -> None:
        seen.append("called")

    signal.signal(signal.SIGINT, own)
    with whole():
        signal.raise_signal(signal.SIGINT)
        seen.append("compiled")
    assert seen == ["compiled", "called"]


@pytest.mark.jit
def test_functions_of_others_can_still_be_called_from_c(tmp_path: Path) -> None:
    """Theirs had no wrapper either: a `numba.cfunc` in a program that had compiled a kernel of ours ended it with a segmentation fault."""
    code = """
import numpy as np
from numba import cfunc, njit, types
from analog_sim.reads.kernels.energy import square_and_power
cache = square_and_power(np.ones((2, 3), np.float32), np.ones(3, np.float32), np.empty((2, 3), np.float32))
twice = cfunc("float64(float64)")(lambda x: 2 * x)
functions = tuple(njit(types.float64(types.float64))(f) for f in (lambda x: x + 1, lambda x: 3 * x))
@njit
def total(functions, x):
    s = 0.0
    for f in functions:
        s += f(x)
    return s
print(twice.ctypes(3.0), total(functions, 2.0))
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path), ALONE: "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "6.0 9.0\n"), done.stderr[-500:]
