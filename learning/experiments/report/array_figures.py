"""Figures of weights and conductances, as functions of plain arrays. They never read a file.

They hold many thousand points: a page embeds them as PNG.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from learning.experiments.report.style import COLOURS, FOREGROUND, count_axis, hide_rest, new_figure, panel_grid, styled
from learning.experiments.report.wording import time_label

F32 = npt.NDArray[np.float32]
SCATTER_UP_TO = 3000
"""More points than this are drawn as a density."""


@styled
def weight_transfer(target: F32, read_back: F32, times: Sequence[float], layer: str) -> Figure:
    """Read-back weight against target weight, one panel per time, with the root mean square error.

    Args:
        target: (n,) weights. read_back: (T, n) weights. times: (T,) seconds after programming. layer: name.
    """
    rows, cols = panel_grid(len(times))
    figure, axs = new_figure(1.4 * cols + 0.5, 1.6 * rows + 0.4, rows, cols, share_x=True, share_y=True)
    largest = float(np.abs(target).max()) or 1.0
    reach = 1.05 * max(largest, float(np.quantile(np.abs(read_back), 0.999)))
    hide_rest(axs, len(times), cols)
    for k, axes in enumerate(axs[: len(times)]):
        if target.size > SCATTER_UP_TO:
            bins = np.linspace(-reach, reach, 81)
            axes.hist2d(target, read_back[k], bins=[bins, bins], norm=LogNorm(), cmap="viridis", rasterized=True)
        else:
            axes.plot(target, read_back[k], ".", markersize=2, alpha=0.4, color=COLOURS[0], markeredgewidth=0)
        axes.axline((0, 0), slope=1, color=FOREGROUND, linewidth=0.8, linestyle=(0, (4, 3)))
        error = float(np.sqrt(np.mean((read_back[k] - target) ** 2)))
        axes.set_title(time_label(times[k]))
        axes.annotate(
            f"rms {100 * error / largest:.1f} %", (0.05, 0.93), xycoords="axes fraction", fontsize=8.5, va="top"
        )
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    figure.supxlabel(f"target weight, {layer}", fontsize=10)
    figure.supylabel("read-back weight", fontsize=10)
    return figure


@styled
def conductance_map(conductance: F32, label: str) -> Figure:
    """Heat map of a crossbar's conductances, one panel per plane, word lines down, bit lines across.

    Args:
        conductance: (planes, rows, cols) siemens. label: title.
    """
    return _cell_map(conductance, label, "conductance", "S")


@styled
def drop_map(shares: F32, label: str) -> Figure:
    """Heat map of the voltages across the cells of a crossbar with wires, relative to what drives it; panels as there.

    Args:
        shares: (planes, rows, cols), 1 where nothing is lost. label: title.
    """
    return _cell_map(np.float32(100.0) * np.abs(shares), label, "voltage across the cell (% of the drive)", "")


@styled
def current_map(amperes: F32, label: str) -> Figure:
    """Heat map of the currents through the cells of a crossbar; panels as there.

    Args:
        amperes: (planes, rows, cols). label: title.
    """
    return _cell_map(np.abs(amperes), label, "current", "A")


def _cell_map(values: F32, label: str, quantity: str, base: str) -> Figure:
    """One value >= 0 for each cell of each plane; base: its unit, "" for a number that is shown as it is."""
    planes, rows, cols = values.shape
    longest, shortest = 2.7, 0.9  # inches of a panel, as near to the array's own shape as they allow
    scale = max(longest / max(rows, cols), shortest / min(rows, cols))
    width, height = min(longest, scale * cols), min(1.3 * longest, scale * rows)
    figure, axs = new_figure(planes * (width + 0.45) + 0.9, height + 0.9, 1, planes, share_y=True)
    top = float(values.max()) or (1e-6 if base else 1.0)
    factor, prefix = 1.0, ""
    if base:
        scales = ((1e3, "m"), (1e6, "µ"), (1e9, "n"), (1e12, "p"))
        factor, prefix = next((f, u) for f, u in scales if top * f >= 1 or u == "p")
    bottom = 0.0 if base else float(values.min())
    image = None
    for k, axes in enumerate(axs):
        image = axes.imshow(
            values[k] * factor,
            vmin=bottom,
            vmax=top * factor,
            aspect="auto",
            interpolation="nearest",
            cmap="viridis",
        )
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("bit line")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        if planes > 1:
            axes.set_title("plus cells" if k == 0 else "minus cells", fontweight="normal")
    axs[0].set_ylabel("word line")
    figure.suptitle(label, fontsize=10, fontweight="bold", x=0.01, ha="left")
    if image is not None:
        bar = figure.colorbar(
            image, ax=axs, label=f"{quantity} ({prefix}{base})" if base else quantity, pad=0.02, aspect=22
        )
        bar.outline.set_visible(False)
    return figure


@styled
def conductance_history(
    samples: npt.NDArray[np.int64], edges: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], label: str
) -> Figure:
    """Histogram of conductances as it moves over training: samples across, conductance up, share of cells as colour.

    Args:
        samples: (S,) training samples seen. edges: (K + 1,) siemens. counts: (S, K) cells. label: title.
    """
    figure, [axes] = new_figure(4.9, 3.3)
    share = 100 * counts.T / np.maximum(counts.sum(axis=1), 1)
    middle = np.asarray(samples, np.float64)
    between = (middle[1:] + middle[:-1]) / 2
    step = (middle[-1] - middle[-2]) / 2 if middle.size > 1 else 0.5
    borders = np.concatenate(
        [[middle[0] - (between[0] - middle[0] if between.size else 0.5)], between, [middle[-1] + step]]
    )
    floor = share[share > 0].min() if (share > 0).any() else 1.0
    mesh = axes.pcolormesh(
        borders, np.asarray(edges) * 1e6, np.maximum(share, floor / 2), norm=LogNorm(), cmap="viridis", rasterized=True
    )
    axes.grid(False)
    count_axis(axes)
    axes.set_xlabel("training samples")
    axes.set_ylabel("conductance (µS)")
    axes.set_title(label)
    figure.colorbar(mesh, ax=axes, label="cells (%)", pad=0.02).outline.set_visible(False)
    return figure
