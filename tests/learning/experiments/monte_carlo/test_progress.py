"""Progress: a bar for a person, whole lines for a file."""

import io

import pytest

from learning.experiments.monte_carlo.progress import EVERY_S, progress


class Stderr(io.StringIO):
    """A terminal, or a file."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def shown(monkeypatch: pytest.MonkeyPatch, terminal: bool, seconds: list[float], **options: object) -> str:
    """What is written when units end at these times."""
    stderr = Stderr(terminal)
    monkeypatch.setattr("sys.stderr", stderr)
    now = [0.0]
    monkeypatch.setattr("learning.experiments.monte_carlo.progress.time.monotonic", lambda: now[0])
    with progress(len(seconds), unit="chip", **options) as bar:  # type: ignore[arg-type]
        for now[0] in seconds:
            bar.update()
    return stderr.getvalue()


def test_a_file_gets_few_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, False, [1.0, EVERY_S + 1, EVERY_S + 2, 3 * EVERY_S])
    assert text.splitlines() == ["2 of 4 chips, 31 s", "4 of 4 chips, 1 min 30 s"]
    assert "\r" not in text


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\r" in shown(monkeypatch, True, [1.0, 2.0])


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_shown_unless_asked_for(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    assert shown(monkeypatch, terminal, [1.0], shown=False) == ""
