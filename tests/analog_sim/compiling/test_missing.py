"""A kernel is compiled as a whole: the garbage collector and Ctrl-C wait."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from analog_sim.compiling.missing import whole


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
