"""Figures of accuracy over emulated chips, as functions of plain arrays. They never read a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from learning.metrics import Interval, mean_interval
from learning.report.style import (
    COLOURS,
    FOREGROUND,
    log_time_axis,
    new_figure,
    percent_axis,
    styled,
    time_label,
)

F64 = npt.NDArray[np.float64]


def chip_band(axes: Axes, x: F64, values: F64, *, colour: str, label: str | None, spread: bool = True) -> None:
    """Draw the mean over chips with its 95 % interval, and lightly the range from the worst to the best chip.

    Args:
        axes: where. x: (T,). values: (chips, T). colour: of line and bands. label: for the legend. spread: draw the range.
    """
    intervals = [mean_interval(values[:, k]) for k in range(x.size)]
    if spread and values.shape[0] > 1:
        axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.14, linewidth=0)
    if values.shape[0] > 1:
        low, high = [i.low for i in intervals], [i.high for i in intervals]
        axes.fill_between(x, low, high, color=colour, alpha=0.35, linewidth=0)
    axes.plot(x, [i.value for i in intervals], "o-", color=colour, label=label, zorder=3)


def _digital_line(axes: Axes, accuracy: float) -> None:
    axes.axhline(accuracy, color=FOREGROUND, linewidth=1.0, linestyle=(0, (4, 3)), label="digital (ideal)", zorder=2)


@styled
def accuracy_over_time(
    times: F64, accuracy: F64, digital: float, threshold: float | None = None, others: Mapping[str, F64] | None = None
) -> Figure:
    """Accuracy against log time after programming: mean, interval and range over chips, and the digital network's line.

    Args:
        times: (T,) seconds. accuracy: (chips, T) in [0, 1]. digital: of the ideal network.
        threshold: drawn as a dotted line when given. others: label -> (chips, T) at the same times, to compare with.
    """
    figure, [axes] = new_figure(6.4, 3.5)
    _digital_line(axes, digital)
    chips = accuracy.shape[0]
    name = "one chip" if chips == 1 else f"mean of {chips} chips, 95 % interval, range"
    chip_band(axes, times, accuracy, colour=COLOURS[0], label=name)
    for colour, (label, values) in zip(COLOURS[1:], (others or {}).items(), strict=False):
        chip_band(axes, times, values, colour=colour, label=label, spread=False)
    if threshold is not None and axes.get_ylim()[0] < threshold:
        axes.axhline(
            threshold, color=COLOURS[2], linewidth=1.2, linestyle=":", label=f"threshold {100 * threshold:g} %"
        )
    log_time_axis(axes, float(times[times > 0].min()), float(times.max()))
    percent_axis(axes)
    axes.set_xlabel("time after programming")
    axes.set_ylabel("accuracy (%)")
    axes.legend(loc="best")
    return figure


@styled
def chip_histograms(times: F64, accuracy: F64, digital: float, threshold: float | None = None) -> Figure:
    """Distribution of accuracy over chips, one panel per time, on one axis.

    Args:
        times: (T,) seconds. accuracy: (chips, T) in [0, 1]. digital: of the ideal network. threshold: yield limit or None.
    """
    count = times.size
    cols = min(count, 5)
    rows = -(-count // cols)
    figure, axs = new_figure(max(3.2, 1.55 * cols), 1.9 * rows + 0.3, rows, cols, share_x=True, share_y=True)
    low, high = float(accuracy.min()), float(max(accuracy.max(), digital))
    margin = max(0.05 * (high - low), 1e-3)
    edges = np.linspace(low - margin, high + margin, 19)
    for k, axes in enumerate(axs):
        if k >= count:
            axes.set_visible(False)
            continue
        axes.hist(accuracy[:, k], list(edges), color=COLOURS[0], alpha=0.85)
        axes.axvline(float(accuracy[:, k].mean()), color=COLOURS[0], linewidth=1.4)
        axes.axvline(digital, color=FOREGROUND, linewidth=0.9, linestyle=(0, (4, 3)))
        if threshold is not None and edges[0] < threshold < edges[-1]:
            axes.axvline(threshold, color=COLOURS[2], linewidth=1.2, linestyle=":")
        axes.set_title(time_label(float(times[k])))
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g}")
    for axes in axs[::cols]:
        axes.set_ylabel("chips")
    figure.supxlabel("accuracy (%)", fontsize=9)
    return figure


@styled
def layer_error_over_time(times: F64, errors: Mapping[str, F64]) -> Figure:
    """Relative error of each layer's product against log time: mean and interval over chips.

    Args:
        times: (T,) seconds. errors: layer -> (chips, T), ``rms(y - y_ideal)/rms(y_ideal)``.
    """
    figure, [axes] = new_figure(6.4, 3.3)
    for k, (layer, values) in enumerate(errors.items()):
        chip_band(axes, times, values, colour=COLOURS[k % len(COLOURS)], label=layer, spread=False)
    axes.set_ylim(bottom=0)
    log_time_axis(axes, float(times[times > 0].min()), float(times.max()))
    percent_axis(axes)
    axes.set_xlabel("time after programming")
    axes.set_ylabel("error of the layer's output (%)")
    axes.legend(loc="best", ncols=1 + len(errors) // 6)
    return figure


@styled
def accuracy_over_setting(
    values: F64, accuracy: Mapping[str, F64], digital: float, label: str, nominal: float | None = None
) -> Figure:
    """Accuracy against one numeric setting (converter bits, noise scale): mean, interval and range over chips.

    Args:
        values: (V,) of the setting. accuracy: what differs (a time) -> (chips, V) in [0, 1]. digital: of the ideal network.
        label: of the x axis. nominal: value that the configuration has, marked when given.
    """
    figure, [axes] = new_figure(4.6, 3.2)
    _digital_line(axes, digital)
    for k, (name, chips) in enumerate(accuracy.items()):
        chip_band(axes, values, chips, colour=COLOURS[k % len(COLOURS)], label=name, spread=len(accuracy) == 1)
    positive = values[values > 0]
    if positive.size > 2 and positive.max() > 30 * positive.min():
        axes.set_xscale(
            "symlog" if (values == 0).any() else "log", **({"linthresh": positive.min()} if (values == 0).any() else {})
        )
    else:
        axes.xaxis.set_major_locator(FixedLocator(list(values)) if values.size <= 12 else MaxNLocator(8))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if nominal is not None:
        axes.axvline(nominal, color=FOREGROUND, alpha=0.35, linewidth=0.9, linestyle=":", zorder=1)
        axes.annotate(
            "as configured", (nominal, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points",
            fontsize=7.5, alpha=0.8,
        )  # fmt: skip
    percent_axis(axes)
    axes.set_xlabel(label)
    axes.set_ylabel("accuracy (%)")
    axes.legend(loc="best")
    return figure


@styled
def sensitivity_bars(effects: Mapping[str, Sequence[Interval]], times: Sequence[float], label: str) -> Figure:
    """Bars with intervals: how many points of accuracy each non-ideality costs, the costliest on top.

    Args:
        effects: non-ideality -> one interval per time, as a share in [0, 1] (drawn in points). times: seconds, one per interval.
        label: of the x axis.
    """
    order = sorted(effects, key=lambda name: max(i.value for i in effects[name]))
    height = 0.8 / len(times)
    figure, [axes] = new_figure(6.0, 0.9 + 0.34 * len(order) * (1 + 0.25 * (len(times) - 1)))
    for k, time in enumerate(times):
        intervals = [effects[name][k] for name in order]
        y = np.arange(len(order)) + (len(times) - 1 - 2 * k) * height / 2
        value = np.array([100 * i.value for i in intervals])
        ends = np.array([[100 * i.low, 100 * i.high] for i in intervals])
        whiskers = np.nan_to_num(np.abs(ends.T - value))
        axes.barh(y, value, height * 0.92, color=COLOURS[k], alpha=0.85, label=time_label(time), linewidth=0)
        axes.errorbar(value, y, xerr=whiskers, fmt="none", ecolor=FOREGROUND, elinewidth=0.9, capsize=2, capthick=0.9)
    axes.set_yticks(np.arange(len(order)), order)
    axes.tick_params(axis="y", length=0)
    axes.spines.left.set_visible(False)
    axes.axvline(0, color=FOREGROUND, linewidth=0.8)
    axes.grid(axis="x")
    axes.grid(False, axis="y")
    axes.set_xlabel(label)
    if len(times) > 1:
        axes.legend(loc="lower right")
    return figure
