"""Compiling is said once, and begins early: while something else is done, once, and never longer than that takes."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from learning.experiments.runs.compiling import COMPILING, ahead, compiling, first_time


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder without a mark."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    return tmp_path


def test_compiling_is_said_until_a_job_of_the_kind_came_to_its_end(cache: Path) -> None:
    said: list[str] = []
    with pytest.raises(KeyError), compiling("estimate", said.append):
        raise KeyError
    with compiling("estimate", said.append):
        assert first_time("estimate")
    with compiling("estimate", said.append):
        pass
    assert said == [COMPILING.format("10 s")] * 2
    assert not first_time("estimate")
    assert first_time("train")


def test_jobs_run_ahead_in_turn_on_a_thread_of_their_own(cache: Path) -> None:
    done, all_done = [], threading.Event()

    def jobs() -> Iterator[Callable[[], object]]:
        for number in range(3):
            yield lambda n=number: done.append((n, threading.current_thread().name))
        yield all_done.set

    with ahead("estimate", jobs):
        assert all_done.wait(10)
    assert done == [(n, "compile-ahead") for n in range(3)]


def test_a_job_that_fails_ends_them_in_silence_for_the_run_meets_the_same(cache: Path) -> None:
    def fails() -> None:
        raise ValueError

    with ahead("estimate", lambda: [fails]):
        pass
    assert "compile-ahead" not in {thread.name for thread in threading.enumerate()}


def test_no_job_is_begun_after_the_block(cache: Path) -> None:
    begun, go_on, second = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        go_on.wait(10)

    def interrupted() -> None:
        with ahead("estimate", lambda: [first, lambda: second.append(1)]):
            assert begun.wait(10)
            threading.Timer(0.2, go_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert second == []


def test_nothing_runs_ahead_where_nothing_is_compiled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> list[Callable[[], object]]:
        raise AssertionError("asked for jobs")

    (cache / "compiled-estimate").touch()
    with ahead("estimate", never):
        pass
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with ahead("train", never):
        pass
