"""The page of growth: tables of exponents, a figure, and what a chip of 1e8 cells would take. It never measures."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from learning.experiments.commands.growth.law import Growth, growth
from learning.experiments.commands.growth.measure import GrowthPoint, GrowthSeries
from learning.experiments.report.style import COLOURS, legend_below, new_figure, save_figure, styled

CELLS = 1e8
"""Of the chip that is estimated at the end of the page: 5e7 weights, two cells each."""

ARRAY = 1024
"""Lines of the arrays that it is cut into."""


def write_page(folder: Path, found: Sequence[GrowthSeries], command: str) -> Path:
    """Write growth.md, growth.svg and growth.png into a folder; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(figure(found), folder, "growth")
    page = folder / "growth.md"
    page.write_text(text(found, command), encoding="utf-8")
    return page


def text(found: Sequence[GrowthSeries], command: str) -> str:
    """The page as Markdown."""
    lines = [
        "# Growth",
        "",
        f"`{command}` on {_machine()}: the least processor time of repeated calls on one thread, or, where threads grow,",
        "the least time by the clock on the wall; memory is the most that NumPy and Python held while the thing was made and called once.",
        "An exponent p means time ~ size^p, fitted to all points, or above the bend where the growth bends.",
        "",
        "![Time and memory against size](growth.svg)",
        "",
        "| what | grows with | from ... to | time | exponent of time | memory | exponent of memory |",
        "|---|---|---|---|---|---|---|",
        *(_row(series) for series in found),
        "",
        *_ahead(found),
    ]
    return "\n".join(lines)


def _row(series: GrowthSeries) -> str:
    x = [float(point.value) for point in series.points]
    cells = [series.name, series.of, f"{series.points[0].value} ... {series.points[-1].value}"]
    for values, form in (
        ([point.seconds for point in series.points], seconds),
        ([float(point.bytes) for point in series.points], size),
    ):
        cells.append(f"{form(values[0])} ... {form(values[-1])}")
        cells.append(_law(growth(x, values)) if len(x) > 1 else "")
    return f"| {' | '.join(cells)} |"


def _law(law: Growth) -> str:
    """An exponent in words."""
    if law.bend is None or law.before is None:
        return f"{law.exponent:.2f}"
    return f"{law.before:.2f} up to {law.bend:g}, then {law.exponent:.2f}"


def _ahead(found: Sequence[GrowthSeries]) -> list[str]:
    """What a chip of `CELLS` cells would take: so many arrays of the largest size up to `ARRAY` that was measured."""
    rows = []
    for series in found:
        point = _nearest(series)
        if point is not None:
            arrays = CELLS / (2.0 * point.value**2)
            rows.append((series.name, point, arrays))
    if not rows:
        return []
    return [
        f"## A chip of {CELLS / 1e6:.0f} million cells",
        "",
        f"{CELLS / 2e6:.0f} million weights in pairs of cells, cut into arrays of the size in the table; on one thread, "
        "arrays one after the other.",
        "Extrapolated: what was measured at one array, times the number of arrays.",
        "The digital sums over the arrays of a column are left out.",
        "",
        "| what | arrays | time | memory |",
        "|---|---|---|---|",
        *(
            f"| {name} | {arrays:.0f} of {point.value} x {point.value} | {seconds(arrays * point.seconds)} | {size(arrays * point.bytes)} |"
            for name, point, arrays in rows
        ),
        "",
    ]


def _nearest(series: GrowthSeries) -> GrowthPoint | None:
    """The largest array of at most `ARRAY` lines."""
    fitting = [point for point in series.points if point.value <= ARRAY]
    return fitting[-1] if series.of == "lines" and fitting else None


def seconds(value: float) -> str:
    """A time with its unit."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def size(value: float) -> str:
    """Memory with its unit."""
    for factor, unit in ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def _machine() -> str:
    """The processor, as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@styled
def figure(found: Sequence[GrowthSeries]) -> Figure:
    """Time above and memory below, a column for each quantity that grows, a line for each series; one scale of a row for all columns."""
    grown = list(dict.fromkeys(series.of for series in found))
    drawing, axes = new_figure(9.6, 5.6, 2, len(grown), share_x="col", share_y="row")
    for row, (what, label) in enumerate((("seconds", "time of one call (s)"), ("bytes", "memory (bytes)"))):
        for k, series in enumerate(found):
            axis = axes[row * len(grown) + grown.index(series.of)]
            x, y = [p.value for p in series.points], [getattr(p, what) for p in series.points]
            style = "-" if k < len(COLOURS) else "--"
            axis.plot(x, y, style, marker="o", markersize=3, color=COLOURS[k % len(COLOURS)], label=series.name)
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}")
            axis.set_yscale("log")
        axes[row * len(grown)].set_ylabel(label)
    for axis, of in zip(axes[len(grown) :], grown, strict=True):
        axis.set_xlabel(of)
    legend_below(drawing)
    return drawing
