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


WRITES = """
def work():
    thing = Thing()
    thing.file = open("garbage.txt", "w")
    thing.file.write("all")
class Late(Thing):
    def __del__(self):
        import wave  # which Python refuses once it puts modules away
        open("late.txt", "w").write(wave.__name__)
work()
thing, plain, late = Thing(), open("plain.txt", "w"), Late()
thing.file = open("held.txt", "w")
thing.file.write("all")
plain.write("all")
del late
"""


def test_the_end_is_that_of_plain_python(tmp_path: Path) -> None:
    """Files that a module, a cycle, or garbage holds, and a finaliser that imports: each as without us."""
    found = []
    for name, first in (("plain", ""), ("ours", HEAVY)):
        folder = tmp_path / name
        folder.mkdir()
        run(first + THING + WRITES, folder)
        found.append({path.name: path.read_text() for path in folder.glob("*.txt")})
    assert found[0] == found[1]
    assert found[1] == {**found[1], "held.txt": "all", "plain.txt": "all", "late.txt": "wave"}


def test_an_import_that_fails_leaves_it_at_work(tmp_path: Path) -> None:
    code = "import gc\nfrom analog_sim.compiling.collector import resting\ntry:\n    with resting(): import no_such_module\n"
    assert run(code + "except ImportError: print(gc.isenabled())", tmp_path) == ["True"]
