"""Two ends of the line between processes that compile: who waits for whom, and that nobody waits for one that is gone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from analog_sim.compiling.partner import Partner


class Ends:
    """Two partners in one process, each with a signal that is set once the other one is gone."""

    def __init__(self) -> None:
        (here, to_here), (there, to_there) = os.pipe(), os.pipe()
        self.left_alone = threading.Event()
        self.said = os.fdopen(to_there, "wb"), os.fdopen(to_here, "wb")
        self.first = Partner(os.fdopen(here, "rb"), self.said[0], self.left_alone.set)
        self.second = Partner(os.fdopen(there, "rb"), self.said[1], lambda: None)


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    for pipe in made.said:
        pipe.close()


def heard(partner: Partner, kernel: str) -> bool:
    """Whether the news of a kernel arrives within ten seconds."""
    with partner._news:
        return partner._news.wait_for(lambda: kernel in partner._at_work or kernel in partner._kept, 10.0)


def test_a_kernel_that_the_other_one_compiles_is_waited_for(ends: Ends) -> None:
    ends.second.begin("a(int64)")
    assert heard(ends.first, "a(int64)")
    assert ends.first.has("a(int64)")
    assert not ends.first.made("b(int64)"), "nobody is at work at it"
    timer = threading.Timer(0.1, ends.second.kept, ["a(int64)"])
    timer.start()
    assert ends.first.made("a(int64)")
    timer.join()


def test_a_kernel_that_is_given_up_is_compiled_here(ends: Ends) -> None:
    for kernel in ("outer", "inner"):
        ends.second.begin(kernel)
    assert heard(ends.first, "inner")
    timer = threading.Timer(0.1, ends.second.give_up)
    timer.start()
    assert not ends.first.made("inner")
    assert not ends.first.made("outer")
    timer.join()
    ends.second.kept("outer")  # it is no longer at work at it: nothing is told
    ends.second.begin("last")
    assert heard(ends.first, "last")
    assert not ends.first.made("outer")


def test_nobody_waits_for_one_that_is_gone(ends: Ends) -> None:
    ends.second.begin("a")
    assert heard(ends.first, "a")
    timer = threading.Timer(0.1, ends.said[1].close)
    timer.start()
    assert not ends.first.made("a")
    assert ends.left_alone.wait(10.0)
    timer.join()
    for pipe in ends.said:
        pipe.close()
    ends.first.begin("b")  # the line is closed: no error
    ends.first.kept("b")
