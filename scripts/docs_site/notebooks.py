"""Pages of the notebooks: text, code, and what the cells gave when the tests last executed them. It runs one only when nobody has."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "docs" / "notebooks"
EXECUTED = ROOT / "build" / "notebooks"
"""Executed copies: the tests leave them here."""
TIMEOUT_S = 900
"""Of a cell: this guards against a hang alone."""


def execute(path: Path, folder: Path) -> Any:
    """Run a notebook in a folder, keep the executed copy for the site, and return it. Raises nbclient's error with the cell that failed."""
    import nbclient
    import nbformat

    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(book, timeout=TIMEOUT_S, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except nbclient.exceptions.DeadKernelError as error:
        ended = getattr(getattr(client.km, "provisioner", None), "process", None)
        error.add_note(
            f"{path.name}: the kernel's process ended with status {getattr(ended, 'returncode', 'unknown')}; -9: no memory"
        )
        raise
    EXECUTED.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, EXECUTED / path.name)
    return book


def executed(path: Path) -> Any:
    """The executed copy of a notebook; run now when there is none of this text, and without outputs where notebooks cannot be run."""
    import json
    import tempfile

    book = json.loads(path.read_text(encoding="utf-8"))
    copy = EXECUTED / path.name
    if copy.is_file():
        found = json.loads(copy.read_text(encoding="utf-8"))
        if [_source(cell) for cell in found["cells"]] == [_source(cell) for cell in book["cells"]]:
            return found
    try:
        with tempfile.TemporaryDirectory() as folder:
            return execute(path, Path(folder))
    except ImportError:
        print(f"{path.name}: shown without outputs; nbclient or ipykernel is missing", file=sys.stderr)
        return book


def pages() -> Iterator[tuple[str, str, dict[str, bytes]]]:
    """(name, Markdown, pictures by name) of every notebook."""
    for path in sorted(SOURCES.glob("*.ipynb")):
        pictures: dict[str, bytes] = {}
        parts = []
        for cell in executed(path)["cells"]:
            if cell["cell_type"] == "markdown":
                parts.append(_source(cell))
            else:
                parts.append(f"```python\n{_source(cell)}\n```")
                parts += _outputs(cell, path.stem, pictures)
            if len(parts) == 1:
                parts.append(
                    f"[Download this notebook]({path.name}){{ download }}: it runs as it stands, in any folder."
                )
        yield f"{path.stem}.md", "\n\n".join(parts) + "\n", pictures


def _source(cell: Any) -> str:
    return "".join(cell["source"])


def _outputs(cell: Any, stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """What a cell gave, as Markdown: pictures first, then tables, then text."""
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        if output["output_type"] == "stream":
            yield f"```text\n{''.join(output['text']).rstrip()}\n```"
        elif "image/png" in data:
            name = f"{stem}-{len(pictures) + 1}.png"
            pictures[name] = base64.b64decode("".join(data["image/png"]))
            yield f"![Figure made by the cell above]({name})"
        elif "text/html" in data:
            page = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
            page = page.replace('<table border="1" class="dataframe">', "<table>")  # of pandas: the site's own look
            yield f'<div class="notebook-output">\n{page}\n</div>'
        elif "text/plain" in data:
            yield f"```text\n{''.join(data['text/plain'])}\n```"
