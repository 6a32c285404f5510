"""Draw the rooms of the packages and what they import from each other, as docs/images/rooms.svg. Imports no package: it reads the sources.

A room is a folder of a package; files beside rooms are drawn as one box per layer, private ones (names that begin with _) not at all.
A box stands one layer above the highest box that it imports from. Arrows go from the importing box to the imported one; an arrow that
follows from others is left out.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from learning.experiments.commands._cli import main_guard

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
HOUSES = ("learning", "devices", "analog_sim")
"""Packages from the top layer to the lowest."""
WINGS = ("learning.experiments", "devices.measurements")
"""Rooms with rooms of their own, drawn in the second column."""
BOX, LANE, GAP, LAYER, LINE, MARGIN = 104, 6, 10, 62, 15, 12
"""Pixels: width of a box, of an arrow that passes a layer, between them, from layer to layer, of a line of text, around a frame."""
LETTERS = 15
"""Most letters in one line of a box."""

Graph = dict[str, set[str]]


class Box(NamedTuple):
    """One box, or the place where an arrow passes a layer (no lines): lines of text, centre and top in pixels."""

    lines: tuple[str, ...]
    x: float
    y: float

    @property
    def width(self) -> float:
        """Pixels."""
        return width_of(self.lines)

    @property
    def height(self) -> float:
        """Pixels."""
        return LINE * len(self.lines) + 8 if self.lines else LINE + 8


def width_of(lines: tuple[str, ...]) -> float:
    """Pixels of a box with these lines."""
    return BOX if lines else LANE


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports; of `from a.b import c` both a.b and a.b.c."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def rooms(container: str, root: Path = ROOT) -> Graph:
    """Room or file of a container, such as `analog_sim` or `learning.experiments` -> rooms or files of it that it imports."""
    folder = root.joinpath(*container.split("."))
    files = {path: path.relative_to(folder).with_suffix("").parts[0] for path in sorted(folder.rglob("*.py"))}
    graph: Graph = {name: set() for name in files.values() if not name.startswith("_")}
    for path, name in files.items():
        if name not in graph:
            continue
        for dotted in imported(path):
            target = dotted.removeprefix(f"{container}.").partition(".")[0]
            if dotted.startswith(f"{container}.") and target in graph and target != name:
                graph[name].add(target)
    return graph


def layers(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Height of every node: 0 when it imports none, otherwise one more than the highest that it imports.

    Raises ValueError when rooms import each other in a circle.
    """
    height: dict[str, int] = {}
    try:
        for name in TopologicalSorter(graph).static_order():
            height[name] = max((height[other] + 1 for other in graph[name]), default=0)
    except CycleError as error:
        raise ValueError(f"rooms import each other in a circle: {' -> '.join(reversed(error.args[1]))}") from None
    return height


def gathered(container: str, root: Path = ROOT) -> tuple[Graph, dict[str, int]]:
    """Graph and layers with the files beside rooms gathered: those of one layer are one node, named by all of them."""
    graph = rooms(container, root)
    height = layers(graph)
    folder = root.joinpath(*container.split("."))
    loose = {name for name in graph if not (folder / name).is_dir()}
    whole = {name: name for name in graph}
    for level in set(height.values()):
        names = sorted(name for name in loose if height[name] == level)
        whole |= dict.fromkeys(names, " ".join(f"{name}.py" for name in names))
    joined: Graph = {}
    for name, others in graph.items():
        joined.setdefault(whole[name], set()).update(whole[other] for other in others)
    return joined, {whole[name]: level for name, level in height.items()}


def reduced(graph: Mapping[str, set[str]]) -> Graph:
    """The same without edges that follow from two others."""

    def below(name: str) -> set[str]:
        return graph[name].union(*(below(other) for other in graph[name]))

    return {name: others - set().union(*(below(other) for other in others)) for name, others in graph.items()}


def wrapped(name: str) -> tuple[str, ...]:
    """Lines of a box: a room in one or two lines, files of one layer after each other."""
    lines = [""]
    for word in name.replace("_", "_ ").split() if ".py" not in name else name.split():
        joint = "" if not lines[-1] or lines[-1].endswith("_") else " "
        if lines[-1] and len(lines[-1] + joint + word) > LETTERS:
            lines.append(word)
        else:
            lines[-1] += joint + word
    return tuple(lines)


def passing(graph: Graph, height: Mapping[str, int]) -> tuple[Graph, dict[str, int]]:
    """The graph with a node `>from>to` wherever an arrow passes a layer, so that it passes beside the boxes, not behind them."""
    longer: Graph = {name: set() for name in graph}
    level = dict(height)
    for name, others in sorted(graph.items()):
        for other in sorted(others):
            above = name
            for at in range(height[name] - 1, height[other], -1):
                lane = f">{name}>{other}>{at}"
                longer[above].add(lane)
                longer[lane], level[lane], above = set(), at, lane
            longer[above].add(other)
    return longer, level


def boxes(graph: Graph, height: Mapping[str, int], width: float, top: float) -> dict[str, Box]:
    """Place the nodes in layers, each layer in the middle; within a layer in the order of what lies above, then of names."""
    placed: dict[str, Box] = {}
    users = {name: [other for other, used in graph.items() if name in used] for name in graph}
    lines = {name: () if name.startswith(">") else wrapped(name) for name in graph}
    y = top
    for level in range(max(height.values(), default=0), -1, -1):
        names = [name for name in graph if height[name] == level]

        def middle(name: str) -> tuple[float, str]:
            over = [placed[user].x for user in users[name] if user in placed]
            return (sum(over) / len(over) if over else width / 2, name)

        names.sort(key=middle)
        left = (width - across(lines[name] for name in names)) / 2
        for name in names:
            wide = width_of(lines[name])
            placed[name] = Box(lines[name], left + wide / 2, y)
            left += wide + GAP
        y += max(LAYER, max(placed[name].height for name in names) + LAYER / 2)
    return placed


def across(boxes_of_a_layer: Iterable[tuple[str, ...]]) -> float:
    """Pixels of boxes beside each other."""
    widths = [width_of(lines) for lines in boxes_of_a_layer]
    return sum(widths) + GAP * (len(widths) - 1)


def arrow(points: Sequence[tuple[float, float]]) -> str:
    """SVG of a smooth line downwards through some points, with a tip at the last."""
    (x, y), *others = points
    path = f"M{x:g} {y:g}"
    for x_to, y_to in others:
        middle = (y + y_to) / 2
        path += f" C{x:g} {middle:g} {x_to:g} {middle:g} {x_to:g} {y_to:g}"
        x, y = x_to, y_to
    return f'<path class="arrow" d="{path}"/>'


def frame(title: str, graph: Graph, height: Mapping[str, int], width: float) -> tuple[list[str], float]:
    """SVG elements of one container with its own origin, and its height in pixels; the graph with its passing arrows."""
    placed = boxes(graph, height, width, 34.0)
    bottom = max(box.y + box.height for box in placed.values()) + MARGIN
    parts = [
        f'<rect class="frame" width="{width:g}" height="{bottom:g}" rx="8"/>',
        f'<text class="title" x="{MARGIN}" y="21">{title}</text>',
    ]
    for name in sorted(name for name in graph if not name.startswith(">")):
        for below in sorted(graph[name]):
            points = [(placed[name].x, placed[name].y + placed[name].height)]
            while below.startswith(">"):
                lane = placed[below]
                points += [(lane.x, lane.y), (lane.x, lane.y + lane.height)]
                (below,) = graph[below]
            parts.append(arrow([*points, (placed[below].x, placed[below].y - 5)]))
    for _, box in sorted(placed.items()):
        if not box.lines:
            continue
        kind = "file" if ".py" in box.lines[0] else "room"
        parts.append(
            f'<rect class="{kind}" x="{box.x - BOX / 2:g}" y="{box.y:g}" width="{BOX}" height="{box.height:g}" rx="4"/>'
        )
        parts += [
            f'<text class="name" x="{box.x:g}" y="{box.y + LINE * (k + 1):g}">{line}</text>'
            for k, line in enumerate(box.lines)
        ]
    return parts, bottom


STYLE = """<style>
text { font-family: sans-serif; fill: #222 }
.title { font-size: 14px; font-weight: bold }
.name { font-size: 11.5px; text-anchor: middle }
.frame { fill: #f4f6f8; stroke: #8a97a3 }
.room { fill: #fff; stroke: #2f5d8a }
.file { fill: #fff; stroke: #8a97a3; stroke-dasharray: 3 2 }
.arrow { fill: none; stroke: #7d8a96; marker-end: url(#tip) }
.between { fill: none; stroke: #2f5d8a; stroke-width: 2.5; marker-end: url(#tip) }
</style>
<defs>
<marker id="tip" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="5" markerHeight="5" orient="auto">
<path d="M0 0 8 4 0 8z" fill="#2f5d8a"/>
</marker>
</defs>"""


def column(names: Iterable[str], x: float, y: float, root: Path) -> tuple[list[str], float, float]:
    """SVG of containers above each other, with their common width and the bottom, in pixels."""
    found = {}
    for name in names:
        graph, height = gathered(name, root)
        found[name] = passing(reduced(graph), height)
    width = 2 * MARGIN + max(
        across(() if name.startswith(">") else wrapped(name) for name in graph if height[name] == level)
        for graph, height in found.values()
        for level in set(height.values())
    )
    parts: list[str] = []
    for number, (name, (graph, height)) in enumerate(found.items()):
        if number:
            middle = x + width / 2
            parts.append(f'<path class="between" d="M{middle:g} {y - 26:g} V{y - 6:g}"/>')
        inside, tall = frame(name.replace(".", " / "), graph, height, width)
        parts += [f'<g transform="translate({x:g} {y:g})">', *inside, "</g>"]
        y += tall + 26
    return parts, width, y - 26


def picture(root: Path = ROOT) -> str:
    """The whole picture as SVG text; the same text for the same imports. Raises ValueError for a circle."""
    left, width, bottom = column(HOUSES, MARGIN, MARGIN, root)
    parts, total, low = list(left), MARGIN + width, bottom
    y, right = float(MARGIN), 0.0
    for name in WINGS:
        more, wide, y = column([name], total + MARGIN, y, root)
        parts += more
        y, right = y + 26, max(right, wide)
    low = max(low, y - 26) + MARGIN
    whole = total + 2 * MARGIN + right
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole:g}" height="{low:g}" viewBox="0 0 {whole:g} {low:g}">'
    )
    return "\n".join([head, STYLE, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>", ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture, or with --check say whether the one that is there agrees with the imports."""
    made = argparse.ArgumentParser(
        description="Draw the rooms of the packages and their imports.",
        epilog="example:\n  python scripts/draw_rooms.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--out", metavar="SVG", type=Path, default=PICTURE, help="file (default: docs/images/rooms.svg)")
    made.add_argument(
        "--check", action="store_true", help="write nothing; end with status 1 when the file is out of date"
    )
    options = made.parse_args(arguments)
    new = picture()
    if options.check:
        there = options.out.is_file() and options.out.read_text(encoding="utf-8") == new
        print(f"{options.out}: {'agrees with the imports' if there else 'out of date: python scripts/draw_rooms.py'}")
        return int(not there)
    options.out.write_text(new, encoding="utf-8")
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main_guard(main))
