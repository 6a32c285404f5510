"""The report of a calibration: what was found, what it cost, maps of the cells, the fitted parts. It never measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from devices.card import load_card
from learning.experiments.calibration.arrays import WantedArray
from learning.experiments.calibration.run import Calibration
from learning.experiments.report.head import PageHead, chip_text, configuration_of, device_text, plain
from learning.experiments.report.page import Fact, Plot, Section, write_page
from learning.experiments.report.style import legend_below, new_figure, styled
from learning.experiments.report.tables import Table
from learning.experiments.report.wording import count_text, time_label
from learning.experiments.runs.run_folder import RunDirectory

MOST_MAPS = 8


def summary(found: Calibration) -> Table:
    """Main quantities of the chip."""
    cells, fitted = sum(each.cells for each in found.opened.wanted), found.fitted
    gain = np.concatenate([each.gain for each in found.electronics])
    error = float(np.concatenate([each.gain_error for each in found.electronics]).mean())
    gains = f"{gain.std():.2g}, each with an error of {error:.2g}"
    between, shows = found.electronics[0], any(each.shows for each in found.electronics)
    wires = f"{between.ohms:.3g} ohm" if between.ohms else f"none shows (standard error {between.ohms_error:.2g} ohm)"
    low, high = 1e6 * fitted.noise.min(), 1e6 * fitted.noise.max()
    rows = [
        ("cells measured", f"{count_text(cells)} in {_arrays(found)}"),
        ("cells that do not answer", f"{count_text(found.stuck)} ({100 * found.stuck / cells:.3g} %)"),
        ("conductance window", _window(found)),
        ("read noise", f"{low:.3g} to {high:.3g} µS"),
        ("gain of the amplifiers", f"{gain.mean():.5g} on average"),
        ("spread of these gains", f"{gains}{'' if shows else ': chance'}"),
        ("resistance of a wire segment", wires),
    ]
    if fitted.programming is not None:
        std = 1e6 * fitted.programming.std
        rows.append(("programming error", f"{std.min():.3g} to {std.max():.3g} µS"))
    if fitted.aged is not None:
        rows.append(
            (
                "retention",
                f"{fitted.aged.law}; after {time_label(fitted.aged.t[-1])} {1e6 * fitted.aged.mean[-1]:+.3g} µS on average",
            )
        )
    if fitted.pulse is not None:
        up, down = fitted.pulse.gain_up.std(), fitted.pulse.gain_down.std()
        middle = len(fitted.pulse.mean_up) // 2
        steps = f"{1e9 * fitted.pulse.mean_up[middle]:+.4g} and {1e9 * fitted.pulse.mean_down[middle]:+.4g} nS"
        rows.append(("step in the middle of the window", f"{steps}; spread over cells {up:.1%} and {down:.1%}"))
    rows += [
        (
            "pulses spent",
            f"{count_text(found.spent['pulse'])} (at most {count_text(found.opened.plan.pulses)} planned)",
        ),
        ("cells programmed", count_text(found.spent["program"])),
        ("chip time", time_label(found.spent["seconds"])),
    ]
    return Table(("quantity", "value"), tuple(rows), "What was measured, and what it cost")


def write_calibration_report(run: RunDirectory, found: Calibration) -> Path:
    """Write report.html, figures and tables into the run's folder; return the page's path."""
    plots = []
    for k, each in enumerate(found.opened.wanted[:MOST_MAPS]):
        ends = {end: 1e6 * found.ends[f"{k}/{end}"] for end in ("low", "high")}
        figure = conductance_maps(ends["low"], ends["high"], np.isfinite(found.ends[f"{k}/stuck"]))
        caption = f"Array {_place(each)}: conductance (µS) driven to both ends of the window, and cells that do not answer (1)."
        plots.append(Plot(f"map_{k}", figure, caption, raster=True))
    fits = []
    pulse = found.fitted.pulse
    if pulse is not None:
        caption = "Step of one pulse against the state of the mean cell, up and down, and its standard deviation."
        fits.append(
            Plot(
                "steps", step_curves(np.stack([pulse.mean_up, pulse.mean_down, pulse.std_up, pulse.std_down])), caption
            )
        )
    sections = [Section("The chip", (), (("summary", summary(found)),), tuple(plots))]
    if fits:
        sections.append(Section("Pulses", (), (), tuple(fits)))
    headline = [
        Fact(str(found.stuck), "cells that do not answer"),
        Fact(count_text(found.spent["pulse"]), "pulses spent"),
        Fact(_window(found), "conductance window"),
    ]
    notes = (
        "The card is fitted by moments. The command analog-hil fit lab/fit.yaml, given in this folder, fits the same measurements by "
        "likelihood and validates the fit on held-out data; it takes minutes.",
        "Reads at one voltage: a non-linear I-V curve is taken from the card that the experiment assumes.",
    )
    name = load_card(found.card).name
    return write_page(run, f"Calibration {name}", sections, headline=headline, head=_head(run, found), notes=notes)


def _head(run: RunDirectory, found: Calibration) -> PageHead:
    """What was measured, what it says in a sentence, and what it cost."""
    tree, cells = configuration_of(run), sum(each.cells for each in found.opened.wanted)
    assumed = {found.opened.card.name: found.opened.card.reference}
    subject = plain(
        [
            ("chip", chip_text(tree) or "as the experiment says"),
            ("experiment", Path(str(tree.get("experiment", ""))).stem),
            ("assumed device", device_text(assumed)),
            (
                "arrays",
                "; ".join(f"{_place(each)} ({each.rows} x {each.cols})" for each in found.opened.wanted[:MOST_MAPS]),
            ),
            ("seed", str(tree.get("seed", ""))),
        ]
    )
    silent = "all answer" if not found.stuck else f"{count_text(found.stuck)} do not answer"
    conclusion = (
        f"Of {count_text(cells)} cells in {_arrays(found)}, {silent}; their conductance window is {_window(found)}. The measurement took "
        f"{count_text(found.spent['pulse'])} pulses, {count_text(found.spent['program'])} programmed cells and "
        f"{time_label(found.spent['seconds'])} of chip time."
    )
    return PageHead(conclusion, subject, cards=assumed)


def _arrays(found: Calibration) -> str:
    count = len(found.opened.wanted)
    return f"{count} array{'s' if count != 1 else ''}"


def _window(found: Calibration) -> str:
    window = found.fitted.window
    return f"{1e6 * window.g_min:.4g} to {1e6 * window.g_max:.4g} µS"


def _place(array: WantedArray) -> str:
    """`fc1, block 0, slice 0`: the name of an array as a reader knows it."""
    words = [str(word) for word in (*array.place, *array.name)]
    named = len(words) % 2  # a name alone in front, then pairs of a word and its number
    return ", ".join([*words[:named], *(" ".join(words[k : k + 2]) for k in range(named, len(words), 2))]).removeprefix(
        "tile "
    )


@styled
def step_curves(curves: np.ndarray) -> Figure:
    """Mean up and down and their standard deviations (4, K) siemens against the state."""
    figure, axs = new_figure(6.4, 2.8, 1, 2)
    u = np.linspace(0.0, 1.0, curves.shape[1])
    for axes, pair, title in zip(axs, (curves[:2], curves[2:]), ("mean", "standard deviation"), strict=True):
        for values, label in zip(pair, ("up", "down"), strict=True):
            axes.plot(u, 1e9 * values, label=label)
        axes.set(xlabel="state u", ylabel="nS per pulse", title=title)
    legend_below(figure)
    return figure


@styled
def conductance_maps(low: np.ndarray, high: np.ndarray, stuck: np.ndarray) -> Figure:
    """Cells (planes, rows, cols) at both ends and what is stuck, one row of maps for each plane; uS."""
    planes = len(low)
    figure, axs = new_figure(7.0, 2.2 * planes, planes, 3)
    for plane in range(planes):
        row = axs[3 * plane : 3 * plane + 3]
        for axes, values, title in zip(row, (low, high, stuck), ("low", "high", "stuck"), strict=True):
            least, most = (0.0, 1.0) if title == "stuck" else (None, None)  # a map without any is one colour
            image = axes.imshow(
                values[plane].astype(float),
                aspect="auto",
                cmap="viridis",
                interpolation="nearest",
                vmin=least,
                vmax=most,
            )
            axes.set_title(f"{title}, plane {plane}")
            axes.set(xlabel="bit line", ylabel="word line")
            figure.colorbar(image, ax=axes)
    return figure
