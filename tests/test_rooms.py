"""The house is as it says: few files a room, functions that fit a screen, calls that say what they hand on, a true picture, true walks.

What is over a limit stands in a list here, with its reason. The lists may only shrink: an entry that is no longer needed fails too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("analog_sim", "devices", "learning", "scripts")
SOURCES = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
MOST_FILES, MOST_LINES, MOST_ARGUMENTS = 15, 80, 8

FULL: MappingProxyType[str, tuple[int, str]] = MappingProxyType({})
"""Folder -> files, why."""

LONG: MappingProxyType[str, tuple[int, str]] = MappingProxyType({})
"""File and function -> lines, why."""

WIDE = MappingProxyType(
    {
        "analog_sim/wires/series.py:born.series": (9, "a kernel"),
        "analog_sim/wires/single.py:conjugate.conjugate_gradients": (16, "a kernel"),
        "analog_sim/writing/trains.py:kernels.share_strength": (9, "a kernel"),
        "learning/optimizers/adam.py:adam": (11, "a kernel"),
    }
)
"""File and what is called with more than eight positional arguments -> how many, why."""


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def registries() -> set[str]:
    """Folders whose files are found by themselves, one implementation each: `one_of("devices.pulse", ...)`, `discover(...)`."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in ("one_of", "discover"):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value.replace(".", "/"))
    return found


def folder_sizes(sources: list[Path], root: Path) -> dict[str, int]:
    """Folder -> Python files in it, its door not counted."""
    sizes: dict[str, int] = {}
    for path in sources:
        if path.name != "__init__.py":
            folder = path.parent.relative_to(root).as_posix()
            sizes[folder] = sizes.get(folder, 0) + 1
    return sizes


def functions(source: ast.AST) -> Iterator[tuple[str, int]]:
    """Name and lines of every function, those in classes and functions included."""
    for node in ast.walk(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def calls(source: ast.AST) -> Iterator[tuple[str, int]]:
    """What is called and with how many positional arguments."""
    for node in ast.walk(source):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), len(node.args)


def over(found: Iterator[tuple[str, int]], most: int) -> dict[str, int]:
    """What is over a limit, the largest under each name."""
    result: dict[str, int] = {}
    for name, size in found:
        if size > most:
            result[name] = max(size, result.get(name, 0))
    return result


def compare(found: dict[str, int], listed: MappingProxyType[str, tuple[int, str]]) -> list[str]:
    """One line for each entry that is new, has grown, has shrunk, or is gone."""
    lines = [f"{name}: {size} is over the limit" for name, size in found.items() if name not in listed]
    lines += [f"{name}: is no longer over the limit: take it off the list" for name in listed if name not in found]
    lines += [
        f"{name}: {found[name]}, listed with {size}: {'it may only shrink' if found[name] > size else 'lower the entry'}"
        for name, (size, _) in listed.items()
        if name in found and found[name] != size
    ]
    return lines


def test_a_folder_has_few_files() -> None:
    sizes = folder_sizes(SOURCES, ROOT)
    exempt = registries()
    assert {"devices/pulse", "learning/rules", "analog_sim/writing"} <= exempt, "registries are found"
    exempt = exempt | {"learning/experiments/commands"}  # one command a file, listed in dispatch.py
    assert compare(over(((f, n) for f, n in sizes.items() if f not in exempt), MOST_FILES), FULL) == []


def test_a_function_fits_a_screen() -> None:
    found = ((f"{relative(path)}:{name}", size) for path in SOURCES for name, size in functions(tree(path)))
    assert compare(over(found, MOST_LINES), LONG) == []


def test_a_long_call_names_its_arguments() -> None:
    """Calls in the folders of kernels are exempt: what is compiled takes arrays by position."""
    sources = [path for path in SOURCES if "kernels" not in path.parts]
    found = ((f"{relative(path)}:{name}", size) for path in sources for name, size in calls(tree(path)))
    assert compare(over(found, MOST_ARGUMENTS), WIDE) == []


def test_the_counting_itself(tmp_path: Path) -> None:
    source = ast.parse("def f():\n    x = 1\n    return g(1, 2, 3, k=4)\nclass A:\n    def m(self):\n        pass\n")
    assert dict(functions(source)) == {"f": 3, "m": 2}
    assert dict(calls(source)) == {"g": 3}
    paths = [tmp_path / "a" / name for name in ("__init__.py", "x.py", "y.py")]
    assert folder_sizes(paths, tmp_path) == {"a": 2}
    assert over(iter([("a", 3), ("a", 9), ("b", 2)]), 2) == {"a": 9}
    listed = MappingProxyType({"gone": (9, ""), "same": (9, ""), "grown": (9, ""), "shrunk": (9, "")})
    lines = compare({"new": 9, "same": 9, "grown": 10, "shrunk": 8}, listed)
    assert [line.partition(":")[0] for line in lines] == ["new", "gone", "grown", "shrunk"]


@pytest.fixture
def draw_rooms(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import draw_rooms

    return draw_rooms


def test_the_picture_agrees_with_the_imports() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "draw_rooms.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def house(root: Path, **files: str) -> Path:
    """A package `h` of rooms and files: name of a file, with __ between folders -> what it imports."""
    for name, imports in files.items():
        path = root / "h" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"import {other}\n" for other in imports.split()), encoding="utf-8")
    return root


def test_a_picture_of_a_small_house(tmp_path: Path, draw_rooms: ModuleType) -> None:
    root = house(tmp_path, a__x="h.b.x h.c.x", b__x="h.c.x", c__x="os", low="", lower="", d__x="h.low h.lower h.a.x")
    graph, height = draw_rooms.gathered("h", root)
    assert graph == {"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": {"low.py lower.py", "a"}, "low.py lower.py": set()}
    assert height == {"c": 0, "low.py lower.py": 0, "b": 1, "a": 2, "d": 3}
    assert draw_rooms.reduced(graph)["a"] == {"b"}, "a imports c through b too"
    longer, level = draw_rooms.passing(draw_rooms.reduced(graph), height)
    lanes = sorted(name for name in longer if name.startswith(">"))
    assert [level[name] for name in lanes] == [1, 2], "from d to the files past two layers"
    placed = draw_rooms.boxes(longer, level, 400.0, 0.0)
    assert placed["d"].y < placed["a"].y < placed["b"].y < placed["c"].y
    beside = [placed["a"], placed[lanes[1]]]
    assert abs(beside[0].x - beside[1].x) >= sum(box.width for box in beside) / 2, "an arrow passes beside a box"


def test_rooms_in_a_circle_are_named(tmp_path: Path, draw_rooms: ModuleType) -> None:
    root = house(tmp_path, a__x="h.b.x", b__x="h.c.x", c__x="h.a.x")
    with pytest.raises(ValueError, match=r"in a circle: \w -> \w -> \w -> \w"):
        draw_rooms.gathered("h", root)


def test_a_picture_out_of_date_is_said(
    tmp_path: Path, draw_rooms: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rooms.svg"
    assert draw_rooms.main(["--out", str(file), "--check"]) == 1
    assert "out of date: python scripts/draw_rooms.py" in capsys.readouterr().out
    assert draw_rooms.main(["--out", str(file)]) == 0
    assert draw_rooms.main(["--out", str(file), "--check"]) == 0


def walks() -> dict[str, list[tuple[str, str]]]:
    """Heading of a walk -> its rows (file, what happens)."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    part = page[page.index("## Three walks") : page.index("## Interfaces")]
    return {
        title: re.findall(r"^\| `([\w/.]+\.py)` \| (.*) \|$", text, re.MULTILINE)
        for title, text in re.findall(r"^### (.*)\n((?:(?!^### ).*\n?)*)", part, re.MULTILINE)
    }


@pytest.mark.parametrize("title", walks())
def test_a_walk_can_be_walked(title: str) -> None:
    """Every file is imported by one before it, fulfils a protocol of one before it, or is found by itself in a registry."""
    steps = walks()[title]
    files = [name for name, _ in steps]
    assert 5 <= len(files) <= 12, "few enough to hold in the head"
    for k, (name, text) in enumerate(steps):
        assert (ROOT / name).is_file()
        code = (ROOT / name).read_text(encoding="utf-8")
        first = re.match(r"`(?:\w+\.)?(\w+)[`(]", text)
        assert first is None or re.search(rf"(def|class) {first[1]}\b", code), f"{name} has no {first and first[1]}"
        before = files[:k]
        linked = [other for other in before if imports(other, name) or imports(name, other)]
        assert k == 0 or linked or name.rpartition("/")[0] in registries(), f"{name} hangs in the air"


def imports(one: str, other: str) -> bool:
    """Whether a file imports another, or names it by its module (a protocol that says who fulfils it)."""
    room, _, name = other.removesuffix(".py").replace("/", ".").rpartition(".")
    pattern = rf"\b{re.escape(room)}(\.| import ){name}\b"
    return re.search(pattern, (ROOT / one).read_text(encoding="utf-8")) is not None


def test_there_are_three_walks() -> None:
    assert list(walks()) == ["From an input to a pulse", "From a weight to a conductance", "From a lab file to a card"]
