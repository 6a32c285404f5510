"""Measures every axis of growth, writes the page and the points. It never decides what is fast enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from learning.experiments.commands.growth.axes import axes
from learning.experiments.commands.growth.measure import measure
from learning.experiments.commands.growth.page import write_page


def run(folder: Path, *, quick: bool, only: str = "", say: Callable[[str], None]) -> Path:
    """Measure, and write growth.md, growth.svg, growth.png and growth.json into a folder; return the page.

    Args:
        folder: made when it is not there. quick: a few small sizes: what is written then says nothing. say: gets a line for every point.
        only: only axes whose name, or what grows, contains this.
    """
    chosen = [axis for axis in axes() if only in axis.name or only in axis.of]
    found = measure(chosen, quick=quick, say=say)
    command = "analog-hil benchmark growth" + (" --quick" if quick else "") + (f" --only '{only}'" if only else "")
    page = write_page(folder, found, command)
    (folder / "growth.json").write_text(json.dumps([series.row() for series in found], indent=1) + "\n")
    return page
