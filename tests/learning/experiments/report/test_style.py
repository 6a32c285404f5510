"""Labels, axes and files of figures; Matplotlib's global state stays as it was."""

import subprocess
import sys
import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from learning.experiments.report.style import (
    COLOURS,
    count_axis,
    inline_svg,
    legend_below,
    log_axis,
    new_figure,
    panel_grid,
    save_figure,
    styled,
    time_positions,
    times_axis,
)


def test_time_zero_stands_a_decade_before_the_rest() -> None:
    np.testing.assert_allclose(time_positions([0.0, 1.0, 3600.0]), [0.1, 1.0, 3600.0])
    np.testing.assert_allclose(time_positions([0.0]), [1.0])
    _, [axes] = new_figure()
    times_axis(axes, [0.0, 1.0, 3600.0])
    ticks = [axes.xaxis.get_major_formatter()(t, 0) for t in axes.get_xticks()]
    assert ticks == ["0 s", "1 s", "1 min", "1 h"]


def test_axes_are_labelled_plainly() -> None:
    _, [axes] = new_figure()
    axes.plot([0, 60000], [1, 2])
    count_axis(axes)
    formatter = axes.xaxis.get_major_formatter()
    assert [formatter(x, 0) for x in (0, 5000, 20000, 1e6)] == ["0", "5k", "20k", "1M"]
    log_axis(axes, "y", [1.0, 5.0])
    assert axes.get_yscale() == "log"
    assert {1.0, 2.0, 5.0} <= set(np.round(axes.yaxis.get_major_locator().tick_values(1.0, 10.0), 9))
    log_axis(axes, "y", [1.0, 5000.0])
    assert 2.0 not in np.round(axes.yaxis.get_major_locator().tick_values(1.0, 5000.0), 9)


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (5, (1, 5)), (6, (2, 3)), (7, (2, 4)), (11, (3, 4))])
def test_panels_fill_their_rows(count: int, grid: tuple[int, int]) -> None:
    assert panel_grid(count) == grid


def test_style_is_packaged_and_leaves_no_trace(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)

    @styled
    def inside() -> tuple:
        figure, [axes] = new_figure()
        [line] = axes.plot([0, 1], [0, 1], label="x")
        return figure, line.get_color(), mpl.rcParams["svg.fonttype"]

    figure, colour, fonttype = inside()
    assert colour.lower().lstrip("#") == COLOURS[0].lstrip("#")
    assert fonttype == "none"
    png, svg = save_figure(figure, tmp_path / "figures", "line")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
    first = svg.read_bytes()
    save_figure(figure, tmp_path / "figures", "line")
    assert svg.read_bytes() == first, "the same figure is the same file"


def test_pyplot_and_its_global_state_are_never_imported() -> None:
    code = """
        import sys, matplotlib
        backend = matplotlib.rcParams._get("backend")
        import learning.experiments.report.estimate.page, learning.experiments.report.training.page
        from learning.experiments.report.style import new_figure
        new_figure()
        assert "matplotlib.pyplot" not in sys.modules
        assert matplotlib.rcParams._get("backend") == backend
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_inline_svg_takes_the_pages_colours_and_has_its_own_ids(tmp_path: Path) -> None:
    @styled
    def draw() -> object:
        figure, [axes] = new_figure()
        axes.plot([0, 1], [0, 1], "o")
        axes.set_title("volts & amperes")
        return figure

    _, svg = save_figure(draw(), tmp_path, "first")
    text = inline_svg(svg, 'a "quoted" <caption>')
    assert text.startswith('<svg role="img" aria-label="a &quot;quoted&quot; &lt;caption&gt;"')
    assert "volts &amp; amperes" in text, "text stays text"
    assert "#24292f" not in text
    assert "currentColor" in text
    import re

    ids = re.findall(r'\bid="([^"]+)"', text)
    assert ids
    assert all(name.startswith("first-") for name in ids)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)


@pytest.mark.filterwarnings("error")
def test_a_long_legend_makes_the_figure_higher(tmp_path: Path) -> None:
    """Points of a sweep whose values are whole sections: the axes keep their room, and matplotlib need not give up its layout."""
    heights = {}
    for name in ("bits = {}", "tile.wires = " + "a section of the configuration in so many words " * 5 + "{}"):
        figure, [axes] = new_figure(4.9, 5.0)
        for k in range(12):
            axes.plot([0.0, 1.0], [0.0, float(k)], label=name.format(k))
        legend_below(figure)
        figure.savefig(tmp_path / "figure.png")
        heights[len(name) > 20] = float(figure.get_size_inches()[1])
        assert axes.get_position().height * heights[len(name) > 20] > 2.0, "inches"
    assert heights[False] == 5.0
    assert heights[True] > 8.0
