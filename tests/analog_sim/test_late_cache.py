"""Kernels from the cache: loaded without their bitcode, which is parsed when a kernel compiled anew takes one into itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analog_sim.random.kernels.options import JIT_OFF

LOAD = """
import numpy as np
from numba import njit
from analog_sim.random.kernels.magnitude import largest_of_all

ones = np.full((2, 3), 1.5, np.float32).view(np.int32)
print(int(largest_of_all(ones)) == int(ones[0, 0]), sum(largest_of_all.stats.cache_hits.values()))
engine = largest_of_all.targetctx.codegen()._engine
waiting = len(getattr(engine, "_waiting", []))

@njit
def twice(bits):
    return 2 * largest_of_all(bits)

print(twice(ones) == 2 * int(ones[0, 0]), waiting, len(getattr(engine, "_waiting", [])))
print(engine.is_symbol_defined("no such symbol"), len(getattr(engine, "_waiting", [])))
"""


@pytest.mark.skipif(JIT_OFF, reason="nothing is cached with NUMBA_DISABLE_JIT")
def test_a_loaded_kernel_is_taken_into_a_new_one(tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", LOAD],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(run.stdout.splitlines())
    compiled, loaded = said
    assert compiled[0] == "True 0"
    assert loaded[0] == "True 1"
    assert compiled[1] == "True 0 0"
    assert loaded[1] == "True 1 1", (
        "its bitcode waits until somebody asks for a symbol; the new kernel took it as it is"
    )
    assert loaded[2] == "False 0"
