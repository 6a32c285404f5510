"""Figures of a device fit: what was measured and what the emulated device does, over each other. They never fit.

Measured is dark, emulated coloured, everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from devices.measurements.data.traces import Traces
from devices.measurements.fit.ageing.fit import AgeingFit
from devices.measurements.fit.noise.fit import Spectrum
from devices.measurements.fit.programming.fit import ProgrammingFit
from devices.measurements.fit.pulse.moments import smoothed
from devices.measurements.fit.pulse.spread import Gains
from devices.measurements.proof.proof import Bin, Curve, Proof
from learning.experiments.report.style import (
    COLOURS,
    DOWN,
    FOREGROUND,
    UP,
    hide_rest,
    legend_below,
    log_time_axis,
    new_figure,
    panel_grid,
    styled,
)
from learning.experiments.report.wording import engineering, readable

F64 = npt.NDArray[np.float64]

MOST_POINTS = 4000
US = 1e6
WORDS = {1: "potentiation", -1: "depression"}


@styled
def steps_over_state(measured: Traces, emulated: Traces) -> Figure:
    """Change per pulse against the state: measured steps as dots, median and 5-95 % of both."""
    figure, axs = new_figure(7.2, 3.5, 1, 2)
    for axes, direction in zip(axs, (1, -1), strict=True):
        colour = UP if direction > 0 else DOWN
        axes.set_title(WORDS[direction])
        for traces, is_measured in ((measured, True), (emulated, False)):
            change, at, sides = traces.changes()
            own = sides == direction
            if own.sum() < 5:
                continue
            x, y = US * smoothed(traces)[at][own], US * (change / traces.pulses[at])[own]
            if is_measured:
                keep = slice(None, None, max(1, len(x) // MOST_POINTS))
                axes.plot(x[keep], y[keep], ".", markersize=1.5, alpha=0.25, color=FOREGROUND, markeredgewidth=0)
            centre, low, middle, high = _quantiles(x, y)
            line = FOREGROUND if is_measured else colour
            style = "-" if is_measured else (0, (4, 2))
            axes.plot(centre, middle, color=line, linestyle=style, label="measured" if is_measured else "emulated")
            for edge in (low, high):
                axes.plot(centre, edge, color=line, linestyle=style, linewidth=0.7)
        axes.axhline(0, color=FOREGROUND, linewidth=0.5)
        axes.set(xlabel="conductance before the pulse (µS)", ylabel="change per pulse (µS)")
    legend_below(figure)
    return figure


def _quantiles(x: F64, y: F64, groups: int = 25) -> tuple[F64, F64, F64, F64]:
    parts = np.array_split(np.argsort(x), max(1, min(groups, len(x) // 20)))
    rows = [(x[part].mean(), *np.quantile(y[part], [0.05, 0.5, 0.95])) for part in parts]
    centre, low, middle, high = np.array(rows).T
    return centre, low, middle, high


@styled
def ramps_over_pulses(curves: Sequence[Curve]) -> Figure:
    """Mean and standard deviation over ramps against the pulse number, measured and emulated."""
    figure, axs = new_figure(7.2, 4.2, 2, max(1, len(curves)), share_x=False)
    for k, curve in enumerate(curves):
        top, bottom = axs[k], axs[len(curves) + k]
        colour = UP if curve.direction > 0 else DOWN
        top.set_title(curve.label)
        for row, (line, style, name) in enumerate(((FOREGROUND, "-", "measured"), (colour, (0, (4, 2)), "emulated"))):
            top.plot(curve.x, US * curve.mean[row], color=line, linestyle=style, label=name)
            top.fill_between(
                curve.x,
                US * (curve.mean[row] - curve.std[row]),
                US * (curve.mean[row] + curve.std[row]),
                color=line,
                alpha=0.15,
                linewidth=0,
            )
            bottom.plot(curve.x, US * curve.std[row], color=line, linestyle=style)
        top.set_ylabel("conductance (µS)")
        bottom.set(xlabel="pulses", ylabel="spread over ramps (µS)")
        bottom.set_ylim(bottom=0)
    legend_below(figure)
    return figure


@styled
def distances(proof: Proof) -> Figure:
    """Wasserstein distance of every bin, in standard deviations of the data, with the data's own band."""
    figure, (axes,) = new_figure(7.2, 0.22 * len(proof.bins) + 1.0)
    y = np.arange(len(proof.bins))[::-1]
    band = [b.blur for b in proof.bins]
    axes.barh(y, band, height=0.8, color=COLOURS[4], alpha=0.45, label=f"95 % band of {proof.yardstick}")
    relative = np.array([min(b.relative, 10.0) for b in proof.bins])
    inside = np.array([b.inside for b in proof.bins])
    axes.plot(relative[inside], y[inside], "o", color=COLOURS[0], markersize=4, label="emulated, inside")
    if (~inside).any():
        axes.plot(relative[~inside], y[~inside], "D", color=COLOURS[2], markersize=5, label="emulated, outside")
    axes.set_yticks(y, [readable(b.label) for b in proof.bins])
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="x")
    axes.set(xlabel="Wasserstein distance (standard deviations of the data)", xlim=(0, None))
    legend_below(figure)
    return figure


@styled
def distributions(measured: Traces, emulated: Traces, bins: Sequence[Bin]) -> Figure:
    """Cumulative distribution of the steps in some bins, measured and emulated."""
    rows, cols = panel_grid(len(bins))
    figure, axs = new_figure(2.3 * cols + 0.4, 1.9 * rows + 0.4, rows, cols, share_y=True)
    hide_rest(axs, len(bins), cols)
    for axes, b in zip(axs, bins, strict=False):
        for traces, line, style, name in (
            (measured, FOREGROUND, "-", "measured"),
            (emulated, UP if b.direction > 0 else DOWN, (0, (4, 2)), "emulated"),
        ):
            change, at, sides = traces.changes()
            state = smoothed(traces)[at]
            own = (sides == b.direction) & (state >= b.low) & (state <= b.high)
            if own.any():
                values = np.sort(US * (change / traces.pulses[at])[own])
                axes.plot(values, (np.arange(len(values)) + 0.5) / len(values), color=line, linestyle=style, label=name)
        axes.set_title(f"{'up' if b.direction > 0 else 'down'}, {US * b.low:.4g} to {US * b.high:.4g} µS", fontsize=8.5)
        axes.set_xlabel("change per pulse (µS)")
    axs[0].set_ylabel("share of steps below")
    legend_below(figure)
    return figure


@styled
def ageing_over_time(curves: Sequence[Curve]) -> Figure:
    """Mean and spread of the change since the first read against log time, one panel per group of states."""
    figure, axs = new_figure(1.9 * max(2, len(curves)), 4.0, 2, max(1, len(curves)), share_y=False)
    for k, curve in enumerate(curves):
        top, bottom = axs[k], axs[len(curves) + k]
        top.set_title(readable(curve.label), fontsize=8.5)
        for row, (line, style, name) in enumerate(((FOREGROUND, "o-", "measured"), (COLOURS[0], "D--", "emulated"))):
            top.plot(curve.x, US * curve.mean[row], style, color=line, markersize=3, label=name)
            bottom.plot(curve.x, US * curve.std[row], style, color=line, markersize=3)
        for axes in (top, bottom):
            log_time_axis(axes, float(curve.x.min()), float(curve.x.max()))
            axes.tick_params(axis="x", labelsize=8, rotation=45)
        bottom.set_ylim(bottom=0)
        bottom.set_xlabel("time since programming")
    axs[0].set_ylabel("mean change (µS)")
    axs[len(curves)].set_ylabel("spread of the change (µS)")
    legend_below(figure)
    return figure


_AGEING_AXES = {
    "mean": ("mean change (µS per decade)", US, True),
    "std": ("spread (µS per root decade)", US, False),
    "tail": ("tail (decades)", 1.0, False),
    "skew": ("skew", 1.0, True),
    "nu_mean": ("mean exponent", 1.0, True),
    "nu_std": ("spread of the exponent", 1.0, False),
}
"""Table of an ageing law -> its label, scale, and whether it may be negative; others are not drawn."""


@styled
def ageing_over_state(fit: AgeingFit) -> Figure:
    """Fitted parameters of the ageing law against the state, with standard errors."""
    shown = [name for name in _AGEING_AXES if name in fit.values]
    figure, axs = new_figure(7.2, 1.3 * len(shown), len(shown) // 2, 2)
    for axes, name in zip(axs, shown, strict=True):
        label, scale, signed = _AGEING_AXES[name]
        values, errors = scale * fit.values[name], scale * fit.errors[name]
        axes.errorbar(US * fit.centres, values, errors, fmt="o-", markersize=3, color=COLOURS[0])
        axes.set(xlabel="conductance as programmed (µS)", ylabel=label)
        if signed:
            axes.axhline(0, color=FOREGROUND, linewidth=0.5)
        else:
            axes.set_ylim(bottom=0)
    return figure


@styled
def programming_over_target(fit: ProgrammingFit) -> Figure:
    """Standard deviation and bias of the programming error against the target, with 95 % intervals."""
    figure, (axes,) = new_figure(5.6, 2.8)
    x = US * fit.centres
    upper = np.minimum(fit.high, 3 * fit.std)
    axes.errorbar(
        x,
        US * fit.std,
        (US * (fit.std - fit.low), US * (upper - fit.std)),
        fmt="o-",
        markersize=3,
        color=COLOURS[0],
        label="spread",
    )
    axes.plot(x, US * fit.bias, "s--", markersize=3, color=COLOURS[2], label="bias")
    axes.axhline(0, color=FOREGROUND, linewidth=0.5)
    axes.set(xlabel="target (µS)", ylabel="programming error (µS)")
    legend_below(figure)
    return figure


@styled
def spectra(found: Sequence[Spectrum]) -> Figure:
    """Spectrum of each series with its fitted parts, and the growth of its variance with the window."""
    shown = list(found[:6])
    figure, axs = new_figure(7.2, 1.9 * len(shown) + 0.4, len(shown), 2)
    for k, one in enumerate(shown):
        left, right = axs[2 * k], axs[2 * k + 1]
        keep = slice(None, None, max(1, len(one.f) // 2000))
        left.loglog(one.f[keep], one.psd[keep], color=FOREGROUND, linewidth=0.5, alpha=0.6, label="measured")
        left.loglog(one.f, one.density(one.f), color=COLOURS[0], label="fit")
        if one.flicker > 0:
            left.loglog(one.f, one.flicker / one.f, color=COLOURS[1], linestyle="--", linewidth=0.9, label="1/f")
        if one.corner > 0:
            rtn = one.telegraph / (1 + (one.f / one.corner) ** 2)
            left.loglog(one.f, rtn, color=COLOURS[2], linestyle="--", linewidth=0.9, label="telegraph")
        if one.white > 0:
            left.axhline(one.white, color=COLOURS[3], linestyle="--", linewidth=0.9, label="white")
        left.set_ylim(0.3 * one.psd.min(), 3 * one.psd.max())
        left.set_title(f"{engineering(one.mean, 'S')}", fontsize=8.5)
        right.loglog(one.spans, US * np.sqrt(one.variances), "o", markersize=3, color=FOREGROUND, label="measured")
        law = one.card_white**2 + one.card_flicker**2 * np.log((one.spans + one.interval) / (2 * one.interval))
        right.loglog(one.spans, US * np.sqrt(law), color=COLOURS[0], label="card")
        left.set_ylabel("S²/Hz")
        right.set_ylabel("spread (µS)")
    axs[-2].set_xlabel("frequency (Hz)")
    axs[-1].set_xlabel("time (s)")
    legend_below(figure)
    return figure


@styled
def gains_of_devices(gains: Gains) -> Figure:
    """Step size of each device relative to the common law, with standard errors."""
    figure, axs = new_figure(7.2, 2.6, 1, 2, share_y=True)
    for axes, side, word, colour in zip(axs, (1, 0), ("potentiation", "depression"), (UP, DOWN), strict=True):
        order = np.argsort(gains.gain[:, side])
        x = np.arange(len(order))
        _errors(axes, x, gains.gain[order, side], gains.std[order, side], colour)
        axes.axhline(1, color=FOREGROUND, linewidth=0.5)
        axes.set_title(word)
        axes.set_xlabel("device, in order")
    axs[0].set_ylabel("step size / common law")
    return figure


def _errors(axes: Axes, x: npt.NDArray[np.int64], y: F64, error: F64, colour: str) -> None:
    known = np.isfinite(y)
    axes.errorbar(x[known], y[known], 1.96 * error[known], fmt=".", markersize=4, linewidth=0.7, color=colour)
