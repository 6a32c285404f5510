"""Figures of learning on the chip, as functions of plain arrays. They never read a file.

A curve is a pair (x (S,), y (seeds, S)); the band is the range over seeds, the line their mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from learning.experiments.monte_carlo.score import ACCURACY, Score
from learning.experiments.report.style import (
    COLOURS,
    FOREGROUND,
    count_axis,
    hide_rest,
    legend_below,
    log_axis,
    new_figure,
    panel_grid,
    score_axis,
    styled,
)
from learning.experiments.report.wording import engineering

F64 = npt.NDArray[np.float64]
Curve = tuple[F64, F64]
Dash = tuple[float, tuple[float, ...] | None]
DASHES: tuple[Dash, ...] = ((0, None), (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1.5, 2)))
TWIN_DASHES: tuple[Dash, ...] = ((0, (4, 3)), (0, (1, 2)), (0, (6, 2, 1, 2)))


def line_look(names: Sequence[str], digital: Sequence[str] = ()) -> dict[str, tuple[str, Dash]]:
    """Colour and line style of every arm, the same in all figures.

    Arms that share what stands before the first ` + ` or `, ` (the rule) share a colour and differ in their dashes, so that
    the eye pairs a rule with and without decorrelation. Digital twins have the colour of the text and dashes.
    """
    looks: dict[str, tuple[str, Dash]] = {}
    analogue = [name for name in names if name not in digital]
    split = {name: [*re.split(r" \+ |, ", name, maxsplit=1), ""][:2] for name in analogue}
    bases = list(dict.fromkeys(base for base, _ in split.values()))
    variants = list(dict.fromkeys(variant for _, variant in split.values()))
    paired = 1 < len(bases) <= len(COLOURS) and len(variants) <= len(DASHES)
    for k, name in enumerate(analogue):
        if paired:
            base, variant = split[name]
            looks[name] = (COLOURS[bases.index(base)], DASHES[variants.index(variant)])
        else:
            looks[name] = (COLOURS[k % len(COLOURS)], DASHES[(k // len(COLOURS)) % len(DASHES)])
    for k, name in enumerate(n for n in names if n in digital):
        looks[name] = (FOREGROUND, TWIN_DASHES[k % len(TWIN_DASHES)])
    return looks


def _draw(axes: Axes, curves: Mapping[str, Curve], looks: Mapping[str, tuple[str, Dash]]) -> None:
    for name, (x, y) in curves.items():
        colour, dash = looks[name]
        if y.shape[0] > 1:
            low, high = np.nanmin(y, axis=0), np.nanmax(y, axis=0)
            axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, label=f"_{name}")
        axes.plot(
            x, np.nanmean(y, axis=0), color=colour, linestyle=dash, label=name, marker="o" if x.size < 4 else None
        )


@styled
def learning_curves(
    curves: Mapping[str, Curve],
    x_label: str,
    *,
    digital: Sequence[str] = (),
    log_x: bool = False,
    unit: str = "",
    score: Score = ACCURACY,
) -> Figure:
    """Accuracy, or R2, against samples, pulses or chip time: mean over seeds, range as a band.

    Args:
        curves: arm -> (x, score). x_label: of the x axis. digital: arms that are ideal digital twins.
        log_x: logarithmic x, labelled with SI prefixes and `unit`. score: what y is.
    """
    figure, [axes] = new_figure(4.9, 3.3 + 0.17 * len(curves))
    _draw(axes, curves, line_look(list(curves), digital))
    if log_x:
        log_axis(axes, "x", np.concatenate([x for x, _ in curves.values()]), lambda x: engineering(x, unit))
    else:
        count_axis(axes)
    score_axis(axes, score)
    axes.set_xlabel(x_label)
    axes.set_ylabel(f"test {score.axis}")
    legend_below(figure)
    return figure


@styled
def loss_curves(curves: Mapping[str, Curve], *, digital: Sequence[str] = ()) -> Figure:
    """Training loss against samples seen, logarithmic where it spans more than a decade; arguments as in `learning_curves`."""
    figure, [axes] = new_figure(4.9, 3.3 + 0.17 * len(curves))
    _draw(axes, curves, line_look(list(curves), digital))
    values = np.concatenate([y[np.isfinite(y)] for _, y in curves.values()])
    if values.size and values.min() > 0 and values.max() > 10 * values.min():
        log_axis(axes, "y", values)
    count_axis(axes)
    axes.set_xlabel("training samples")
    axes.set_ylabel("training loss")
    legend_below(figure)
    return figure


@styled
def layer_curves(
    curves: Mapping[str, Mapping[str, Curve]],
    y_label: str,
    *,
    limits: tuple[float, float] | None = None,
    log_y: bool = False,
) -> Figure:
    """One quantity per layer over training, one panel per arm on one scale.

    Args:
        curves: arm -> layer -> (samples, value (seeds, S)). y_label: quantity. limits: of y. log_y: logarithmic y.
    """
    rows, cols = panel_grid(len(curves), 3)
    layers = list(dict.fromkeys(layer for per_arm in curves.values() for layer in per_arm))
    looks = {
        layer: (COLOURS[k % len(COLOURS)], DASHES[k // len(COLOURS) % len(DASHES)]) for k, layer in enumerate(layers)
    }
    everything = np.concatenate([y.ravel() for per_layer in curves.values() for _, y in per_layer.values()])
    figure, axs = new_figure(max(4.9, 2.4 * cols), 2.1 * rows + 0.8, rows, cols, share_x=True, share_y=True)
    hide_rest(axs, len(curves), cols)
    for k, axes in enumerate(axs[: len(curves)]):
        arm, per_layer = list(curves.items())[k]
        _draw(axes, per_layer, looks)
        axes.set_title(fill(arm, 28), fontsize=9)
        if log_y:
            log_axis(axes, "y", everything)
        if limits is not None:
            axes.set_ylim(*limits)
            if limits[0] < 0 < limits[1]:
                axes.axhline(0, color=FOREGROUND, linewidth=0.6)
        count_axis(axes)
        if k + cols >= len(curves):  # nothing below it
            axes.set_xlabel("training samples")
    legend_below(figure)
    figure.supylabel(y_label, fontsize=10)
    return figure


@styled
def pulses_per_cell(pulses: Mapping[str, Mapping[str, tuple[float, float]]]) -> Figure:
    """Bars: mean pulses per cell of every layer, with a tick at the most pulsed cell (what endurance must bear).

    Args:
        pulses: arm -> layer -> (mean, largest) over cells at the end of training.
    """
    names = [(arm, layer) for arm, per_layer in pulses.items() for layer in per_layer]
    figure, [axes] = new_figure(4.9, 0.9 + 0.26 * len(names) + 0.1 * len(pulses))
    colours = line_look(list(pulses))
    y, place, ticks = 0.0, list[float](), list[str]()
    for arm, layer in reversed(names):
        place.append(y)
        ticks.append(f"{arm}: {layer}" if len(pulses) > 1 else layer)
        mean, largest = pulses[arm][layer]
        axes.barh(y, mean, 0.72, color=colours[arm][0], alpha=0.85, linewidth=0)
        axes.plot([mean, largest], [y, y], color=FOREGROUND, linewidth=0.7, alpha=0.6)
        axes.plot([largest], [y], "|", color=FOREGROUND, markersize=9, markeredgewidth=1.4)
        y += 1.0
    axes.set_yticks(place, ticks)
    axes.tick_params(axis="y", length=0)
    positive = [v for per_layer in pulses.values() for pair in per_layer.values() for v in pair if v > 0]
    if positive and max(positive) > 50 * min(positive):
        log_axis(axes, "x", positive, lambda x: engineering(x, "").replace(" ", ""))
        axes.set_xlim(min(positive) / 2, max(positive) * 2)
    else:
        count_axis(axes)
    axes.grid(axis="x")
    axes.grid(False, axis="y")
    axes.set_xlabel("pulses per cell (bar: mean, tick: most pulsed cell)")
    return figure
