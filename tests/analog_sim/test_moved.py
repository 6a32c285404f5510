"""Scripts that use the names of before go on working, with the very same objects."""

import importlib
import subprocess
import sys

import pytest

from analog_sim._moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_the_new_module(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {MOVED[old]}"):
        found = importlib.import_module(old)
    assert found is importlib.import_module(MOVED[old])
    assert found.__name__ == MOVED[old]


def test_an_old_script_runs() -> None:
    code = "from analog_sim.rng import Streams; from analog_sim.tile import Tile, TileSpec; import analog_sim.digital"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_no_other_name_is_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("analog_sim.tyle")
