"""Memory goes back between tasks."""

import sys

import numpy as np
import pytest

from learning.experiments.parallel.memory import release_memory


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and asks the C library of Linux")
def test_pages_that_no_array_uses_are_returned() -> None:
    arrays = [np.ones(1 << 12, np.float32) for _ in range(20000)]  # 16 KiB each, on the C library's heap
    keep = arrays[-1]
    full = resident()
    del arrays
    release_memory()
    assert full - resident() > 200 << 20
    assert keep.sum() == 1 << 12
