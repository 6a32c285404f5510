"""Figures of accuracy over emulated chips, as functions of plain arrays. They never read a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from learning.experiments.monte_carlo.metrics import SHARE, Interval, mean_interval
from learning.experiments.monte_carlo.score import ACCURACY, Score
from learning.experiments.report.style import (
    COLOURS,
    FOREGROUND,
    hide_rest,
    legend_below,
    new_figure,
    panel_grid,
    percent_axis,
    score_axis,
    styled,
    time_positions,
    times_axis,
)
from learning.experiments.report.wording import time_label

F64 = npt.NDArray[np.float64]


def chip_band(
    axes: Axes,
    x: F64,
    values: F64,
    *,
    colour: str,
    label: str | None,
    spread: bool = True,
    alpha: float = 0.35,
    bounds: tuple[float, float] = SHARE,
) -> None:
    """Draw the mean over chips with its 95 % interval, and lightly the range from the worst to the best chip.

    Args:
        axes: where. x: (T,). values: (chips, T). colour: of line and bands. label: for the legend. spread: draw the range.
        alpha: of the interval's band. bounds: what the mean can be.
    """
    intervals = [mean_interval(values[:, k], bounds=bounds) for k in range(x.size)]
    if spread and values.shape[0] > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(
            x, low, high, color=colour, alpha=0.14, linewidth=0, label=None if label is None else f"_{label}"
        )
    if values.shape[0] > 1:
        ends = [i.low for i in intervals], [i.high for i in intervals]
        axes.fill_between(
            x, *ends, color=colour, alpha=alpha, linewidth=0, label=None if label is None else f"_{label}"
        )
    axes.plot(x, [i.value for i in intervals], "o-", color=colour, label=label, zorder=3)


def _digital_line(axes: Axes, accuracy: float | None) -> None:
    if accuracy is None:
        return
    axes.axhline(accuracy, color=FOREGROUND, linewidth=1.0, linestyle=(0, (4, 3)), label="digital twin", zorder=2)


@styled
def accuracy_over_time(
    times: F64, accuracy: F64, digital: float, threshold: float | None = None, *, score: Score = ACCURACY
) -> Figure:
    """Accuracy, or R2, against log time after programming: mean, interval and range over chips, and the digital network's line.

    Args:
        times: (T,) seconds. accuracy: (chips, T) in [0, 1]. digital: of the ideal network.
        threshold: drawn as a dotted line when given. score: what is drawn.
    """
    figure, [axes] = new_figure(4.9, 3.6)
    _digital_line(axes, digital)
    chips = accuracy.shape[0]
    name = "one chip" if chips == 1 else f"mean of {chips} chips, 95 % interval, range"
    chip_band(axes, time_positions(times), accuracy, colour=COLOURS[0], label=name, bounds=score.bounds)
    if threshold is not None and axes.get_ylim()[0] < threshold:
        axes.axhline(
            threshold, color=COLOURS[2], linewidth=1.2, linestyle=":", label=f"threshold {score.limit(threshold)}"
        )
    times_axis(axes, times)
    score_axis(axes, score)
    axes.set_xlabel("time after programming")
    axes.set_ylabel(score.axis)
    legend_below(figure)
    return figure


@styled
def accuracy_of_points(
    curves: Mapping[str, tuple[F64, F64]], digital: float | None, *, score: Score = ACCURACY
) -> Figure:
    """Accuracy, or R2, against log time of several configurations: mean over chips and its interval.

    Args:
        curves: name -> (times (T,) in seconds, score (chips, T)). digital: of the ideal network, None for no line.
        score: what is drawn.
    """
    figure, [axes] = new_figure(4.9, 3.3 + 0.17 * len(curves))
    _digital_line(axes, digital)
    for k, (name, (times, accuracy)) in enumerate(curves.items()):
        colour = COLOURS[k % len(COLOURS)]
        x, bounds = time_positions(times), score.bounds
        chip_band(axes, x, accuracy, colour=colour, label=name, spread=False, alpha=0.2, bounds=bounds)
    times_axis(axes, np.unique(np.concatenate([times for times, _ in curves.values()])))
    score_axis(axes, score)
    axes.set_xlabel("time after programming")
    axes.set_ylabel(score.axis)
    legend_below(figure)
    return figure


@styled
def chip_histograms(
    times: F64, accuracy: F64, digital: float, threshold: float | None = None, *, score: Score = ACCURACY
) -> Figure:
    """Distribution of accuracy, or R2, over chips, one panel per time, on one axis.

    Args:
        times: (T,) seconds. accuracy: (chips, T) in [0, 1]. digital: of the ideal network. threshold: yield limit or None.
        score: what is drawn.
    """
    count = times.size
    rows, cols = panel_grid(count)
    figure, axs = new_figure(max(3.2, 1.5 * cols), 1.9 * rows + 0.4, rows, cols, share_x=True, share_y=True)
    low, high = float(accuracy.min()), float(max(accuracy.max(), digital))
    margin = max(0.05 * (high - low), 1e-3)
    edges = np.linspace(low - margin, high + margin, 19)
    hide_rest(axs, count, cols)
    for k, axes in enumerate(axs[:count]):
        axes.hist(accuracy[:, k], list(edges), color=COLOURS[0], alpha=0.85)
        axes.axvline(float(accuracy[:, k].mean()), color=COLOURS[0], linewidth=1.4)
        axes.axvline(digital, color=FOREGROUND, linewidth=0.9, linestyle=(0, (4, 3)))
        if threshold is not None and edges[0] < threshold < edges[-1]:
            axes.axvline(threshold, color=COLOURS[2], linewidth=1.2, linestyle=":")
        axes.set_title(time_label(float(times[k])))
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{score.factor * value:.4g}")
    for axes in axs[::cols]:
        axes.set_ylabel("chips")
    figure.supxlabel(score.axis, fontsize=10)
    return figure


@styled
def layer_error_over_time(times: F64, errors: Mapping[str, F64]) -> Figure:
    """Relative error of each layer's product against log time: mean and interval over chips.

    Args:
        times: (T,) seconds. errors: layer -> (chips, T), ``rms(y - y_ideal)/rms(y_ideal)``.
    """
    figure, [axes] = new_figure(4.9, 3.5)
    for k, (layer, values) in enumerate(errors.items()):
        chip_band(
            axes,
            time_positions(times),
            values,
            colour=COLOURS[k % len(COLOURS)],
            label=layer,
            spread=False,
            bounds=(0.0, np.inf),
        )
    axes.set_ylim(bottom=0)
    times_axis(axes, times)
    percent_axis(axes)
    axes.set_xlabel("time after programming")
    axes.set_ylabel("MVM error (%)")
    legend_below(figure)
    return figure


@styled
def accuracy_over_setting(
    values: Sequence[str], accuracy: Mapping[str, F64], digital: float | None, label: str, *, score: Score = ACCURACY
) -> Figure:
    """Accuracy, or R2, against one setting (converter bits, noise scale): mean, interval and range over chips.

    Args:
        values: (V,) of the setting; those that are no numbers (`none`) stand apart on the right.
        accuracy: what differs (a time) -> (chips, V) in [0, 1]. digital: of the ideal network, None for no line.
        label: of the x axis. score: what is drawn.
    """
    figure, [axes] = new_figure(4.9, 3.5)
    _digital_line(axes, digital)
    numeric = [k for k, value in enumerate(values) if is_number(value)]
    others = [k for k in range(len(values)) if k not in numeric]
    x = np.array([float(values[k]) for k in numeric])
    order = np.argsort(x)
    step = 1.3 * float(np.diff(x[order]).min()) if x.size > 1 else 1.0
    apart = (x.max() if x.size else 0.0) + step * (1 + np.arange(len(others)))
    for k, (name, chips) in enumerate(accuracy.items()):
        colour, spread = COLOURS[k % len(COLOURS)], len(accuracy) == 1
        values_there = chips[:, numeric][:, order]
        chip_band(axes, x[order], values_there, colour=colour, label=name, spread=spread, bounds=score.bounds)
        for place, column in zip(apart, others, strict=True):
            _chip_point(axes, float(place), score.mean(chips[:, column]), colour, name)
    positive = x[x > 0]
    if not others and positive.size > 2 and positive.max() > 30 * positive.min():
        if (x == 0).any():
            axes.set_xscale("symlog", linthresh=float(positive.min()))
        else:
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    elif x.size + len(others) <= 12:
        axes.set_xticks([*x, *apart], [f"{value:g}" for value in x] + [values[k] for k in others])
    score_axis(axes, score)
    axes.set_xlabel(label)
    axes.set_ylabel(score.axis)
    legend_below(figure)
    return figure


def is_number(text: str) -> bool:
    """Whether a study's value is a number, and so has a place on an axis."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _chip_point(axes: Axes, x: float, mean: Interval, colour: str, name: str) -> None:
    """Draw the mean over chips with its interval at one place."""
    axes.plot([x], [mean.value], "D", color=colour, markersize=4, zorder=3, label=f"_{name}")
    if mean.n > 1:
        axes.plot([x, x], [mean.low, mean.high], color=colour, linewidth=1.2, label=f"_{name}")


@styled
def sensitivity_bars(
    effects: Mapping[str, Sequence[Interval]], times: Sequence[float], label: str, *, factor: float = 100.0
) -> Figure:
    """Bars with intervals: how many points of accuracy, or how much R2, each non-ideality costs, the costliest on top.

    Args:
        effects: non-ideality -> one interval per time. times: seconds, one per interval. label: of the x axis.
        factor: of what is drawn: 100 for a share, drawn in points.
    """
    order = sorted(effects, key=lambda name: max(i.value for i in effects[name]))
    height = 0.8 / len(times)
    figure, [axes] = new_figure(4.9, 0.9 + 0.34 * len(order) * (1 + 0.25 * (len(times) - 1)))
    for k, time in enumerate(times):
        intervals = [effects[name][k] for name in order]
        y = np.arange(len(order)) + (len(times) - 1 - 2 * k) * height / 2
        value = np.array([factor * i.value for i in intervals])
        ends = np.array([[factor * i.low, factor * i.high] for i in intervals])
        whiskers = np.nan_to_num(np.abs(ends.T - value))
        axes.barh(y, value, height * 0.92, color=COLOURS[k], alpha=0.85, label=time_label(time), linewidth=0)
        axes.errorbar(value, y, xerr=whiskers, fmt="none", ecolor=FOREGROUND, elinewidth=0.9, capsize=2, capthick=0.9)
    axes.set_yticks(np.arange(len(order)), order)
    axes.tick_params(axis="y", length=0)
    axes.spines.left.set_visible(False)
    axes.axvline(0, color=FOREGROUND, linewidth=0.8)
    axes.grid(axis="x")
    axes.grid(False, axis="y")
    axes.set_xlabel(fill(label, 46))
    if len(times) > 1:
        legend_below(figure)
    return figure
