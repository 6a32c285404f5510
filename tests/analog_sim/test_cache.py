"""The kernel cache folder: a new one for every change that compiled code can see, never a crash where nothing can be written."""

import importlib
import inspect
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from analog_sim import _cache

ROOT = Path(_cache.__file__).resolve().parent.parent


def make_tree(root: Path) -> Path:
    files = {
        "analog_sim/kernels/__init__.py": "",
        "analog_sim/kernels/a.py": "from numba import njit\nfrom analog_sim.kernels import b\nfrom devices.table import (\n    STEP,\n)\n",
        "analog_sim/kernels/b.py": "import analog_sim.constants\n",
        "analog_sim/kernels/c.py": "from numba import njit\n",
        "analog_sim/constants.py": "X = 1\n",
        "analog_sim/config.py": "Y = 1\n",
        "devices/__init__.py": "",
        "devices/table.py": "STEP = 2\n",
        "learning/rule.py": "Z = 3\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("edited", "changes"),
    [
        ("analog_sim/kernels/a.py", True),
        ("analog_sim/kernels/b.py", True),
        ("analog_sim/constants.py", True),
        ("devices/table.py", True),
        ("analog_sim/kernels/c.py", False),
        ("analog_sim/config.py", False),
        ("learning/rule.py", False),
    ],
)
def test_a_key_sees_what_its_kernels_can_see(tmp_path, edited, changes):
    before = _cache.kernel_key(make_tree(tmp_path / "before"), "analog_sim.kernels.a")
    assert before == _cache.kernel_key(make_tree(tmp_path / "same"), "analog_sim.kernels.a")
    root = make_tree(tmp_path / "after")
    with (root / edited).open("a") as f:
        f.write("# edited\n")
    assert (_cache.kernel_key(root, "analog_sim.kernels.a") != before) is changes


def test_a_file_without_source_has_no_key(tmp_path):
    with pytest.raises(FileNotFoundError):
        _cache.kernel_key(make_tree(tmp_path), "analog_sim.kernels.absent")


def modules_with_kernels() -> list[str]:
    found = []
    for package in _cache.PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "njit(" in path.read_text() or "@njit" in path.read_text():
                found.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


@pytest.mark.jit
def test_a_key_covers_everything_that_a_kernel_calls():
    """Whatever of ours a kernel names, a function, a constant's module or another kernel, is in the closure of its file."""
    checked = 0
    for name in modules_with_kernels():
        module = importlib.import_module(name)
        closure = _cache.closure(ROOT, name)
        for value in vars(module).values():
            function = getattr(value, "py_func", None)
            if function is None or function.__module__ != name:
                continue
            used = [function.__globals__.get(word) for word in function.__code__.co_names]
            used += [cell.cell_contents for cell in function.__closure__ or ()]
            for part in used:
                home = part.__name__ if inspect.ismodule(part) else getattr(part, "__module__", None)
                if home is not None and home.partition(".")[0] in _cache.PACKAGES:
                    assert home in closure, f"{name}.{function.__name__} uses {home}, which its key does not see"
                    checked += 1
    assert checked > 100


def run(code: str, **environment: str) -> str:
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | environment
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env, check=True, cwd=ROOT
    )
    return result.stdout.strip()


SHOW = "import analog_sim, os; print(os.environ.get('NUMBA_CACHE_DIR', ''))"


def test_folder_is_set_before_numba_is_imported(tmp_path):
    folder = Path(run(SHOW, XDG_CACHE_HOME=str(tmp_path)))
    assert folder == tmp_path / "analog-hil" / "numba" / _cache.compiler_key()
    assert folder.is_dir()
    assert run("import analog_sim, numba; print(numba.config.CACHE_DIR)", XDG_CACHE_HOME=str(tmp_path)) == str(folder)
    assert run("import numba, analog_sim; print(numba.config.CACHE_DIR)", XDG_CACHE_HOME=str(tmp_path)) == str(folder)


def test_users_own_folder_stands(tmp_path):
    assert run(SHOW, NUMBA_CACHE_DIR=str(tmp_path)) == str(tmp_path)


def test_a_cache_that_cannot_be_written_moves_to_the_temporary_folder(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the cache folder should be")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    folder = run(SHOW, XDG_CACHE_HOME=str(blocked), TMPDIR=str(temporary))
    assert folder.startswith(str(temporary))
    # A folder that others can write is refused: Numba unpickles what it finds there.
    (shared,) = temporary.iterdir()
    shared.chmod(0o777)
    assert run(SHOW, XDG_CACHE_HOME=str(blocked), TMPDIR=str(temporary)) == ""
    # And with no place at all the import still works.
    assert run("import analog_sim; print('fine')", XDG_CACHE_HOME=str(blocked), TMPDIR=str(blocked)) == "fine"


def test_old_folders_are_pruned(tmp_path):
    for name in ("keep", "old", "recent"):
        (tmp_path / name / "inside").mkdir(parents=True)
    month_ago = time.time() - 40 * 86400
    for name in ("keep", "old"):
        os.utime(tmp_path / name, (month_ago, month_ago))
    _cache.prune(tmp_path, keep=tmp_path / "keep")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keep", "recent"]
    _cache.prune(tmp_path / "absent", keep=tmp_path)


HEAVY = "print(*[m for m in ('numba', 'numpy', 'scipy', 'torch', 'matplotlib', 'sklearn') if m in __import__('sys').modules])"


CLI = """
import contextlib, io
from learning.experiments.commands.dispatch import dispatch
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    dispatch({})
"""


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import analog_sim\n", ""),
        ("import analog_sim.config\n", ""),
        ("from devices.card import load_card; load_card('pcm').compile()\n", "numpy"),
        (CLI.format(["--help"]), ""),
        (CLI.format(["estimate", "--help"]), ""),
        (CLI.format(["cards"]), "numpy"),
    ],
)
def test_what_runs_no_kernel_imports_no_compiler(code, heavy):
    assert run(code + HEAVY) == heavy


WHAT_A_READ_NEEDS_NOT = (
    "analog_sim.wires.kernels",
    "analog_sim.pulses.apply",
    "analog_sim.reads.wired",
    "scipy.linalg",
    "torch",
)


def test_a_tile_imports_neither_wires_nor_pulses():
    found = run("import analog_sim.tiles.tile, devices.card, sys; print(*sys.modules)").split()
    assert "analog_sim.chip.emulated" in found
    assert [name for name in found if name.startswith(WHAT_A_READ_NEEDS_NOT)] == []
