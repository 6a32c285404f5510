"""The search for cyclic garbage rests during imports, and nothing of a user's is kept or lost by it."""

import os
import subprocess
import sys
from pathlib import Path

HEAVY = "from analog_sim.random.streams import Streams\n"
THING = """
import gc, weakref
class Thing:
    def __init__(self): self.me = self
"""


def run(code: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_what_is_imported_first_is_not_looked_through_again(tmp_path: Path) -> None:
    code = HEAVY + THING + "print(gc.isenabled(), gc.get_freeze_count() > 20_000)\n"
    code += "seen = weakref.ref(Thing())\ngc.collect()\nprint(seen() is None)"
    assert run(code, tmp_path) == ["True", "True", "True"]


def test_what_a_user_made_before_is_not_kept(tmp_path: Path) -> None:
    code = THING + "kept = Thing()\nseen = weakref.ref(kept)\n" + HEAVY + "from analog_sim.tiles.tile import Tile\n"
    code += "print(gc.isenabled(), gc.get_freeze_count())\ndel kept\ngc.collect()\nprint(seen() is None)"
    assert run(code, tmp_path) == ["True", "0", "True"]


def test_what_a_user_decided_stands(tmp_path: Path) -> None:
    assert run("import gc\ngc.disable()\n" + HEAVY + "print(gc.isenabled(), gc.get_freeze_count())", tmp_path) == [
        "False",
        "0",
    ]
    code = THING + "kept = Thing()\ngc.freeze()\nfrozen = gc.get_freeze_count()\n" + HEAVY
    assert run(code + "print(gc.isenabled(), 0 < gc.get_freeze_count() <= frozen)", tmp_path) == ["True", "True"]


def test_a_file_that_only_a_cycle_holds_is_written_at_the_end(tmp_path: Path) -> None:
    code = HEAVY + THING + "thing = Thing()\nthing.file = open('kept.txt', 'w')\nthing.file.write('all')"
    run(code, tmp_path)
    assert (tmp_path / "kept.txt").read_text() == "all"


def test_an_import_that_fails_leaves_it_at_work(tmp_path: Path) -> None:
    code = "import gc\nfrom analog_sim._collector import resting\ntry:\n    with resting(): import no_such_module\n"
    assert run(code + "except ImportError: print(gc.isenabled())", tmp_path) == ["True"]
