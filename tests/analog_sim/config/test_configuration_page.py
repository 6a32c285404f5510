"""The examples of docs/configuration.md run as written, and the page names everything that is public."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import analog_sim.config

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(example: str, tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(example, encoding="utf-8")
    result = subprocess.run([sys.executable, "-W", "error", str(file)], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.returncode == 0


def test_page_names_every_public_name() -> None:
    missing = [name for name in analog_sim.config.__all__ if not re.search(rf"\b{name}\b", PAGE)]
    assert missing == []


def test_import_needs_neither_arrays_nor_kernels() -> None:
    program = (
        "import sys, analog_sim.config; print([m for m in ('numpy', 'numba', 'scipy', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
