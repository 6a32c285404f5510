"""Imports go one way, scripts -> analog_hil -> learning -> devices -> analog_sim; torch stays in the bridge; extras where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("analog_sim", "devices", "learning", "analog_hil")
MAY_IMPORT_TORCH = ("learning/torch_bridge/", "learning/experiments/commands/benchmark")
EXTRAS = ("h5py", "dask", "distributed", "dask_jobqueue", "pyvisa", "pymeasure", "pyarc2")
"""Packages of optional extras: a plain installation lacks them."""


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level packages that a syntax tree imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


def at_import(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported: functions' bodies and `if TYPE_CHECKING` taken away."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return None
            return self.generic_visit(node)

    stripped = Strip().visit(tree)
    assert isinstance(stripped, ast.Module)
    return stripped


def test_the_layer_contract_is_kept() -> None:
    """The contracts of pyproject.toml, by import-linter."""
    command = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
    assert "scripts -> analog_hil -> learning -> devices -> analog_sim KEPT" in done.stdout


def test_only_the_bridge_and_benchmarks_import_torch() -> None:
    users = [
        relative(path)
        for path in sources(*PACKAGES, "scripts")
        if "torch" in imported(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert [name for name in users if not name.startswith(MAY_IMPORT_TORCH)] == []
    assert any(name.startswith("learning/torch_bridge/") for name in users), "the check sees imports of torch"


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=relative)
def test_extras_are_imported_where_they_are_used(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert set(EXTRAS) & set(imported(at_import(tree))) == set()


@pytest.mark.parametrize(
    "module",
    [
        "analog_sim.config",
        "analog_sim.tiles.tile",
        "devices.card",
        "learning.experiments.monte_carlo.evaluate",
        "learning.experiments.report.estimate.page",
        "learning.experiments.runs.run_folder",
    ],
)
def test_a_module_outside_the_bridge_does_not_load_torch(module: str) -> None:
    """Loading torch takes over a second; workers and small scripts must not pay for it."""
    code = f"import sys, {module}; sys.exit(int('torch' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", sources(*PACKAGES), ids=relative)
def test_every_file_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "the first lines of a file say what it is for and what it never does"
