"""Figures of one device card, as functions of arrays: pulses, steps, programming, ageing, read noise. They never measure anything.

Dots and bands are emulated cells, lines are the card's closed forms; a second card, when given, is drawn in dashes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from learning.experiments.report.device.results import READ_AGES, READ_AGES_MEASURED, DeviceClaims, DeviceResults, Ramps
from learning.experiments.report.style import (
    COLOURS,
    DOWN,
    FOREGROUND,
    UP,
    legend_below,
    log_time_axis,
    new_figure,
    styled,
)
from learning.experiments.report.wording import time_label

F64 = npt.NDArray[np.float64]

DASHED = (0, (4, 2))
LINE: dict[str, Any] = {"color": FOREGROUND, "linewidth": 1.1}
OTHER: dict[str, Any] = {"color": FOREGROUND, "linewidth": 1.1, "linestyle": DASHED, "alpha": 0.75}
SHADES = ("#1c4f86", "#3f90da", "#b9ac70", "#ffa90e", "#bd1f01")
"""From low to high conductance; blue to red."""


@styled
def pulse_ramps(ramps: Ramps, claims: DeviceClaims, other: DeviceClaims | None = None) -> Figure:
    """Conductance as read against pulse number, two cycles up and down: median, 10 to 90 % of cells, three single cells.

    Args:
        ramps: emulated. claims: of the card; its mean path is the line. other: of a card to compare with.
    """
    figure, [axes] = new_figure(4.9, 3.9)
    unit, scale = _unit(claims.g_max)
    x = np.arange(ramps.g.shape[1])
    low, middle, high = np.quantile(ramps.g, [0.1, 0.5, 0.9], axis=0) * scale
    starts = (0, *ramps.turns, x[-1])
    for k, (a, b) in enumerate(pairwise(starts)):
        part = slice(a, b + 1)
        colour = UP if k % 2 == 0 else DOWN
        axes.fill_between(x[part], low[part], high[part], color=colour, alpha=0.2, linewidth=0)
        for cell in ramps.g[:3]:
            axes.plot(x[part], cell[part] * scale, color=colour, linewidth=0.6, alpha=0.55)
        axes.plot(x[part], middle[part], color=colour, linewidth=1.8)
    if claims.path is not None:
        axes.plot(x, claims.path * scale, **LINE, linestyle=(0, (1, 1.2)))
    if other is not None and other.path is not None:
        axes.plot(x, other.path * scale, **OTHER)
    axes.set(xlabel="pulse number", ylabel=f"conductance ({unit})", xlim=(0, x[-1]))
    if claims.g_min < 0.3 * claims.g_max:
        axes.set_ylim(bottom=min(0.0, float(low.min()) * 1.05))
    handles = [
        Line2D([], [], color=UP, linewidth=1.8, label="potentiation, median cell"),
        Line2D([], [], color=DOWN, linewidth=1.8, label="depression, median cell"),
        Patch(color=COLOURS[4], alpha=0.35, linewidth=0, label="10 to 90 % of cells"),
        Line2D([], [], color=COLOURS[4], linewidth=0.8, label="three single cells"),
        *_law_handles(
            "path of the mean step", None if other is None or other.path is None else other, linestyle=(0, (1, 1.2))
        ),
    ]
    legend_below(figure, handles)
    return figure


@styled
def steps_against_state(results: DeviceResults, claims: DeviceClaims, other: DeviceClaims | None = None) -> Figure:
    """Change of conductance by one pulse against the state before it: mean and standard deviation of cells over the law.

    The band is the noise from cycle to cycle; the standard deviation holds the spread from cell to cell too.

    Args:
        results: emulated, with steps. claims: of the card; lines and bands. other: of a card to compare with.
    """
    figure, (axes, relative) = new_figure(7.2, 3.6, 1, 2)
    assert results.steps is not None
    assert claims.step_mean is not None
    assert claims.step_std is not None
    assert claims.step_spread is not None
    mean, std = results.steps.mean(axis=2), results.steps.std(axis=2)
    unit, scale = _unit(float(np.abs(np.concatenate([claims.step_mean, claims.step_std])).max()))
    for k, colour in enumerate((UP, DOWN)):
        law, spread = claims.step_mean[k] * scale, claims.step_std[k] * scale
        axes.fill_between(claims.u, law - spread, law + spread, color=colour, alpha=0.16, linewidth=0)
        axes.plot(claims.u, law, color=colour, linewidth=1.3)
        axes.plot(results.step_states, mean[k] * scale, "o", color=colour, markersize=3)
        relative.plot(claims.u, claims.step_spread[k] * scale, color=colour, linewidth=1.3)
        relative.plot(results.step_states, std[k] * scale, "o", color=colour, markersize=3)
        if other is not None and other.step_mean is not None and other.step_spread is not None:
            axes.plot(other.u, other.step_mean[k] * scale, **OTHER)
            relative.plot(other.u, other.step_spread[k] * scale, **OTHER)
    drawn = None if other is None or other.step_mean is None else other
    axes.axhline(0.0, color=FOREGROUND, linewidth=0.7)
    point = symmetry_point(claims)
    if point is not None:
        axes.axvline(point, color=FOREGROUND, linewidth=0.7, linestyle=(0, (2, 2)))
        axes.annotate(
            f"symmetry\npoint {point:.3g}",
            (point, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8.5,
            va="top",
        )
    axes.set(xlabel="state u", ylabel=f"change per pulse ({unit})", xlim=(-0.02, 1.02))
    relative.set(xlabel="state u", ylabel=f"its standard deviation ({unit})", xlim=(-0.02, 1.02))
    _from_zero(relative)
    handles = [
        Line2D([], [], color=UP, marker="o", markersize=3, linewidth=0, label="potentiation, cells"),
        Line2D([], [], color=DOWN, marker="o", markersize=3, linewidth=0, label="depression, cells"),
        Line2D([], [], color=COLOURS[4], linewidth=1.3, label="law"),
        Patch(color=COLOURS[4], alpha=0.35, linewidth=0, label="± cycle-to-cycle noise"),
        *_law_handles(None, drawn),
    ]
    legend_below(figure, handles)
    return figure


def symmetry_point(claims: DeviceClaims) -> float | None:
    """State at which mean steps up and down cancel, None where there is none inside the window or where they cancel everywhere."""
    if claims.step_mean is None:
        return None
    net = claims.step_mean.sum(axis=0)
    size = float(np.abs(claims.step_mean).max())
    inner = np.flatnonzero(np.diff(np.sign(net)) != 0)
    if not size or np.abs(net).max() < 1e-9 * size or inner.size == 0:
        return None
    k = int(inner[0])
    return float(
        np.interp(
            0.0, sorted([net[k], net[k + 1]]), claims.u[[k, k + 1]] if net[k] < net[k + 1] else claims.u[[k + 1, k]]
        )
    )


@styled
def programming_error(results: DeviceResults, claims: DeviceClaims, other: DeviceClaims | None = None) -> Figure:
    """Error after programming against target: its distribution, and its standard deviation over the law.

    Args:
        results: emulated. claims: of the card. other: of a card to compare with.
    """
    figure, (axes, spread) = new_figure(7.2, 3.5, 1, 2)
    unit, scale = _unit(claims.g_max)
    x = results.targets * scale
    largest = float(np.abs(results.errors).max())
    error_unit, error_scale = _unit(largest) if largest > 0.0 else (unit, scale)
    percentiles = np.quantile(results.errors, [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99], axis=1) * error_scale
    for lower, upper, alpha in ((0, 6, 0.12), (1, 5, 0.2), (2, 4, 0.32)):
        axes.fill_between(x, percentiles[lower], percentiles[upper], color=COLOURS[0], alpha=alpha, linewidth=0)
    axes.plot(x, percentiles[3], color=COLOURS[0], linewidth=1.8)
    axes.axhline(0.0, color=FOREGROUND, linewidth=0.7)
    axes.set(xlabel=f"target ({unit})", ylabel=f"programmed minus target ({error_unit})")
    spread.plot(x, results.errors.std(axis=1) * error_scale, "o", color=COLOURS[0], markersize=3)
    spread.plot(claims.g * scale, claims.program_std * error_scale, **LINE)
    if other is not None:
        spread.plot(other.g * scale, other.program_std * error_scale, **OTHER)
    spread.set(xlabel=f"target ({unit})", ylabel=f"standard deviation ({error_unit})")
    _from_zero(spread)
    handles = [
        Line2D([], [], color=COLOURS[0], linewidth=1.8, label="median cell"),
        Patch(color=COLOURS[0], alpha=0.45, linewidth=0, label="50, 90, 98 % of cells"),
        Line2D([], [], color=COLOURS[0], marker="o", markersize=3, linewidth=0, label="cells"),
        *_law_handles("law", other),
    ]
    legend_below(figure, handles)
    return figure


@styled
def ageing(results: DeviceResults, claims: DeviceClaims, other: DeviceClaims | None = None) -> Figure:
    """Conductance against time after writing, both logarithmic: median and 5 to 95 % of cells for five states; spread against time.

    Args:
        results: emulated, with ageing. claims: of the card. other: of a card to compare with.
    """
    figure, (axes, spread) = new_figure(7.2, 3.9, 1, 2)
    assert results.aged is not None
    unit, scale = _unit(claims.g_max)
    spread_unit, spread_scale = _unit(max(float(claims.spread.max()), 1e-15))
    times = results.ageing_times
    floor = float(claims.g_max) * 1e-3
    for k, state in enumerate(results.ageing_states):
        low, middle, high = np.quantile(results.aged[k], [0.05, 0.5, 0.95], axis=1)
        axes.fill_between(times, np.maximum(low, floor) * scale, high * scale, color=SHADES[k], alpha=0.2, linewidth=0)
        axes.plot(times, np.maximum(middle, floor) * scale, color=SHADES[k], linewidth=1.6, label=f"u = {state:g}")
        axes.plot(times, np.maximum(claims.median[k], floor) * scale, **LINE, linestyle=(0, (1, 1.2)))
        spread.plot(times, results.aged[k].std(axis=1) * spread_scale, "o", color=SHADES[k], markersize=2)
        spread.plot(times, claims.spread[k] * spread_scale, color=SHADES[k], linewidth=1.2)
        if other is not None:
            axes.plot(times, np.maximum(other.median[k], floor) * scale, **OTHER | {"color": SHADES[k]})
            spread.plot(times, other.spread[k] * spread_scale, **OTHER | {"color": SHADES[k]})
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    lowest = float(np.median(results.aged, axis=2).min()) / 3.0  # cells may reach 0 S, which has no place on this axis
    axes.set_ylim(bottom=max(float(np.quantile(results.aged, 0.05, axis=2).min()), lowest, floor) * 0.85 * scale)
    axes.set(xlabel="time after writing", ylabel=f"conductance ({unit})")
    spread.set(xlabel="time after writing", ylabel=f"standard deviation ({spread_unit})")
    _from_zero(spread)
    for each in (axes, spread):
        _sparse_time_axis(each, times)
    handles, _ = axes.get_legend_handles_labels()
    handles += [
        Patch(color=COLOURS[4], alpha=0.35, linewidth=0, label="5 to 95 % of cells"),
        *_law_handles("median of the law", other, linestyle=(0, (1, 1.2))),
    ]
    legend_below(figure, handles)
    return figure


@styled
def read_noise(results: DeviceResults, claims: DeviceClaims, other: DeviceClaims | None = None) -> Figure:
    """Standard deviation of one read against the state at three ages, and against the age at five states.

    Args:
        results: emulated, with read noise. claims: of the card. other: of a card to compare with.
    """
    figure, (axes, growth) = new_figure(7.2, 3.7, 1, 2)
    assert results.read_std is not None
    assert results.read_growth is not None
    unit, scale = _unit(float(max(claims.read_std.max(), claims.read_growth.max())))
    white = bool(np.allclose(claims.read_std[:, 0], claims.read_std[:, -1], atol=0.0))
    for k, time in enumerate(results.read_times):
        if white and k > 0:
            break
        label = "at any age" if white else time_label(float(time))
        axes.plot(claims.u, claims.read_std[:, k] * scale, color=COLOURS[k], linewidth=1.3)
        axes.plot(results.read_states, results.read_std[:, k] * scale, "o", color=COLOURS[k], markersize=3, label=label)
        if other is not None:
            axes.plot(other.u, other.read_std[:, k] * scale, **OTHER | {"color": COLOURS[k]})
    axes.set(xlabel="state u when written", ylabel=f"standard deviation of a read ({unit})", xlim=(-0.02, 1.02))
    _from_zero(axes)
    for k, state in enumerate(results.ageing_states):
        growth.plot(READ_AGES, claims.read_growth[k] * scale, color=SHADES[k], linewidth=1.4, label=f"u = {state:g}")
        growth.plot(READ_AGES_MEASURED, results.read_growth[k] * scale, "o", color=SHADES[k], markersize=2.5)
        if other is not None:
            growth.plot(READ_AGES, other.read_growth[k] * scale, **OTHER | {"color": SHADES[k]})
    growth.set(xlabel="time after writing", ylabel=f"standard deviation of a read ({unit})")
    _from_zero(growth)
    _sparse_time_axis(growth, READ_AGES)
    handles = [
        *axes.get_legend_handles_labels()[0],
        *growth.get_legend_handles_labels()[0],
        Line2D([], [], color=FOREGROUND, marker="o", markersize=3, linewidth=0, label="cells"),
        Line2D([], [], color=COLOURS[4], linewidth=1.3, label="law"),
        *_law_handles(None, other),
    ]
    legend_below(figure, handles)
    return figure


def _law_handles(label: str | None, other: DeviceClaims | None, linestyle: Any = "-") -> list[Line2D]:
    handles = [] if label is None else [Line2D([], [], **LINE, linestyle=linestyle, label=label)]
    return handles if other is None else [*handles, Line2D([], [], **OTHER, label=other.name)]


def _unit(largest: float) -> tuple[str, float]:
    """Unit of conductance for values up to `largest` siemens, and the factor to it."""
    for factor, unit in ((1e-3, "mS"), (1e-6, "µS"), (1e-9, "nS")):
        if largest >= factor:
            return unit, 1.0 / factor
    return "pS", 1e12


def _from_zero(axes: Axes) -> None:
    """Begin y at 0 and leave room above what is drawn."""
    axes.set_ylim(0.0, 1.06 * max(axes.get_ylim()[1], 1e-12))


def _sparse_time_axis(axes: Axes, times: F64) -> None:
    """A time axis for a narrow panel: labels at least a fifth of the axis apart."""
    low, high = float(times[0]), float(times[-1])
    log_time_axis(axes, low, high)
    ticks = [float(t) for t in axes.get_xticks() if low / 1.4 <= t <= high * 1.4]
    labels, last = [], -1.0
    for t in ticks:
        place = float(np.log(t / low) / np.log(high / low))
        labels.append(time_label(t) if place - last >= 0.2 else "")
        last = place if labels[-1] else last
    axes.set_xticks(ticks)
    axes.set_xticklabels(labels)
