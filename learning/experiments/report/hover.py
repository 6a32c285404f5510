"""Which points a reader may point at in a figure, and which of its lines belong together. It never draws.

A line, band or bar belongs to the series that its label names; a label that begins with `_` is that of a companion (a band, a
second line of the same arm), which the legend leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

MOST_POINTS = 300
"""Points of one line that can be pointed at; of longer lines every second, third, ... is."""


def mark(figure: Figure) -> dict[str, list[str]]:
    """Give what belongs to a series an id for the SVG; return series -> ids. Call it before the figure is saved."""
    found: dict[str, list[str]] = {}
    for name, artist in _named(figure):
        if name:
            gid = f"series-{sum(map(len, found.values()))}"
            artist.set_gid(gid)
            found.setdefault(name, []).append(gid)
    return found


def series_of(figure: Figure, ids: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Series with the points that can be pointed at. Call it after the figure was saved, when its places are final.

    Args:
        figure: laid out. ids: as `mark` found them.

    Returns:
        One dict a series: name, ids, colour, points as [x, y, text of x, text of y], x and y in [0, 1] from the top left.
    """
    found: dict[str, dict[str, Any]] = {
        name: {"name": name, "ids": of_name, "colour": "", "points": []} for name, of_name in ids.items()
    }
    for name, artist in _named(figure):
        entry = found.setdefault(name, {"name": name, "ids": [], "colour": "", "points": []})
        axes = artist.axes
        if not isinstance(axes, Axes) or not axes.get_visible():
            continue
        if isinstance(artist, Line2D) and artist.get_transform() == axes.transData:
            entry["colour"] = entry["colour"] or to_hex(artist.get_color())
            data = np.column_stack([np.asarray(axis, np.float64) for axis in artist.get_data()])
            entry["points"] += _points(figure, axes, data)
        elif isinstance(artist, Rectangle):
            entry["colour"] = entry["colour"] or to_hex(artist.get_facecolor())
            entry["points"] += _bar(figure, axes, artist)
    return [entry for entry in found.values() if entry["points"] or entry["ids"]]


def _named(figure: Figure) -> Iterator[tuple[str, Artist]]:
    """What is drawn with the name of its series, empty where it has none."""
    for axes in figure.axes:
        inside: dict[int, str] = {}
        for container in axes.containers:
            if isinstance(container, BarContainer | ErrorbarContainer):
                name = _name(container.get_label())
                inside |= {id(child): name for child in container.get_children()}
                if isinstance(container, BarContainer):
                    yield from ((name, patch) for patch in container.patches)
        for artist in (*axes.lines, *axes.collections):
            yield inside.get(id(artist)) or _name(artist.get_label()), artist


def _name(label: object) -> str:
    text = str(label)
    return "" if text.startswith(("_child", "_nolegend_", "_container")) or text == "None" else text.removeprefix("_")


def _points(figure: Figure, axes: Axes, data: np.ndarray[Any, np.dtype[np.float64]]) -> list[list[Any]]:
    data = data[np.isfinite(data).all(axis=1)]
    data = data[:: -(-len(data) // MOST_POINTS) or 1]
    places = axes.transData.transform(data) if len(data) else data
    return [
        _point(figure, place, _text(axes.xaxis, x), _text(axes.yaxis, y), axes)
        for (x, y), place in zip(data, places, strict=True)
        if axes.bbox.padded(1.0).contains(*place)
    ]


def _bar(figure: Figure, axes: Axes, bar: Rectangle) -> list[list[Any]]:
    """The end of a bar; a bar that lies is named by the tick beside it."""
    x, y, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
    labels = {
        float(tick): text.get_text() for tick, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=False)
    }
    near = min(labels, key=lambda tick: abs(tick - y - height / 2), default=None)
    lying = axes.yaxis.get_tick_params().get("length") == 0 and near is not None and not _is_number(labels[near])
    if lying and near is not None:
        place = axes.transData.transform((x + width, y + height / 2))
        return [_point(figure, place, f"{width:.4g}", labels[near], axes)]
    if height == 0:
        return []
    place = axes.transData.transform((x + width / 2, y + height))
    return [_point(figure, place, f"{_text(axes.xaxis, x)} to {_text(axes.xaxis, x + width)}", f"{height:.4g}", axes)]


def _point(figure: Figure, place: Any, x: str, y: str, axes: Axes) -> list[Any]:
    across, up = place / np.array([figure.bbox.width, figure.bbox.height])
    return [
        round(float(across), 4),
        round(1.0 - float(up), 4),
        _said(axes.get_xlabel(), x),
        _said(axes.get_ylabel(), y),
    ]


def _said(label: str, value: str) -> str:
    """`accuracy: 96.4 %` of a label `accuracy (%)`."""
    name, opened, unit = label.rpartition(" (")
    if opened and unit.endswith(")") and len(unit) < 12:
        return f"{name}: {value} {unit[:-1]}"
    return f"{label}: {value}" if label else value


def _text(axis: Axis, value: float) -> str:
    """A value as the axis writes it, in plain digits where it writes nothing."""
    formatter = axis.get_major_formatter()
    said = formatter(value, None) if isinstance(formatter, FuncFormatter) else ""
    return said or f"{value:.4g}"


def _is_number(text: str) -> bool:
    return text.replace("−", "-").replace(".", "").lstrip("-").isdecimal()
