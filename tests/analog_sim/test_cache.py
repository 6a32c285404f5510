"""The kernel cache folder: a new one for every change that compiled code can see, never a crash where nothing can be written."""

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
        ("analog_sim/config.py", False),
        ("learning/rule.py", False),
    ],
)
def test_digest_sees_what_a_kernel_can_see(tmp_path, edited, changes):
    root = make_tree(tmp_path)
    before = _cache.source_digest(root)
    assert before == _cache.source_digest(root)
    with (root / edited).open("a") as f:
        f.write("# edited\n")
    assert (_cache.source_digest(root) != before) is changes


def test_our_kernels_are_all_hashed():
    hashed = _cache.kernel_sources(ROOT)
    assert {"analog_sim.random.kernels.philox", "analog_sim.random.kernels.math"} <= set(hashed)
    for package in _cache.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "@njit" in path.read_text():
                assert path.read_bytes() in hashed.values(), f"{path} holds kernels that the cache does not know"


def run(code: str, **environment: str) -> str:
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | environment
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env, check=True, cwd=ROOT
    )
    return result.stdout.strip()


SHOW = "import analog_sim, os; print(os.environ.get('NUMBA_CACHE_DIR', ''))"


def test_folder_is_set_before_numba_is_imported(tmp_path):
    folder = Path(run(SHOW, XDG_CACHE_HOME=str(tmp_path)))
    assert folder == tmp_path / "analog-hil" / "numba" / _cache.source_digest(ROOT)
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


def test_importing_the_package_is_light():
    modules = run(
        "import analog_sim, sys; print(*[m for m in ('numba', 'numpy', 'scipy', 'torch') if m in sys.modules])"
    )
    assert modules == ""
