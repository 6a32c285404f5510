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

PROGRAM = """
import sys; sys.path.insert(0, sys.argv[1])
from analog_sim.mapping.kernels.weight_mapping import scaled_transpose
import analog_sim, numpy as np
out = np.empty((3, 2), np.float32)
scaled_transpose(np.arange(6, dtype=np.float32).reshape(2, 3), np.float32(2.0), out)
assert out.tolist() == [[0.0, 6.0], [2.0, 8.0], [4.0, 10.0]]
print(analog_sim.__file__, sum(scaled_transpose.stats.cache_hits.values()), sum(scaled_transpose.stats.cache_misses.values()))
"""


def test_a_place_is_the_name_of_the_folder_in_our_own_cache_alone(tmp_path: Path) -> None:
    ours = str(tmp_path / _cache.source_digest(ROOT))
    kernels = ROOT / "analog_sim" / "reads" / "kernels" / "net.py"
    assert place_of(str(kernels), ours) == "analog_sim.reads.kernels"
    assert place_of(str(kernels), str(tmp_path / "of_the_user")) is None
    assert place_of(str(tmp_path / "analog_sim" / "net.py"), ours) is None
    assert place_of(str(ROOT / "scripts" / "net.py"), ours) is None


@pytest.mark.jit
def test_the_same_sources_elsewhere_compile_nothing_and_changed_ones_do(tmp_path: Path) -> None:
    def hits_and_misses(root: Path) -> list[str]:
        env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
            "XDG_CACHE_HOME": str(tmp_path / "cache")
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
        place, *counts = done.stdout.split()
        assert place.startswith(str(root))
        return counts

    for place in ("one", "two"):
        for package in _cache.PACKAGES:
            for source in (ROOT / package).rglob("*.py"):
                copy = tmp_path / place / source.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
    assert hits_and_misses(tmp_path / "one") == ["0", "1"]
    assert hits_and_misses(tmp_path / "two") == ["1", "0"]
    with (tmp_path / "two" / "analog_sim" / "mapping" / "kernels" / "weight_mapping.py").open("a") as file:
        file.write("# edited\n")
    assert hits_and_misses(tmp_path / "two") == ["0", "1"]
