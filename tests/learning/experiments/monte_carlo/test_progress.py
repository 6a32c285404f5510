"""Progress: a board for a person, whole lines for a file, units that are what was asked for."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from learning.experiments.monte_carlo.evaluate import Task, View, run_tasks
from learning.experiments.monte_carlo.life import TerminalLife
from learning.experiments.monte_carlo.progress import EVERY_S, Board, Group, Underway, span
from learning.experiments.monte_carlo.screen import TerminalScreen
from learning.experiments.runs.result_log import ResultLog, Row


class Stderr(io.StringIO):
    """A terminal, or a file."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("learning.experiments.monte_carlo.progress.time.monotonic", lambda: self.now)


def on_screen(written: str, columns: int) -> list[str]:
    """What a terminal shows in the end: the few control sequences that are used, played."""
    lines, row, col = [""], 0, 0
    for token in re.findall(r"\x1b\[\d*[AJ]|\n|\r|[^\x1b\n\r]+", written):
        if token == "\n":
            row, col = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            col = 0
        elif token.endswith("J") and token.startswith("\x1b"):
            lines[row] = lines[row][:col]
            del lines[row + 1 :]
        elif token.endswith("A") and token.startswith("\x1b"):
            row -= int(token[2:-1] or 1)
        else:
            assert len(token) + col < columns, f"would break the line: {token!r}"
            lines[row] = lines[row][:col].ljust(col) + token + lines[row][col + len(token) :]
            col += len(token)
    return lines


def test_a_file_gets_few_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr, clock = Stderr(False), Clock(monkeypatch)
    monkeypatch.setattr("sys.stderr", stderr)
    with Board({"": Group(4)}) as board:
        for clock.now in (1.0, EVERY_S + 1, EVERY_S + 2, 3 * EVERY_S):
            board.update()
    assert stderr.getvalue().splitlines() == ["2 of 4 chips, 31 s, about 31 s left", "4 of 4 chips, 1 min 30 s"]


def test_time_left_is_told_from_the_first_finished_unit_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    board = Board({"": Group(10, done=2)}, shown=False)
    clock.now = 8.0
    assert board.line() == "2 of 10 chips, 8 s"
    board.update()
    assert board.line() == "3 of 10 chips, 8 s, about 56 s left", "what an earlier start has done takes no time now"
    late = Board({"": Group(300)}, shown=False)
    clock.now = 38.0
    late.update(took=1.0)
    assert late.line() == "1 of 300 chips, 30 s, about 4 min 59 s left", "29 s went by until the workers had started"
    clock.now = 8.0
    third = Board({"": Group(4)}, shown=False, place=(3, 4))
    third.update()
    clock.now = 18.0
    assert third.line().endswith("10 s, about 1 min 10 s left"), "of all runs in a row: 7 quarters of one remain"


def test_units_are_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """25 chips, and 30 variants on 10 of them, are not 325 chips."""
    Clock(monkeypatch)
    board = Board({"": Group(25), "30 variants x 10 chips": Group(300)}, shown=False)
    board.update("", "mean 96.40 % at 1 year")
    assert board.line().startswith("1 of 25 chips; 0 of 300 chips (30 variants x 10 chips)")
    bar, chips, variants = board.picture()
    assert bar.startswith("[----------------------------]   0 %")
    assert chips == "  chips                    1 of 25   mean 96.40 % at 1 year"
    assert variants == "  30 variants x 10 chips  0 of 300"


def test_units_at_work_count_by_their_part_and_show_what_they_have_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    found = {"plain": Underway(0.5, "best 91.20 %"), "decorrelated": Underway(0.25)}
    board = Board({"plain": Group(1), "decorrelated": Group(2)}, "seed", False, watch=lambda: found)
    clock.now = 30.0
    board._tick()
    assert board.picture()[0].endswith("25 %  30 s, about 1 min 30 s left")
    assert board.picture()[1] == "  plain         0 of 1   best 91.20 %"


@pytest.mark.parametrize("columns", [80, 40])
def test_a_terminal_shows_one_board_and_whatever_is_printed_above_it(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    stderr = Stderr(True)
    monkeypatch.setattr("sys.stderr", stderr)
    names = [f"arm {k} {'with a long name ' * 5}" for k in range(14)]
    with Board({name: Group(1) for name in names}, "arm", title="point 1 of 3") as board:
        for name in names[:3]:
            board.update(name, "best 99.00 %")
            board._draw()
            print(f"warning: {name[:6]}", file=sys.stderr)
            board._draw()
        shown = on_screen(stderr.getvalue(), columns)
    warnings = [line for line in shown if line.startswith("warning")]
    assert warnings == [f"warning: {name[:6]}" for name in names[:3]], "whole, and not written over"
    assert sum(line.startswith("[") for line in shown) == 1
    assert sum(line.startswith("  arm ") for line in shown) == 10
    assert "  and 4 more" in shown
    last = on_screen(stderr.getvalue(), columns)
    assert [line for line in last if line and not line.startswith("warning")] == [last[-2]], "the board has gone"
    assert last[-2].startswith("point 1 of 3: 3 of 14 arms, ")


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_shown_unless_asked_for(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stderr = Stderr(terminal)
    monkeypatch.setattr("sys.stderr", stderr)
    with Board({"": Group(1)}, shown=False) as board:
        board.update()
    assert stderr.getvalue() == ""


def rows_of(task: Task) -> Row:
    return {"accuracy": 0.5 + 0.1 * float(task.key["chip"] or 0)}


def test_tasks_are_counted_in_their_groups_and_a_resumed_run_goes_on_counting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ResultLog(tmp_path / "log.csv", {"study": str, "chip": int, "accuracy": float}, ("study", "chip"))
    tasks = [Task({"study": study, "chip": chip}) for study in ("", "b") for chip in range(2)]
    seen: list[tuple[int, ...]] = []

    def note(rows: Sequence[Row]) -> str:
        seen.append(tuple(int(100 * float(row["accuracy"] or 0)) for row in rows))
        return f"{len(rows)} rows"

    view = View("chip", lambda task: str(task.key["study"]), note)
    run_tasks(rows_of, tasks[:1], results=log, progress=False, view=view)
    run_tasks(rows_of, tasks, results=log, view=view)
    assert seen == [(50,), (60,), (50,), (50, 60)]
    assert capsys.readouterr().err.startswith("2 of 2 chips; 2 of 2 chips (b), ")


def test_life_is_a_counting_line_on_a_terminal_and_lines_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for terminal in (True, False):
        stderr = Stderr(terminal)
        monkeypatch.setattr("sys.stderr", stderr)
        life = TerminalLife()
        life._say("fitting 5 pulse laws")
        life._begun -= 70.0
        life._last -= life.EVERY + 0.1
        life._watch()
        assert "  ... fitting 5 pulse laws: 1 min 10 s" in stderr.getvalue()
        assert ("\x1b" in stderr.getvalue()) is terminal
        life.__exit__()
        if terminal:
            assert [line for line in on_screen(stderr.getvalue(), 80) if line] == ["  fitting 5 pulse laws"]
    assert TerminalLife.EVERY < 5.0


def test_spans_and_screens() -> None:
    assert [span(s) for s in (0.4, 59.6, 3700.0)] == ["0 s", "1 min 0 s", "1 h 1 min"]
    stream = io.StringIO()
    TerminalScreen(stream).draw(["a", "b"])
    assert stream.getvalue() == "\r\x1b[J\na\nb\r\x1b[2A", "the cursor waits on the empty line above"
