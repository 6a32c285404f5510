"""What is drawn is what was given: lines, bands and bars of the figures."""

import numpy as np
import pytest

from learning.experiments.monte_carlo.metrics import Interval, mean_interval
from learning.experiments.report.array_figures import (
    SCATTER_UP_TO,
    conductance_history,
    conductance_map,
    current_map,
    drop_map,
    weight_transfer,
)
from learning.experiments.report.estimate.figures import (
    accuracy_over_setting,
    accuracy_over_time,
    chip_histograms,
    sensitivity_bars,
)
from learning.experiments.report.training.figures import learning_curves, pulses_per_cell

TIMES = np.array([1.0, 3600.0, 86400.0])
ACCURACY = np.array([[0.95, 0.94, 0.92], [0.93, 0.92, 0.90], [0.96, 0.93, 0.91]])


def labels(axes: object) -> list[str]:
    """Names in the legend, which stands below the axes."""
    assert axes.get_legend() is None, "legends are off the data"
    return [text.get_text() for text in axes.figure.legends[0].get_texts()]


def test_accuracy_over_time_draws_mean_interval_range_and_digital() -> None:
    figure = accuracy_over_time(TIMES, ACCURACY, 0.97, 0.915)
    [axes] = figure.axes
    digital, mean, threshold = axes.lines
    assert list(digital.get_ydata()) == [0.97, 0.97]
    np.testing.assert_allclose(mean.get_ydata(), ACCURACY.mean(axis=0))
    np.testing.assert_allclose(mean.get_xdata(), TIMES)
    assert list(threshold.get_ydata()) == [0.915, 0.915]
    spread, interval = (band.get_paths()[0].vertices[:, 1] for band in axes.collections)
    assert (spread.min(), spread.max()) == pytest.approx((ACCURACY.min(), ACCURACY.max()))
    intervals = [mean_interval(ACCURACY[:, k]) for k in range(3)]
    assert (interval.min(), interval.max()) == pytest.approx(
        (min(i.low for i in intervals), max(i.high for i in intervals))
    )
    assert axes.get_xscale() == "log"
    formatter = axes.xaxis.get_major_formatter()
    assert [formatter(t, 0) for t in axes.get_xticks()] == ["1 s", "1 min", "1 h", "1 day"]
    assert labels(axes)[:2] == ["digital twin", "mean of 3 chips, 95 % interval, range"]


def test_histograms_count_every_chip() -> None:
    figure = chip_histograms(TIMES, ACCURACY, 0.97)
    counts = [sum(patch.get_height() for patch in axes.patches) for axes in figure.axes]
    assert counts == [3, 3, 3]
    assert [axes.get_title("left") for axes in figure.axes] == ["1 s", "1 h", "1 day"]


def test_settings_are_sorted_and_words_stand_apart() -> None:
    figure = accuracy_over_setting(["8", "none", "4"], {"at 1 s": ACCURACY}, 0.97, "ADC (bits)")
    [axes] = figure.axes
    _, curve, word, _ = axes.lines
    np.testing.assert_allclose(curve.get_xdata(), [4, 8])
    np.testing.assert_allclose(curve.get_ydata(), [ACCURACY[:, 2].mean(), ACCURACY[:, 0].mean()])
    assert word.get_xdata()[0] > 8
    np.testing.assert_allclose(word.get_ydata(), [ACCURACY[:, 1].mean()])
    assert sorted(t.get_text() for t in axes.get_xticklabels()) == ["4", "8", "none"]


def test_the_costliest_bar_is_on_top() -> None:
    effects = {
        "small": [Interval(0.001, 0.0, 0.002, 5, "t")],
        "large": [Interval(0.03, 0.02, 0.04, 5, "t")],
        "none": [Interval(0.0, float("nan"), float("nan"), 1, "t")],
    }
    [axes] = sensitivity_bars(effects, [1.0], "points").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["none", "small", "large"]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [0.0, 0.1, 3.0])


@pytest.mark.parametrize("n", [10, SCATTER_UP_TO + 1])
def test_weight_transfer_tells_the_error(n: int) -> None:
    target = np.linspace(-2, 2, n, dtype=np.float32)
    read_back = np.stack([target, target + 0.1]).astype(np.float32)
    figure = weight_transfer(target, read_back, [1.0, 3600.0], "fc1")
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts == [["rms 0.0 %"], ["rms 5.0 %"]]


@pytest.mark.parametrize("shape", [(2, 64, 8), (1, 8, 300), (2, 3, 3)])
def test_conductance_maps_show_every_cell_in_micro_siemens(shape: tuple[int, int, int]) -> None:
    g = (np.arange(np.prod(shape)).reshape(shape) * 1e-8 + 1e-6).astype(np.float32)
    figure = conductance_map(g, "chip 0")
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == shape[0]
    np.testing.assert_allclose(np.stack(images), g * 1e6, rtol=1e-6)
    assert figure.axes[-1].get_ylabel() == "conductance (µS)"
    width, height = figure.get_size_inches()
    assert 1 < width < 10
    assert 1 < height < 8


def test_maps_of_voltages_in_percent_and_of_currents() -> None:
    shares = np.float32([[[1.0, 0.5], [0.9, 0.4]], [[-0.8, -0.7], [-0.6, -0.3]]])
    for figure, shown, label in (
        (drop_map(shares, "chip 0"), 100 * np.abs(shares), "voltage across the cell (% of the drive)"),
        (current_map(shares * np.float32(2e-6), "chip 0"), 2 * np.abs(shares), "current (µA)"),
    ):
        images = [axes.images[0] for axes in figure.axes if axes.images]
        np.testing.assert_allclose(np.stack([image.get_array() for image in images]), shown, rtol=1e-6)
        assert figure.axes[-1].get_ylabel() == label
        assert images[0].get_clim()[1] == pytest.approx(shown.max())
    assert drop_map(shares, "").axes[0].images[0].get_clim()[0] == pytest.approx(30.0)


def test_conductance_history_shows_shares() -> None:
    counts = np.array([[0, 4], [2, 2]])
    figure = conductance_history(np.array([0, 100]), np.array([0, 5e-6, 1e-5]), counts, "fc1")
    mesh = figure.axes[0].collections[0]
    np.testing.assert_allclose(
        mesh.get_array(), [[25, 50], [100, 50]]
    )  # an empty bin is drawn at half the smallest share
    one = conductance_history(np.array([7]), np.array([0, 5e-6, 1e-5]), counts[:1], "fc1")
    assert one.axes[0].collections[0].get_array().shape == (2, 1)


def test_learning_curves_draw_the_mean_over_seeds() -> None:
    curves = {"np": (np.array([0.0, 1000.0, 2000.0]), ACCURACY), "twin": (np.array([0.0, 2000.0]), ACCURACY[:1, :2])}
    [axes] = learning_curves(curves, "training samples", digital=["twin"]).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), ACCURACY.mean(axis=0))
    np.testing.assert_allclose(axes.lines[1].get_ydata(), ACCURACY[0, :2])
    assert labels(axes) == ["np", "twin"]


def test_pulse_bars_reach_from_mean_to_the_most_pulsed_cell() -> None:
    [axes] = pulses_per_cell({"np": {"fc1": (10.0, 70.0), "fc2": (20.0, 90.0)}}).axes
    assert [bar.get_width() for bar in axes.patches] == [20.0, 10.0]
    assert [line.get_xdata()[-1] for line in axes.lines] == [90.0, 90.0, 70.0, 70.0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["fc2", "fc1"]


def test_the_lines_of_one_column_have_whole_numbers() -> None:
    figure = conductance_map(np.full((2, 33, 1), 1e-5, np.float32), "chip 0")
    figure.canvas.draw()  # type: ignore[no-untyped-call]
    assert {float(t) for t in figure.axes[0].get_xticks() if -0.5 <= t <= 0.5} == {0.0}
