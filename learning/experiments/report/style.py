"""The look of every figure, and figures as files and as text for HTML. It never touches Matplotlib's global state.

A figure function is decorated with `styled`, makes its axes by `new_figure` and returns the figure. No window, no
`pyplot`: figures are plain objects, drawn by Agg or as SVG when they are saved.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from pathlib import Path
from textwrap import fill
from typing import Literal, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from learning.experiments.monte_carlo.score import Score
from learning.experiments.report.wording import MONTH, YEAR, engineering, time_label

STYLE = Path(__file__).with_name("style.mplstyle")
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#94a4a2", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
"""petroff10 (Petroff, arXiv:2107.02270), grey moved back so that the first colours are strong ones."""
FOREGROUND, BACKGROUND = "#24292f", "#ffffff"
UP, DOWN = COLOURS[0], COLOURS[2]
"""Potentiation and depression, everywhere."""

TIME_TICKS = (
    (1e-9, "1 ns"),
    (1e-6, "1 µs"),
    (1e-3, "1 ms"),
    (1.0, "1 s"),
    (60.0, "1 min"),
    (3600.0, "1 h"),
    (86400.0, "1 day"),
    (MONTH, "1 month"),
    (YEAR, "1 year"),
    (10 * YEAR, "10 years"),
)

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function under the packaged style and leave Matplotlib's settings as they were."""

    @wraps(function)
    def under_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(fname=STYLE):
            return function(*args, **kwargs)

    return under_style


def new_figure(
    width: float = 4.9,
    height: float = 3.3,
    rows: int = 1,
    cols: int = 1,
    *,
    share_x: bool | Literal["row", "col"] = False,
    share_y: bool | Literal["row", "col"] = False,
) -> tuple[Figure, list[Axes]]:
    """Figure of `width` x `height` inches and its `rows` x `cols` axes, row after row. "row" and "col": those of one share an axis."""
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, cols, squeeze=False, sharex=share_x, sharey=share_y)
    return figure, list(axes.flat)


def panel_grid(count: int, most: int = 5) -> tuple[int, int]:
    """Rows and columns for `count` panels, at most `most` in a row, rows as full as can be."""
    rows = -(-count // most)
    return rows, -(-count // rows)


def hide_rest(axes: list[Axes], count: int, cols: int) -> None:
    """Hide the panels after the first `count` and label x at the lowest panel of every column."""
    for spare in axes[count:]:
        spare.set_visible(False)
    for k in range(max(0, count - cols), count):
        axes[k].tick_params(axis="x", labelbottom=True)


@styled
def save_png(figure: Figure, path: Path) -> None:
    """Draw the figure as pixels."""
    figure.savefig(path, format="png")


@styled
def save_svg(figure: Figure, path: Path) -> None:
    """Draw the figure as lines and text, the same bytes every time."""
    figure.savefig(path, format="svg", metadata={"Date": None})


def save_figure(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write folder/name.png and folder/name.svg; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    save_png(figure, png)
    save_svg(figure, svg)
    return png, svg


def smallest_text(figure: Figure) -> float:
    """Size of a figure's smallest text in pixels at 96 to the inch, 96 where it has none."""
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible() and text.get_text()]
    return min((float(text.get_fontsize()) for text in texts), default=72.0) * 96.0 / 72.0


def legend_below(figure: Figure, handles: Sequence[Artist] | None = None) -> None:
    """Put one legend below all axes, off the data: every label once, as many columns as fit the width, long names in lines.

    A figure of which it would take more than 45 % becomes so much higher: the axes keep their room.

    Args:
        figure: whose. handles: what to list; None for everything drawn that has a label.
    """
    if handles is None:
        pairs = [pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    else:
        pairs = [(handle, str(handle.get_label())) for handle in handles]
    known = dict[str, Artist]()
    for handle, label in pairs:
        known.setdefault(label, handle)
    if not known:
        return
    size = 9.0
    room = 72.0 * float(figure.get_size_inches()[0]) - 14.0  # points
    widest = int((room - 30.0) / (0.56 * size))
    wrapped = [fill(label, widest) for label in known]
    longest = max(len(line) for label in wrapped for line in label.splitlines())
    columns = max(1, min(len(known), int(room / (0.53 * size * longest + 38.0))))
    figure.legend(list(known.values()), wrapped, loc="outside lower center", ncols=columns, fontsize=size)
    rows = -(-len(wrapped) // columns)  # a legend is filled column by column
    lines = max(sum(label.count("\n") + 1 for label in wrapped[k : k + rows]) for k in range(0, len(wrapped), rows))
    needed = size * (1.25 * lines + 0.5 * rows) / 72.0  # inches: lines and the space between entries
    width, height = (float(side) for side in figure.get_size_inches())
    figure.set_size_inches(width, height + max(0.0, needed - 0.45 * height))


def inline_svg(svg: Path, description: str) -> str:
    """SVG element of a file for an HTML page: it takes the page's colours; its ids begin with the file's name."""
    text = svg.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{svg.stem}-', text)
    text = text.replace('xlink:href="#', f'xlink:href="#{svg.stem}-').replace("url(#", f"url(#{svg.stem}-")
    text = text.replace(FOREGROUND, "currentColor").replace(BACKGROUND, "var(--page)")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(description, quote=True)}" ', 1)


def inline_png(png: Path, description: str) -> str:
    """IMG element with the file as data: scatters and heat maps would make a huge SVG."""
    data = base64.b64encode(png.read_bytes()).decode()
    return f'<img alt="{escape(description, quote=True)}" src="data:image/png;base64,{data}">'


def time_positions(times: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Where times (T,) stand on a logarithmic axis: 0 s a decade before the first other time."""
    x = np.array(times, np.float64)
    x[x <= 0] = x[x > 0].min() / 10 if (x > 0).any() else 1.0
    return x


def times_axis(axes: Axes, times: npt.ArrayLike) -> None:
    """Make x the logarithmic time axis of `time_positions(times)`, with a tick at 0 s when it is among them."""
    x = time_positions(times)
    log_time_axis(axes, float(x.min()), float(x.max()))
    if (np.asarray(times) <= 0).any():
        ticks = {float(x.min()): "0 s"} | {t: label for t, label in TIME_TICKS if x.min() < t <= x.max() * 1.4}
        axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: ticks.get(t, "")))


def log_time_axis(axes: Axes, low: float, high: float) -> None:
    """Make x a logarithmic time axis with ticks at 1 s, 1 min, 1 h, 1 day, ... between `low` and `high` seconds."""
    axes.set_xscale("log")
    axes.set_xlim(low / 1.4, high * 1.4)
    ticks = [(t, label) for t, label in TIME_TICKS if low / 1.4 <= t <= high * 1.4]
    if len(ticks) < 2:  # a short range: leave the decades
        axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: time_label(t)))
        return
    axes.xaxis.set_major_locator(FixedLocator([t for t, _ in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    labels = dict(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda t, _: labels.get(t, time_label(t))))


def count_axis(axes: Axes) -> None:
    """Label x, a count, as 0, 20k, 40k, 1M."""
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: engineering(x, "").replace(" ", "")))


def log_axis(
    axes: Axes, which: Literal["x", "y"], values: npt.ArrayLike, label: Callable[[float], str] = "{:g}".format
) -> None:
    """Make x or y logarithmic, labelled at decades, or at 1, 2, 5 where `values` span less than two, by `label`.

    Where they all lie within 5 %, round numbers would all read the same: the ends are labelled, in six digits.
    """
    positive = np.asarray(values, np.float64)
    positive = positive[np.isfinite(positive) & (positive > 0)]
    wide = positive.size > 0 and positive.max() >= 100 * positive.min()
    if which == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    if positive.size and positive.max() <= 1.05 * positive.min():
        axis.set_major_locator(FixedLocator(sorted({positive.min(), positive.max()})))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
        return
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_formatter(NullFormatter())


def percent_axis(axes: Axes) -> None:
    """Label y, a share in [0, 1], in percent."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}"))


def score_axis(axes: Axes, score: Score) -> None:
    """Label y in the unit of a score."""
    if score.factor == 100.0:
        percent_axis(axes)
