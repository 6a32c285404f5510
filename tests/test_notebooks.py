"""The notebooks run as they stand, in an empty folder, are short, and are kept without outputs; progress lives in a real kernel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat, of the extra `test`")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the extra `test`")
pytest.importorskip("ipykernel", reason="needs ipykernel, of the extra `test`")

ROOT = Path(__file__).resolve().parents[1]
BOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MOST_LINES = 24
"""Lines of code of a notebook: those of the shortest example of aihwkit, 01_simple_layer.py."""

pytestmark = pytest.mark.filterwarnings("ignore")  # of the kernel's own machinery in this process


@pytest.fixture(scope="module")
def site() -> Any:
    """What makes the pages of the notebooks."""
    sys.path.insert(0, str(ROOT / "scripts" / "docs_site"))
    try:
        import notebooks
    finally:
        sys.path.pop(0)
    return notebooks


def code_of(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_there_are_five() -> None:
    assert [path.stem[2:] for path in BOOKS] == [
        "first_result",
        "my_torch_model",
        "my_measurement",
        "learning_on_a_chip",
        "a_sweep_for_a_paper",
    ]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_has_no_outputs(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    assert sum(len(cell.source.splitlines()) for cell in code_of(book)) <= MOST_LINES
    assert all(not cell.outputs and cell.execution_count is None for cell in code_of(book))


@pytest.mark.jit
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_page_shows_what_came(path: Path, site: Any, tmp_path: Path) -> None:
    book = site.execute(path, tmp_path)  # raises with the cell and its traceback
    shown = [data for cell in code_of(book) for out in cell.outputs for data in out.get("data", {})]
    assert "text/html" in shown, "a table is shown as one"
    if "torch_model" not in path.stem:
        assert "image/png" in shown, "and a figure as a picture"
    assert not [out for cell in code_of(book) for out in cell.outputs if out.output_type == "error"]
    [(text, pictures)] = [page[1:] for page in site.pages() if page[0] == f"{path.stem}.md"]
    assert text.startswith("# ")
    assert f"[Download this notebook]({path.name})" in text
    assert len(pictures) == shown.count("image/png") == text.count("![Figure")
    assert "<table" in text


PROGRESS = """
import time
from learning.experiments.interactive.talk import talk
from learning.experiments.monte_carlo.life import TerminalLife
from learning.experiments.monte_carlo.progress import Board, Group
from learning.experiments.monte_carlo.screen import NotebookScreen
drawn, draw = [], NotebookScreen.draw
NotebookScreen.draw = lambda screen, lines: (draw(screen, lines), drawn.append(1))
def watched():  # until the thread has drawn twice: however busy the machine is
    seen, until = len(drawn), time.monotonic() + 300
    while len(drawn) < seen + 2 and time.monotonic() < until:
        time.sleep(0.05)
with talk(True) as say:
    say("run folder: runs/x")
    say("note: a < b")
    say("training: epoch 1")
    with Board({"": Group(2)}) as board:
        watched()
        board.update("", "mean 50 %")
        watched()
        board.update("", "mean 60 %")
    say("training: epoch 2")
with TerminalLife() as say:
    say("fitting")
    watched()
"""


def test_progress_lives_in_a_notebook(tmp_path: Path) -> None:
    """Messages of a real kernel: outputs that change while the cell runs, and what is left of them."""
    sent: list[tuple[str, str]] = []

    class Watching(nbclient.NotebookClient):  # type: ignore[misc, name-defined]
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            sent.append((msg["msg_type"], str(msg["content"].get("data", {}).get("text/html", ""))))
            return super().process_message(msg, cell, cell_index)

    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import IPython"), nbformat.v4.new_code_cell(PROGRESS)]
    )
    Watching(book, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    changed = [page for kind, page in sent if kind == "update_display_data"]
    assert any("[--" in page and "0 of 2" in page for page in changed), "the board before the first unit"
    assert any("  50 %" in page and "left" in page and "1 of 2" in page for page in changed), (
        "and after it, drawn by its thread"
    )
    assert any("... fitting: " in page for page in changed), "a sign of life"
    left = [str(out.get("data", {}).get("text/html", out.get("text", ""))) for out in book.cells[1].outputs]
    assert [page for page in left if "2 of 2 chips" in page], left
    [talked] = [page for page in left if "runs/x" in page]
    assert "<pre>run folder: runs/x</pre>" in talked
    assert "<summary>1 note on what this run assumes</summary><ul><li>a &lt; b</li>" in talked
    assert "<summary>2 lines of progress</summary>" in talked
