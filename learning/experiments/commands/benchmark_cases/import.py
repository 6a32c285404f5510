"""What a user waits for before any work: import times, and the first product of a chip with a cold and a warm kernel cache.

Python keeps its bytecode, as it does for every user, in a folder of its own here: the first call of a case, which is not counted, fills it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from learning.experiments.commands.benchmark_cases._case import Case

FIRST_CALL = """
from analog_sim.random.streams import Streams
from analog_sim.tiles.tile import Tile, TileSpec
from devices.card import load_card
w = Streams(1).stream("w").normals((64, 64))
tile = Tile(TileSpec.model_validate({"dac": {"bits": 8}, "adc": {"bits": 9}}), load_card("pcm").compile(), (64, 64), Streams(2))
tile.program(w); tile.wait(3600.0); tile.forward(w); tile.backward(w)
"""


_BYTECODE = tempfile.TemporaryDirectory(prefix="analog_hil_bytecode_")


def cases() -> Iterator[Case]:
    """Yield whole processes; the reference is the interpreter that starts and imports numpy."""
    bare = _run("import numpy")
    for name, code in (
        ("import/analog_sim.config", "import analog_sim.config"),
        ("import/analog_sim.tiles.tile", "import analog_sim.tiles.tile"),
        ("import/devices.card", "import devices.card"),
        ("import/learning.torch_bridge.convert", "import learning.torch_bridge.convert"),
        ("import/first_product_cached", FIRST_CALL),
    ):
        yield Case(name, 0, 1, _run(code), bare, "python -c 'import numpy'", threads=("one",))
    yield Case(
        "import/first_product_cold", 0, 1, _run_cold(FIRST_CALL), bare, "python -c 'import numpy'", threads=("one",)
    )


def _run(code: str, **environment: str) -> Callable[[], object]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env = {"PYTHONPYCACHEPREFIX": _BYTECODE.name, **kept, **environment}
    return lambda: subprocess.run([sys.executable, "-c", code], check=True, env=env)


def _run_cold(code: str) -> Callable[[], object]:
    def call() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _run(code, NUMBA_CACHE_DIR=folder)()

    return call
