"""Damage to files and folders, drawn from a seed: what disks, full or failing, editors and hands do to the folder of a run."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np


def flip(path: Path, draw: random.Random) -> None:
    """One wrong bit."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def cut(path: Path, draw: random.Random) -> None:
    """The end is missing."""
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def hole(path: Path, draw: random.Random) -> None:
    """A block of zeros, as a lost page of a disk leaves."""
    content = bytearray(path.read_bytes())
    start = draw.randrange(len(content))
    length = min(draw.choice((1, 16, 512)), len(content) - start)
    content[start : start + length] = bytes(length)
    path.write_bytes(content)


def garbage(path: Path, draw: random.Random) -> None:
    """Random bytes in the middle: not UTF-8."""
    content = path.read_bytes()
    start = draw.randrange(len(content) + 1)
    path.write_bytes(content[:start] + draw.randbytes(draw.choice((1, 7, 90))) + b"\xff\xfe" + content[start:])


def empty(path: Path, draw: random.Random) -> None:
    """Nothing is left of it."""
    path.write_bytes(b"")


def gone(path: Path, draw: random.Random) -> None:
    """Deleted."""
    path.unlink()


def folder_instead(path: Path, draw: random.Random) -> None:
    """A folder of that name."""
    path.unlink()
    path.mkdir()


def other_text(path: Path, draw: random.Random) -> None:
    """Another file's content."""
    path.write_text(draw.choice(("null\n", "[1, 2]\n", "{}\n", "a: [\n", "\0\0\n", "[" * 20000, '{"kind": NaN}\n')))


ANY: tuple[Callable[[Path, random.Random], None], ...] = (
    flip, cut, hole, garbage, empty, gone, folder_instead, other_text,
)  # fmt: skip


def wrong_type(path: Path, draw: random.Random) -> None:
    """JSON as an older version wrote it, without a check, one value of another kind, not finite, or missing."""
    value = json.loads(path.read_text())
    value.pop("check", None)
    places: list[tuple[object, object]] = []

    def walk(node: object) -> None:
        for key, item in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            places.append((node, key))
            walk(item)

    walk(value)
    node, key = draw.choice(places)
    new = draw.choice((None, "text", -1, 7.5, float("nan"), float("inf"), True, [], {}, [None], "DELETE"))
    if new == "DELETE":
        del node[key]  # type: ignore[attr-defined]
    else:
        node[key] = new  # type: ignore[index]
    path.write_text(json.dumps(value))


def wrong_lines(path: Path, draw: random.Random) -> None:
    """A table of results edited by hand: a line twice, gone, elsewhere, or with another value."""
    header, *lines = path.read_text().splitlines(keepends=True)
    at, how = (
        draw.randrange(len(lines)),
        draw.choice(("twice", "gone", "moved", "nan", "field", "digit", "digit", "digit", "blank")),
    )
    line = lines[at]
    if how == "twice":
        lines.insert(draw.randrange(len(lines) + 1), line)
    elif how in ("gone", "moved"):
        del lines[at]
        if how == "moved":
            lines.insert(draw.randrange(len(lines) + 1), line)
    elif how == "blank":
        lines[at] = "\n"
    elif how == "digit":  # another number of the same size: nothing but a check tells it from the one that was measured
        place = draw.choice([k for k, letter in enumerate(line) if letter.isdigit()])
        lines[at] = line[:place] + str((int(line[place]) + draw.randrange(1, 10)) % 10) + line[place + 1 :]
    else:
        fields = line.rstrip("\n").split(",")
        k = draw.randrange(len(fields))
        fields[k] = {"nan": "nan", "field": "x,y"}[how]
        lines[at] = ",".join(fields) + "\n"
    path.write_text(header + "".join(lines))


def wrong_arrays(path: Path, draw: random.Random) -> None:
    """An archive whose arrays are text, objects, of another shape or not there."""
    with np.load(path) as found:
        arrays = {name: found[name] for name in found.files}
    name = draw.choice(sorted(arrays))
    how = draw.choice(("text", "object", "shape", "gone", "single"))
    if how == "text":
        arrays[name] = arrays[name].astype(str)
    elif how == "object":
        arrays[name] = np.array([{"a": 1}, None], dtype=object)
    elif how == "shape":
        arrays[name] = arrays[name].reshape(-1)[:1].reshape((1,) * (arrays[name].ndim + 1))
    elif how == "gone":
        del arrays[name]
    with path.open("wb") as file:
        if how == "single":
            np.save(file, arrays[name])
        else:
            np.savez(file, **arrays)


def damage(folder: Path, draw: random.Random) -> str:
    """Damage one file below a folder; return what was done."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in (".json", ".csv", ".npz", ".yaml"))
    files = [
        p
        for p in files
        if p.parent.name not in ("tables", "figures") and p.name not in ("comparison.csv", "candidates.csv")
    ]
    path = draw.choice(files)
    special = {".json": wrong_type, ".csv": wrong_lines, ".npz": wrong_arrays}.get(path.suffix)
    how = draw.choice((*ANY, *((special,) * 4 if special is not None else ())))
    if how is wrong_lines and path.read_text().count("\n") < 2:
        how = cut
    how(path, draw)
    return f"{how.__name__} {path.relative_to(folder)}"


def copied(source: Path, target: Path) -> Path:
    """A copy of a run's folder."""
    return Path(shutil.copytree(source, target))
