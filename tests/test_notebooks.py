"""The notebooks run as they stand, in an empty folder, are short, and are kept without outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs nbformat, of the extra `test`")
nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the extra `test`")
pytest.importorskip("ipykernel", reason="needs ipykernel, of the extra `test`")

ROOT = Path(__file__).resolve().parents[1]
BOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MOST_LINES = 24
"""Lines of code of a notebook: those of the shortest example of aihwkit, 01_simple_layer.py."""


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
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert sum(len(cell.source.splitlines()) for cell in code) <= MOST_LINES
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.jit
@pytest.mark.filterwarnings("ignore")  # of the kernel's own machinery in this process
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(book, timeout=280, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises with the cell and its traceback
    shown = [
        data for cell in book.cells if cell.cell_type == "code" for out in cell.outputs for data in out.get("data", {})
    ]
    assert "text/html" in shown, "a table is shown as one"
    if "torch_model" not in path.stem:
        assert "image/png" in shown, "and a figure as a picture"
    assert not [
        out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs if out.output_type == "error"
    ]
