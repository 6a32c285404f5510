"""Compiled kernels are found again by the same sources in another place, and never by other sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analog_sim import _cache
from analog_sim._shared_cache import ROOT, place_of
from analog_sim.compiling.second_process import ALONE

PROGRAM = """
import sys; sys.path.insert(0, sys.argv[1])
from analog_sim.cells.kernels.ageing import drift_cells as kernel
import analog_sim, numpy as np
g, out = np.array([5.0, 7.0], np.float32), np.empty(2, np.float32)
kernel(np.array([[0, 2]]), g, np.zeros(2), np.full(2, 0.5, np.float32), 0.0, 1.0, out)
print(analog_sim.__file__, sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()), out[0] / g[0])
"""
DOUBLED = """
_plain = exp2
@within
def exp2(x):
    return np.float32(2.0) * _plain(x)
"""


def test_a_place_is_the_name_and_the_key_of_the_module_in_our_own_cache_alone(tmp_path: Path) -> None:
    ours = str(tmp_path / _cache.compiler_key())
    kernels = ROOT / "analog_sim" / "reads" / "kernels" / "net.py"
    module = "analog_sim.reads.kernels.net"
    assert place_of(str(kernels), ours) == f"{module}-{_cache.kernel_key(ROOT, module)}"
    assert place_of(str(kernels), str(tmp_path / "of_the_user")) is None
    assert place_of(str(tmp_path / "analog_sim" / "net.py"), ours) is None
    assert place_of(str(ROOT / "scripts" / "net.py"), ours) is None
    assert place_of(str(kernels.with_name("absent.py")), ours) is None


@pytest.mark.jit
def test_the_same_sources_elsewhere_compile_nothing_and_changed_ones_do(tmp_path: Path) -> None:
    def found_by(root: Path) -> list[str]:
        env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            ALONE: "1",  # the folders are to hold what this program calls, no more
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(root)],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        place, *found = done.stdout.split()
        assert place.startswith(str(root))
        return found

    def edit(name: str, more: str) -> None:
        with (tmp_path / "two" / name).open("a") as file:
            file.write(more)

    for place in ("one", "two"):
        for package in _cache.PACKAGES:
            for source in (ROOT / package).rglob("*.py"):
                copy = tmp_path / place / source.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
    assert found_by(tmp_path / "one") == ["0", "1", "1.0"]
    assert found_by(tmp_path / "two") == ["1", "0", "1.0"]
    edit("analog_sim/wires/kernels/born.py", "# edited\n")  # which this kernel does not see
    assert found_by(tmp_path / "two") == ["1", "0", "1.0"]
    edit("analog_sim/random/kernels/math.py", DOUBLED)  # a function that it calls
    assert found_by(tmp_path / "two") == ["0", "1", "2.0"]
    assert found_by(tmp_path / "two") == ["1", "0", "2.0"]
    assert found_by(tmp_path / "one") == ["1", "0", "1.0"]
    folders = [path.name.rpartition("-")[0] for path in (tmp_path / "cache" / "analog-hil" / "numba").glob("*/*")]
    assert folders == ["analog_sim.cells.kernels.ageing"] * 2, "one for each version, of what was called"
